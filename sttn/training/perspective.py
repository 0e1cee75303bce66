"""The camera that moves through a scene: walked, panned, tracked or flown, and never quite still.

Space has x to the right, y downwards and z into the picture; its unit is the height at which the
camera starts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WAVES = np.array([0.13, 0.5, 1.1, 2.1])
"""Radians per frame of a hand's sway, a walker's steps and tremor."""

ADVANCE = 0.5
"""Share of the nearest depth that a camera moves forward at most, from the middle of the clip."""

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PerspectivePath:
    """Where a perspective camera is and where it looks."""

    focal: float
    """Raster pixels."""
    velocity: Float
    """(3,) per frame; at time 0 the camera is at (0, -1, 0)."""
    angles: Float
    """(3,) pan to the right, tilt downwards and roll at time 0, in radians."""
    turning: Float
    """(3,) radians per frame."""
    sway: Float
    """(W, 2, 6) amplitude and phase of waves in position and angles."""

    def positions(self, times: Float) -> Float:
        """(T, 3) at times in frames."""
        start = np.array([0.0, -1.0, 0.0])
        return start + self.velocity * times[:, np.newaxis] + self._swayed(times)[:, :3]

    def rays(self, times: Float, raster: tuple[int, int]) -> Float:
        """(T, 3, 3) that take a raster pixel (x, y, 1) to a direction whose depth is 1."""
        angles = self.angles + self.turning * times[:, np.newaxis] + self._swayed(times)[:, 3:]
        (pan, tilt, roll), one = angles.T, np.ones(len(times))
        turned = _turn(pan, one, 0, 2) @ _turn(tilt, one, 1, 2) @ _turn(roll, one, 0, 1)
        width, height = raster
        lens = np.array(
            [
                [1 / self.focal, 0, -(width - 1) / 2 / self.focal],
                [0, 1 / self.focal, -(height - 1) / 2 / self.focal],
                [0, 0, 1],
            ]
        )
        return np.asarray(turned @ lens)

    def maps(
        self, corner: Float, across: Float, along: Float, times: Float, raster: tuple[int, int]
    ) -> Float:
        """How a plane in space is seen.

        Args:
            corner: (3,) where the plane's own coordinates (u, v) are (0, 0).
            across: (3,) step in space by which u grows by 1.
            along: (3,) step in space by which v grows by 1.
            times: (T,) in frames.
            raster: Width and height of the frames.

        Returns:
            (T, 3, 3) that take a raster pixel (x, y, 1) to (u, v, 1) times the inverse depth, which
            is below 0 behind the camera.
        """
        planes = np.empty((len(times), 3, 3))
        planes[..., 0], planes[..., 1] = across, along
        planes[..., 2] = corner - self.positions(times)
        return np.asarray(np.linalg.inv(planes) @ self.rays(times, raster))

    def _swayed(self, times: Float) -> Float:
        phases = self.sway[:, 1] + WAVES[:, np.newaxis] * times[:, np.newaxis, np.newaxis]
        return np.asarray((self.sway[:, 0] * np.sin(phases)).sum(axis=1))


def _turn(angle: Float, one: Float, first: int, second: int) -> Float:
    """(T, 3, 3) rotations that take the second axis towards the first."""
    turn = np.zeros((len(angle), 3, 3))
    turn[:, range(3), range(3)] = one[:, np.newaxis]
    turn[:, first, first] = turn[:, second, second] = np.cos(angle)
    turn[:, first, second], turn[:, second, first] = np.sin(angle), -np.sin(angle)
    return turn


def random_path(
    raster: tuple[int, int], pivot: float, nearest: float, reach: float, rng: np.random.Generator
) -> PerspectivePath:
    """Draw a camera that moves by one to nine pixels per frame, at 432 columns, at a depth.

    Args:
        raster: Width and height of the frames.
        pivot: The depth at which pixels move at the pace that is drawn.
        nearest: The depth at which the first thing stands.
        reach: Frames from the middle of the clip to its farther end.
        rng: Source of the path.
    """
    focal = raster[0] * rng.uniform(0.8, 1.6)
    pace = random_pace(raster, focal, rng)
    velocity, turning = np.zeros(3), rng.normal(0, 2e-4, 3)
    kind = rng.choice(["walked", "panned", "tracked", "flown"])
    if kind == "walked":
        velocity += [rng.uniform(-0.4, 0.4), 0, rng.choice([-1, 1], p=[0.2, 0.8]) * 2]
    elif kind == "tracked":
        velocity += [rng.choice([-1, 1]), rng.uniform(-0.05, 0.05), rng.uniform(-0.4, 0.4)]
    elif kind == "flown":
        heading = rng.uniform(0, 2 * np.pi)
        velocity += [np.cos(heading), rng.uniform(-0.2, 0.2), np.sin(heading)]
    else:
        turning[:2] += pace * np.array([rng.choice([-1, 1]), rng.normal(0, 0.1)])
    velocity *= pace * pivot
    velocity *= min(1, ADVANCE * nearest / max(reach * abs(velocity[2]), 1e-9))
    if rng.random() < 0.4:
        turning[0] -= rng.uniform(0.3, 1.0) * velocity[0] / pivot  # eyes stay on the pivot
    horizon = np.arctan(1 / pivot)
    return PerspectivePath(
        focal=focal,
        velocity=velocity,
        angles=np.array([rng.normal(0, 0.05), horizon * rng.uniform(-0.2, 1), rng.normal(0, 0.02)]),
        turning=turning,
        sway=hand_sway(raster[0] / 432 / focal, rng, pivot=pivot, walked=kind == "walked"),
    )


def random_pace(raster: tuple[int, int], focal: float, rng: np.random.Generator) -> float:
    """Radians per frame that are one to nine pixels at 432 columns."""
    return float(np.exp(rng.uniform(np.log(0.8), np.log(9.0))) * raster[0] / 432 / focal)


def hand_sway(
    pixel: float, rng: np.random.Generator, *, pivot: float = 1.0, walked: bool = False
) -> Float:
    """A hand's waves, wide and slow, narrow and fast; steps move a walker up and down.

    Args:
        pixel: Radians that a pixel at 432 columns takes.
        rng: Source of the waves.
        pivot: The depth at which moving and turning sway a picture alike.
        walked: Whether there are steps.

    Returns:
        (W, 2, 6), as :attr:`PerspectivePath.sway`.
    """
    widths = np.array([4.0, 1.5, 0.6, 0.3])[:, np.newaxis] * rng.uniform(0, 1)
    amplitude = np.abs(rng.normal(0, pixel, (len(WAVES), 6))) * widths
    amplitude[:, :3] *= pivot
    amplitude[:, 5] *= 0.5
    if walked:
        amplitude[1, 1] += rng.uniform(0.005, 0.02)
    return np.stack([amplitude, rng.uniform(0, 2 * np.pi, amplitude.shape)], axis=1)
