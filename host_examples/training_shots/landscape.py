"""Where a shot takes place: the ground, what stands on it, what lies behind, and the light."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from host_examples.training_shots.surfaces import (
    Float,
    Photographs,
    ball,
    block,
    mesh,
    put,
    sheet,
    waves,
)

SIDE = 80.0
"""Meters of ground each way."""

ANYWHERE = -10.0
"""Radius of what is in nobody's way."""

Free = Callable[[Float, float], bool]
"""Whether something of a radius may stand at a place: nobody walks or films there."""


class Ground:
    """Uneven ground under a photograph."""

    def __init__(self, photographs: Photographs, rng: np.random.Generator) -> None:
        self._seed = int(rng.integers(2**31))
        self._rough = float(rng.choice([0.0, rng.uniform(0.1, 0.6)]))
        count = 161
        across = np.linspace(-SIDE / 2, SIDE / 2, count)
        places = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
        vertices = np.column_stack([places, self.height(places)])
        made = mesh(vertices, sheet(count, count), places)
        made.shade_smooth()
        put(made, photographs.material(float(rng.uniform(4, 12))), np.zeros(3))

    def height(self, places: Float) -> Float:
        """Of places (N, 2), in meters."""
        rng = np.random.default_rng(self._seed)
        return self._rough * (waves(places, 9, rng) + 0.15 * waves(places, 1.5, rng))

    def on(self, place: Float) -> Float:
        """A place (2,) on it, (3,)."""
        return np.append(place, self.height(place[None])[0])


@dataclass(frozen=True)
class _Site:
    """Where things are put up, and of what."""

    ground: Ground
    photographs: Photographs
    free: Free
    rng: np.random.Generator

    def places(self, radius: float, count: int) -> list[Float]:
        """Where nothing is in the way, near one another or not."""
        tried = self.rng.normal(0, self.rng.uniform(2, 10), (count, 2))
        return [self.ground.on(place) for place in tried if self.free(place, radius)]

    def turn(self) -> float:
        """Radians."""
        return float(self.rng.uniform(0, 2 * np.pi))


