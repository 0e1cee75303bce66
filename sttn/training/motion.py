"""Photographs set in motion: what a clip with known pixels looks like when none was filmed.

A camera travels smoothly over a photograph, pieces of other photographs pass at their own
speed (parallax and moving objects), and exposure drifts.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image
from sttn.training.masks import blob


@dataclass(frozen=True, kw_only=True)
class CameraPath:
    """Where the middle of the raster lies on a photograph at time t, how large and how turned."""

    center: NDArray[np.float64]
    """(2,) x and y in photograph pixels at time 0."""
    velocity: NDArray[np.float64]
    """(2,) photograph pixels per frame."""
    acceleration: NDArray[np.float64]
    """(2,) photograph pixels per frame, per frame."""
    shake: NDArray[np.float64]
    """(3, 2, 2) amplitude in photograph pixels and phase of three waves in x and y."""
    scale: float
    """Photograph pixels per raster pixel at time 0."""
    zoom: float
    """Growth of ``scale`` per frame, as a natural logarithm."""
    angle: float
    """Radians at time 0."""
    spin: float
    """Radians per frame."""

    def matrix(self, time: float, raster: tuple[int, int]) -> NDArray[np.float64]:
        """Affine map (2, 3) from raster pixels to photograph pixels at a time in frames."""
        width, height = raster
        scale = self.scale * np.exp(self.zoom * time)
        angle = self.angle + self.spin * time
        waves = self.shake[:, 0] * np.sin(
            self.shake[:, 1] + time * np.array([0.31, 0.83, 1.9])[:, np.newaxis]
        )
        middle = (
            self.center + self.velocity * time + self.acceleration * time**2 / 2 + waves.sum(axis=0)
        )
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = middle - turn @ np.array([(width - 1) / 2, (height - 1) / 2])
        return np.concatenate([turn, offset[:, np.newaxis]], axis=1)


def random_camera(
    size: tuple[int, int], raster: tuple[int, int], rng: np.random.Generator
) -> CameraPath:
    """Draw a camera that sees between a third of a photograph and all of it.

    Args:
        size: Width and height of the photograph.
        raster: Width and height of the frames.
        rng: Source of the path.
    """
    fitting = min(size[0] / raster[0], size[1] / raster[1])
    scale = fitting * rng.uniform(0.35, 1.0)
    margin = (np.array(size) - scale * np.array(raster)) / 2
    heading = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(heading), 0.5 * np.sin(heading)])
    pace = np.exp(rng.uniform(np.log(3e-4), np.log(2.5e-2))) * raster[0] * scale
    amplitude = rng.uniform(0, 2e-3, (3, 2)) * raster[0] * scale
    return CameraPath(
        center=np.array(size) / 2 + rng.uniform(-1, 1, 2) * margin,
        velocity=direction * pace,
        acceleration=rng.normal(0, 0.01, 2) * pace,
        shake=np.stack([amplitude, rng.uniform(0, 2 * np.pi, (3, 2))], axis=1),
        scale=scale,
        zoom=float(rng.normal(0, 2e-3)),
        angle=float(rng.normal(0, 0.03)),
        spin=float(rng.normal(0, 1.5e-3)),
    )


def film(
    photograph: Image, camera: CameraPath, times: NDArray[np.float64], raster: tuple[int, int]
) -> NDArray[np.float32]:
    """What the camera sees.

    Args:
        photograph: (H, W, 3) uint8.
        camera: Path in pixels of ``photograph``.
        times: (T,) in frames.
        raster: Width and height of the frames.

    Returns:
        (T, height, width, 3) float32 in [0, 255]; mirrored beyond the photograph's edge.
    """
    # Reduced first where the raster is much coarser, for a warp alone would alias.
    coarser = max(1.0, camera.scale / 1.3)
    height, width = photograph.shape[:2]
    small = cv2.resize(
        photograph,
        (max(2, round(width / coarser)), max(2, round(height / coarser))),
        interpolation=cv2.INTER_AREA,
    )
    shrink = np.diag([small.shape[1] / width, small.shape[0] / height])
    frames = [
        cv2.warpAffine(
            small,
            shrink @ camera.matrix(float(time), raster),
            raster,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        for time in times
    ]
    return np.stack(frames).astype(np.float32)


def pass_object(
    frames: NDArray[np.float32],
    photograph: Image,
    times: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Let a piece of another photograph pass through a clip, in place.

    Args:
        frames: (T, H, W, 3) float32 in [0, 255].
        photograph: (H', W', 3) uint8 that the piece is cut from.
        times: (T,) in frames.
        rng: Source of shape, place and speed.
    """
    height, width = frames.shape[1:3]
    box = (int(width * rng.uniform(0.1, 0.5)), int(height * rng.uniform(0.2, 0.9)))
    alpha = cv2.GaussianBlur(blob(box[1], box[0], rng), (0, 0), rng.uniform(0.5, 1.5))
    texture = film(
        photograph,
        random_camera((photograph.shape[1], photograph.shape[0]), box, rng),
        np.zeros(1),
        box,
    )[0]
    start = rng.uniform([-box[0] / 2, -box[1] / 2], [width - box[0] / 2, height - box[1] / 2])
    speed = rng.normal(0, 0.015, 2) * width * [1.0, 0.4]
    for index, time in enumerate(times - times.mean()):
        left, top = start + speed * time
        move = np.array([[1, 0, left], [0, 1, top]])
        cover = cv2.warpAffine(alpha, move, (width, height)).astype(np.float32) / 255
        drawn = cv2.warpAffine(texture, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        frames[index] += (drawn - frames[index]) * cover[..., np.newaxis]


def drift_exposure(
    frames: NDArray[np.float32], times: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Let exposure and white balance change slowly, in place; (T, H, W, 3) in [0, 255]."""
    drift = rng.normal(0, 2e-3) + rng.normal(0, 5e-4, 3)
    gain = np.exp((times - times.mean())[:, np.newaxis] * drift) * np.exp(rng.normal(0, 0.1))
    frames *= gain[:, np.newaxis, np.newaxis, :].astype(np.float32)
    np.clip(frames, 0, 255, out=frames)
