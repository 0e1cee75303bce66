"""Scenes: photographs on planes in space, seen by a camera that moves, so that parallax is true."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sttn.training.cutouts import cutout
from sttn.training.perspective import Float, PerspectivePath, random_path

GRAZING = 4
"""Lookups per pixel where a surface is seen at a flat angle."""

SHARPEST = 1.3
"""Photograph pixels per raster pixel above which a card is reduced first."""

DOWN = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, kw_only=True)
class Wall:
    """The ground, a backdrop or a side: a plane without end that carries a mirrored photograph."""

    photograph: int
    """Index into the corpus."""
    maps: NDArray[np.float32]
    """(T, 3, 3) from raster pixels to the photograph's, as :meth:`PerspectivePath.maps`."""
    gain: float
    """Light that falls on it."""
    lookups: int = 1
    """Lookups per pixel, along its longer way across the photograph."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Something upright: a piece of a photograph with an outline."""

    photograph: int
    """Index into the corpus."""
    corner: tuple[int, int]
    """Column and row of the photograph at which the piece begins."""
    shape: NDArray[np.uint8]
    """(h, w) of the piece, 255 inside the outline, with a soft edge."""
    maps: NDArray[np.float32]
    """(T, 3, 3) from raster pixels to the piece's, as :meth:`PerspectivePath.maps`."""
    gain: float
    """Light that falls on it."""
    fewer: int
    """Pixels that are averaged along each side first, or it aliases."""
    box: tuple[int, int, int, int]
    """Left, top, width and height of what it may cover of the raster in any frame."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A room or landscape, and what stands in it."""

    walls: tuple[Wall, ...]
    """The nearest one shows."""
    cards: tuple[Card, ...]
    """The farthest first."""


def random_scene(
    photographs: Sequence[tuple[int, int]],
    times: Float,
    raster: tuple[int, int],
    rng: np.random.Generator,
) -> Scene:
    """Draw a scene and the camera's way through it.

    Args:
        photographs: Height and width of each that the corpus has.
        times: (T,) positions of the frames on the clip's timeline.
        raster: Width and height of the frames.
        rng: Source of everything.
    """
    pivot = float(np.exp(rng.uniform(np.log(1.5), np.log(6.0))))
    nearest = pivot * rng.uniform(0.35, 0.7)
    moments = times - times.mean()
    path = random_path(raster, pivot, nearest, float(np.abs(moments).max()), rng)
    scenery = _Scenery(photographs, path, moments, raster, rng)
    farthest = pivot * float(np.exp(rng.uniform(np.log(2), np.log(12))))
    walls = [scenery.ground(nearest, pivot), scenery.backdrop(farthest)]
    aside = float(np.abs(path.velocity[0]) * np.abs(moments).max())
    for sign in (-1, 1):
        if rng.random() < 0.3:
            walls.append(scenery.side(sign * (aside + rng.uniform(1.0, 4.0)), pivot))
    count = int(rng.integers(3, 9))
    depths = np.exp(rng.uniform(np.log(nearest), np.log(min(farthest, 4 * pivot)), count))
    cards = [scenery.card(float(depth)) for depth in np.sort(depths)[::-1]]
    return Scene(walls=tuple(walls), cards=tuple(card for card in cards if card is not None))


