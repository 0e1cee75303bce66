"""Who walks through a shot: bodies of ellipsoids with limbs that swing."""

from collections.abc import Sequence

import bpy
import numpy as np

from host_examples.training_shots.landscape import Ground
from host_examples.training_shots.surfaces import Float, Photographs, ball, in_proportion, put


class Walk:
    """A way over the ground, at a steady pace, curving a little."""

    def __init__(self, frames: int, rng: np.random.Generator) -> None:
        heading = rng.uniform(0, 2 * np.pi) + np.linspace(-0.5, 0.5, frames) * rng.normal(0, 0.8)
        self.pace = in_proportion(0.01, 0.15, rng)
        """Meters per frame."""
        self.headings = heading
        """(T,) radians."""
        steps = self.pace * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        way = np.cumsum(steps, axis=0)
        self.places: Float = way - way.mean(axis=0) + rng.normal(0, 1.5, 2)
        """(T, 2) in meters."""


def creature(
    walk: Walk, ground: Ground, photographs: Photographs, first: int, rng: np.random.Generator
) -> None:
    """Something that walks, on two legs or four, keyed at every frame."""
    tall = in_proportion(0.5, 2.0, rng)
    root = _joint("creature")
    build = _upright if rng.random() < 0.5 else _on_four
    limbs = build(root, tall, photographs, rng)
    stride = 2 * np.pi * walk.pace / (0.9 * tall)
    start, swing = rng.uniform(0, 6), rng.uniform(0.3, 0.7)
    for number, (place, heading) in enumerate(zip(walk.places, walk.headings, strict=True)):
        frame, phase = first + number, start + stride * number
        root.location = ground.on(place) + [0, 0, 0.03 * tall * abs(np.sin(phase))]
        root.rotation_euler[2] = heading
        root.keyframe_insert("location", frame=frame)
        root.keyframe_insert("rotation_euler", frame=frame)
        for turn, limb in enumerate(limbs):
            limb.rotation_euler[1] = swing * np.sin(phase + np.pi * (turn % 2))
            limb.keyframe_insert("rotation_euler", frame=frame)


def _upright(
    root: bpy.types.Object, tall: float, photographs: Photographs, rng: np.random.Generator
) -> list[bpy.types.Object]:
    """A body on two legs, with arms; the limbs, every second of which swings against the others."""
    skin, cloth = photographs.material(0.5), photographs.material(float(rng.uniform(0.5, 2)))
    legs = photographs.material(1.0)
    _part(root, ball(tall * np.array([0.09, 0.14, 0.2]), 0.1, rng), cloth, (0, 0, 0.65 * tall))
    _part(root, ball(tall * np.array([0.07, 0.06, 0.08]), 0.05, rng), skin, (0, 0, 0.92 * tall))
    limbs = []
    for side in (-1, 1):
        hip, shoulder = (0, 0.07 * side, 0.5), (0, 0.17 * side, 0.8)
        leg = _limb(root, tall, hip, 0.5, 0.055, legs, rng)
        arm = _limb(root, tall, shoulder, 0.38, 0.04, cloth, rng)
        limbs += [leg, arm] if side > 0 else [arm, leg]
    return limbs


def _on_four(
    root: bpy.types.Object, tall: float, photographs: Photographs, rng: np.random.Generator
) -> list[bpy.types.Object]:
    """A body on four legs, with head and tail; the limbs, likewise."""
    long = tall * float(rng.uniform(0.9, 1.6))
    coat, other = photographs.material(float(rng.uniform(0.5, 2))), photographs.material(0.7)
    body, head, tail = ((long, 0.4, 0.44), (0.4, 0.2, 0.24), (0.4, 0.06, 0.06))
    up = float(rng.uniform(0.7, 1.0))
    for sides, made_of, place in (
        (np.multiply(body, (1, tall, tall)), coat, (0, 0, 0.65 * tall)),
        (np.multiply(head, tall), other, (0.6 * long, 0, up * tall)),
        (np.multiply(tail, tall), coat, (-0.6 * long, 0, 0.75 * tall)),
    ):
        _part(root, ball(sides / 2, 0.1, rng), made_of, place)
    return [
        _limb(root, tall, (end * 0.4 * long / tall, side * 0.12, 0.55), 0.55, 0.05, coat, rng)
        for end, side in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    ]


def _joint(name: str) -> bpy.types.Object:
    """Something without a shape, that others hang from."""
    joint = bpy.data.objects.new(name, None)
    bpy.context.scene.collection.objects.link(joint)
    return joint


def _part(
    root: bpy.types.Object,
    made: bpy.types.Mesh,
    material: bpy.types.Material,
    place: Sequence[float],
) -> None:
    put(made, material, np.array(place)).parent = root


def _limb(
    root: bpy.types.Object,
    tall: float,
    joint: Sequence[float],
    length: float,
    thick: float,
    material: bpy.types.Material,
    rng: np.random.Generator,
) -> bpy.types.Object:
    """Hangs from a joint, around which it swings; measures are shares of how tall all of it is."""
    hinge = _joint("joint")
    hinge.parent, hinge.location = root, np.multiply(joint, tall)
    shape = tall * np.array([thick, thick, length / 2])
    _part(hinge, ball(shape, 0.1, rng), material, (0, 0, -tall * length / 2))
    return hinge
