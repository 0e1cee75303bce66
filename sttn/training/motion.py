"""The camera that sets a photograph in motion, where no clip with known pixels was filmed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