class _Scenery:
    """Puts photographs up where a camera will pass."""

    def __init__(
        self,
        photographs: Sequence[tuple[int, int]],
        path: PerspectivePath,
        moments: Float,
        raster: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        self._photographs = photographs
        self._path = path
        self._focal = path.focal
        self._moments = moments
        self._raster = raster
        self._rng = rng

    def ground(self, nearest: float, pivot: float) -> Wall:
        """The plane y = 0, its photograph turned at random."""
        yaw = self._rng.uniform(0, 2 * np.pi)
        across = np.array([np.cos(yaw), 0, np.sin(yaw)])
        along = np.array([-np.sin(yaw), 0, np.cos(yaw)])
        depth = np.exp(self._rng.uniform(np.log(nearest), np.log(2 * pivot)))
        return self._wall(np.zeros(3), across, along, depth, GRAZING, afloat=True)

    def backdrop(self, depth: float) -> Wall:
        """Upright, far away, turned a little."""
        yaw = self._rng.normal(0, 0.15)
        across = np.array([np.cos(yaw), 0, np.sin(yaw)])
        return self._wall(np.array([0, 0, depth]), across, DOWN, depth, 1)

    def side(self, x: float, pivot: float) -> Wall:
        """Upright, along the way."""
        yaw = np.pi / 2 + self._rng.normal(0, 0.1)
        across = np.array([np.cos(yaw), 0, np.sin(yaw)])
        return self._wall(np.array([x, 0, 0]), across, DOWN, pivot, GRAZING)

    def card(self, depth: float) -> Card | None:
        """Something on the ground at a depth; None where the camera never sees it whole."""
        rng = self._rng
        visible = np.array(self._raster) / self._focal * depth
        tall = np.exp(rng.uniform(np.log(0.25), np.log(2.5)))
        tall = min(tall, 0.9 * visible[1] * rng.uniform(0.5, 1))
        wide = min(tall * np.exp(rng.normal(-0.2, 0.5)), 0.7 * visible[0])
        yaw = float(np.clip(rng.normal(0, 0.35), -0.8, 0.8))
        across = np.array([np.cos(yaw), 0, np.sin(yaw)])
        foot = np.array([rng.uniform(-0.6, 0.6) * visible[0], 0.03 * tall, depth])
        number = int(rng.integers(len(self._photographs)))
        height, width = self._photographs[number]
        fine = min(self._fineness(depth), 0.9 * width / wide, 0.9 * height / tall)
        rows, columns = (max(2, int(fine * size)) for size in (tall, wide))
        corner = foot - across * wide / 2 - DOWN * tall
        maps = self._maps(corner, across / fine, DOWN / fine)
        box = self._covered(maps, rows, columns)
        if box is None:
            return None
        return Card(
            photograph=number,
            corner=(int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))),
            shape=cutout(rows, columns, rng),
            maps=maps.astype(np.float32),
            gain=float(rng.uniform(0.6, 1.1)),
            fewer=max(1, round(_pixels_per_pixel(maps, rows, columns) / SHARPEST)),
            box=box,
        )

    def _wall(
        self,
        point: Float,
        across: Float,
        along: Float,
        depth: float,
        lookups: int,
        *,
        afloat: bool = False,
    ) -> Wall:
        """A photograph that stands on a point, or floats over it at random."""
        rng = self._rng
        number = int(rng.integers(len(self._photographs)))
        height, width = self._photographs[number]
        fine = self._fineness(depth)
        above = height * (rng.random() if afloat else 1.0)
        corner = point - (across * rng.uniform(0, width) + along * above) / fine
        return Wall(
            photograph=number,
            maps=self._maps(corner, across / fine, along / fine).astype(np.float32),
            gain=float(rng.uniform(0.7, 1.1)),
            lookups=lookups,
        )

    def _fineness(self, depth: float) -> float:
        """Photograph pixels per unit, about one to two of which make a raster pixel at a depth."""
        return float(self._focal / depth * self._rng.uniform(0.9, 2.2))

    def _maps(self, corner: Float, across: Float, along: Float) -> Float:
        return self._path.maps(corner, across, along, self._moments, self._raster)

    def _covered(self, maps: Float, rows: int, columns: int) -> tuple[int, int, int, int] | None:
        """The box around a card over all frames; None where it is never in sight or gets behind."""
        corners = np.array([[0, 0, 1], [columns, 0, 1], [0, rows, 1], [columns, rows, 1]]).T
        seen = np.linalg.inv(maps) @ corners
        if seen[:, 2].min() < 1e-3:
            return None
        places = seen[:, :2] / seen[:, 2:]
        size = np.array(self._raster)
        low = np.clip(np.floor(places.min(axis=(0, 2))) - 1, 0, size).astype(int)
        high = np.clip(np.ceil(places.max(axis=(0, 2))) + 2, 0, size).astype(int)
        if (high <= low).any():
            return None
        return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _pixels_per_pixel(maps: Float, rows: int, columns: int) -> float:
    """How many of a card's pixels, along a side, make one of the raster, in the mean."""
    seen = np.linalg.inv(maps) @ [columns / 2, rows / 2, 1]
    depth = seen[:, 2]  # a raster pixel's inverse depth is one over it
    place = np.array([columns / 2, rows / 2])
    slopes = (maps[:, :2, :2] - place[:, np.newaxis] * maps[:, 2:, :2]) * depth[:, None, None]
    return float(np.sqrt(np.abs(np.linalg.det(slopes))).mean())