def furnish(ground: Ground, photographs: Photographs, free: Free, rng: np.random.Generator) -> None:
    """Put up some of everything."""
    site = _Site(ground, photographs, free, rng)
    for kind, share, most in (
        (_rocks, 0.6, 40),
        (_trees, 0.6, 20),
        (_tufts, 0.6, 1500),
        (_blocks, 0.6, 12),
        (_posts, 0.5, 30),
        (_walls, 0.5, 5),
    ):
        if rng.random() < share:
            kind(site, int(rng.integers(1 + most // 4, most + 1)))
    if rng.random() < 0.8:
        _backdrop(photographs, rng)


def _rocks(site: _Site, count: int) -> None:
    rng = site.rng
    for _ in range(1 + count // 8):
        shape = rng.uniform(0.2, 1.0, 3) * np.exp(rng.normal(0, 0.5))
        made = ball(shape, 0.25, rng)
        material = site.photographs.material(float(rng.uniform(0.5, 3)))
        for place in site.places(float(shape.max()), 8):
            put(made, material, place, site.turn())


def _trees(site: _Site, count: int) -> None:
    """A trunk, and leaves around it."""
    rng = site.rng
    tall = float(rng.uniform(2, 7))
    trunk = ball(np.array([0.04, 0.04, 0.6]) * tall, 0.1, rng)
    bark = site.photographs.material(1.0)
    green = site.photographs.material(float(rng.uniform(3, 8)))
    leaves = _leaves(1200, np.array([0.35, 0.35, 0.4]) * tall, float(rng.uniform(0.06, 0.2)), rng)
    for place in site.places(0.3, count):
        turn = site.turn()
        put(trunk, bark, place + [0, 0, 0.3 * tall], turn)
        put(leaves, green, place + [0, 0, 0.85 * tall], turn)


def _leaves(count: int, shape: Float, size: float, rng: np.random.Generator) -> bpy.types.Mesh:
    """Square leaves, each turned at random, within an ellipsoid."""
    middle = rng.normal(0, 0.5, (count, 1, 3)) * shape
    axes = rng.normal(0, size / 2, (count, 2, 3))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    vertices = (middle + corners @ axes).reshape(-1, 3)
    return mesh(vertices, np.arange(4 * count).reshape(-1, 4), vertices[:, [0, 2]])


def _tufts(site: _Site, count: int) -> None:
    """Grass: some blades to a tuft."""
    rng = site.rng
    tall = float(rng.uniform(0.08, 0.5))
    blades = 30
    feet = rng.normal(0, 0.15, (blades, 2))
    lean = rng.normal(0, 0.35 * tall, (blades, 2))
    sideways = rng.normal(0, 0.012, (blades, 2))
    low = np.stack([feet - sideways, feet + sideways], axis=1)
    high = low[:, ::-1] * 1.0 + lean[:, None]
    flat = np.concatenate([low, high], axis=1).reshape(-1, 2)
    up = np.tile([0, 0, tall, tall], blades)
    made = mesh(np.column_stack([flat, up]), np.arange(4 * blades).reshape(-1, 4), flat * 3)
    material = site.photographs.material(float(rng.uniform(0.5, 2)))
    for place in site.places(ANYWHERE, count):
        put(made, material, place, site.turn())


def _blocks(site: _Site, count: int) -> None:
    rng = site.rng
    for _ in range(count):
        size = rng.uniform(0.3, 1.6, 3)
        for place in site.places(float(size.max()), 1):
            made = site.photographs.material(float(rng.uniform(0.8, 3)))
            put(block(size), made, place - [0, 0, 0.1], site.turn())


def _posts(site: _Site, count: int) -> None:
    """A fence: thin posts in a row, with two rails."""
    rng = site.rng
    tall, apart = float(rng.uniform(0.7, 2.5)), float(rng.uniform(0.5, 2))
    material = site.photographs.material(1.0)
    angle, start = rng.uniform(0, 2 * np.pi), rng.normal(0, 5, 2)
    along = np.array([np.cos(angle), np.sin(angle)])
    post, rail = block(np.array([0.07, 0.07, tall])), block(np.array([apart, 0.04, 0.08]))
    for number in range(-(count // 2), count // 2):
        place = start + number * apart * along
        if site.free(place, 0.4):
            foot = site.ground.on(place)
            put(post, material, foot, float(angle))
            for up in (0.4, 0.85):
                put(rail, material, foot + [0, 0, up * tall], float(angle))


def _walls(site: _Site, count: int) -> None:
    rng = site.rng
    for _ in range(count):
        size = np.array([rng.uniform(3, 14), rng.uniform(0.3, 5), rng.uniform(1.5, 9)])
        turn = float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.1))
        place = rng.normal(0, 10, 2)
        if site.free(place, float(size[0]) / 2 + 0.5):
            made = site.photographs.material(float(rng.uniform(3, 8)))
            put(block(size), made, site.ground.on(place) - [0, 0, 0.5], turn)


def _backdrop(photographs: Photographs, rng: np.random.Generator) -> None:
    """A wall around everything."""
    radius, tall = float(rng.uniform(25, 38)), float(rng.uniform(5, 20))
    around = np.linspace(0, 2 * np.pi, 97)
    ring = radius * np.column_stack([np.cos(around), np.sin(around)])
    low, high = (np.column_stack([ring, np.full(97, up)]) for up in (-2.0, tall))
    places = np.concatenate(
        [np.column_stack([around * radius, np.full(97, up)]) for up in (0, tall + 2)]
    )
    made = mesh(np.concatenate([low, high]), sheet(2, 97), places)
    put(made, photographs.material(float(rng.uniform(20, 50))), np.zeros(3))


def light(panoramas: Sequence[Path], rng: np.random.Generator) -> None:
    """The sky of a panorama, if there is any, and a sun."""
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    background = tree.nodes["Background"]
    background.inputs["Strength"].default_value = float(rng.uniform(0.5, 1))
    background.inputs["Color"].default_value = (0.5, 0.6, 0.8, 1)
    if panoramas and rng.random() < 0.8:
        image = bpy.data.images.load(str(panoramas[int(rng.integers(len(panoramas)))]))
        mean = float(np.mean(np.array(image.pixels[:]).clip(0, 8)))
        background.inputs["Strength"].default_value = float(rng.uniform(0.4, 0.8)) / max(mean, 0.02)
        where = tree.nodes.new("ShaderNodeTexCoord")
        turned = tree.nodes.new("ShaderNodeMapping")
        turned.inputs["Rotation"].default_value = (0, 0, float(rng.uniform(0, 6)))
        sky = tree.nodes.new("ShaderNodeTexEnvironment")
        sky.image = image
        tree.links.new(where.outputs["Generated"], turned.inputs["Vector"])
        tree.links.new(turned.outputs["Vector"], sky.inputs["Vector"])
        tree.links.new(sky.outputs["Color"], background.inputs["Color"])
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy = float(rng.choice([0.3, rng.uniform(1, 4)]))
    sun.data.angle = float(rng.uniform(0.01, 0.2))
    sun.rotation_euler = (float(rng.uniform(0.2, 1.2)), 0, float(rng.uniform(0, 6)))
    bpy.context.scene.collection.objects.link(sun)
