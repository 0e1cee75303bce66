"""How a shot is filmed: by a camera that follows, turns, rides past or is held."""

from typing import NamedTuple

import bpy
import numpy as np

from host_examples.training_shots.creatures import Walk
from host_examples.training_shots.landscape import Ground
from host_examples.training_shots.surfaces import Float, in_proportion, waves


class Way(NamedTuple):
    """Of a camera."""

    places: Float
    """(T, 2) meters over the ground."""
    height: float
    """Meters above it."""
    aims: Float
    """(T, 2) what is in the middle of the frame."""


def way(walk: Walk, rng: np.random.Generator) -> Way:
    """Draw a camera that films somebody, or the place where somebody walks."""
    frames = len(walk.places)
    far, side = in_proportion(2.5, 9, rng), rng.uniform(0, 2 * np.pi)
    moments = np.linspace(-0.5, 0.5, frames)[:, None]
    middle = walk.places.mean(axis=0)
    stand = middle + far * np.array([np.cos(side), np.sin(side)])
    kind = rng.choice(["follow", "turn", "ride", "circle", "stand"], p=[0.3, 0.2, 0.3, 0.15, 0.05])
    aims = np.repeat(middle[None], frames, axis=0)
    places = np.repeat(stand[None], frames, axis=0)
    if kind in ("follow", "turn"):
        aims = middle + (walk.places - middle) * rng.uniform(0.7, 1.1)
    if kind == "follow":
        places = stand + (walk.places - middle) * rng.uniform(0.5, 1.2)
    elif kind == "ride":
        heading = rng.uniform(0, 2 * np.pi)
        reach = in_proportion(0.2, 1.2, rng) * far
        ridden = moments * reach * np.array([np.cos(heading), np.sin(heading)])
        places = places + ridden
        aims = aims + ridden * rng.uniform(0, 1)
    elif kind == "circle":
        angles = side + moments[:, 0] * rng.normal(0, 0.7)
        places = middle + far * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Way(places, float(rng.uniform(0.5, 2.2)), aims + rng.normal(0, 0.05 * far, 2))


def film(way: Way, ground: Ground, first: int, rng: np.random.Generator) -> None:
    """Key the scene's camera along its way."""
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.data.lens = in_proportion(24, 70, rng)
    frames = len(way.places)
    held = in_proportion(1e-4, 4e-3, rng) * 36 / camera.data.lens
    times = np.arange(frames)[:, None].astype(np.float64)
    shakes = [held * (waves(times, 20, rng) + 0.2 * waves(times, 4, rng)) for _ in range(3)]
    level = float(ground.on(way.places.mean(axis=0))[2]) + way.height
    aimed = float(ground.on(way.aims.mean(axis=0))[2]) + float(rng.uniform(0.4, 1.2))
    for number in range(frames):
        toward = way.aims[number] - way.places[number]
        pan = np.arctan2(toward[1], toward[0]) - np.pi / 2
        tilt = np.pi / 2 + np.arctan2(aimed - level, np.linalg.norm(toward))
        camera.location = (*way.places[number], level)
        camera.rotation_euler = (
            tilt + shakes[0][number],
            shakes[2][number] / 2,
            pan + shakes[1][number],
        )
        camera.keyframe_insert("location", frame=first + number)
        camera.keyframe_insert("rotation_euler", frame=first + number)
