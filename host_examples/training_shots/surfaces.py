"""Meshes, and photographs as what they are made of."""

from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


class Photographs:
    """Photographs in the order of their names, each loaded when a shot first asks for it."""

    def __init__(self, paths: Sequence[Path], rng: np.random.Generator) -> None:
        self._paths, self._rng = list(paths), rng

    def material(self, meters: float) -> bpy.types.Material:
        """One of them, laid again and again, mirrored, over that many meters of its width."""
        rng = self._rng
        image = bpy.data.images.load(
            str(self._paths[rng.integers(len(self._paths))]), check_existing=True
        )
        made = bpy.data.materials.new(image.name)
        made.use_nodes = True
        tree = made.node_tree
        surface = tree.nodes["Principled BSDF"]
        surface.inputs["Roughness"].default_value = float(rng.uniform(0.5, 1))
        surface.inputs["Specular IOR Level"].default_value = float(rng.uniform(0, 0.5))
        where = tree.nodes.new("ShaderNodeTexCoord")
        laid = tree.nodes.new("ShaderNodeMapping")
        across = 1 / meters
        laid.inputs["Scale"].default_value = (across, across * image.size[0] / image.size[1], 1)
        laid.inputs["Location"].default_value = (*rng.uniform(0, 1, 2), 0)
        laid.inputs["Rotation"].default_value = (0, 0, float(rng.normal(0, 0.1)))
        picture = tree.nodes.new("ShaderNodeTexImage")
        picture.image, picture.extension = image, "MIRROR"
        shade = tree.nodes.new("ShaderNodeHueSaturation")
        shade.inputs["Hue"].default_value = float(rng.normal(0.5, 0.02))
        shade.inputs["Value"].default_value = float(rng.uniform(0.6, 1.2))
        # Photographs are soft from near by, so a grain of the material's own lies over them.
        grain = tree.nodes.new("ShaderNodeTexNoise")
        grain.inputs["Scale"].default_value = in_proportion(3, 40, rng)
        grain.inputs["Detail"].default_value = 6
        over = tree.nodes.new("ShaderNodeMixRGB")
        over.blend_type = "OVERLAY"
        over.inputs["Fac"].default_value = float(rng.uniform(0, 0.8))
        for output, entry in (
            (where.outputs["UV"], laid.inputs["Vector"]),
            (where.outputs["UV"], grain.inputs["Vector"]),
            (laid.outputs["Vector"], picture.inputs["Vector"]),
            (picture.outputs["Color"], shade.inputs["Color"]),
            (shade.outputs["Color"], over.inputs["Color1"]),
            (grain.outputs["Fac"], over.inputs["Color2"]),
            (over.outputs["Color"], surface.inputs["Base Color"]),
        ):
            tree.links.new(output, entry)
        return made


def mesh(vertices: Float, faces: NDArray[np.int64], places: Float) -> bpy.types.Mesh:
    """A mesh of quads.

    Args:
        vertices: (V, 3) in meters.
        faces: (F, 4) indices.
        places: (V, 2) of every vertex on its surface, in meters.
    """
    made = bpy.data.meshes.new("mesh")
    made.from_pydata(vertices.tolist(), [], faces.tolist())
    made.uv_layers.new().data.foreach_set("uv", places[faces.ravel()].ravel())
    made.update()
    return made


def sheet(rows: int, columns: int) -> NDArray[np.int64]:
    """The (F, 4) quads of a grid of vertices, row by row."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    return np.stack([first, first + 1, first + columns + 1, first + columns], axis=1)


def ball(shape: Float, dents: float, rng: np.random.Generator) -> bpy.types.Mesh:
    """An ellipsoid of half axes in meters, dented at random by a share of its size."""
    rows, columns = 17, 25
    down, around = np.meshgrid(
        np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij"
    )
    unit = np.stack(
        [np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down)], axis=-1
    ).reshape(-1, 3)
    reach = 1 + dents * waves(unit, 1.5, rng)
    across = float(np.mean(shape)) * np.stack([around.ravel(), down.ravel()], axis=1)
    made = mesh(unit * reach[:, None] * shape, sheet(rows, columns), across)
    made.shade_smooth()
    return made


def block(size: Float) -> bpy.types.Mesh:
    """A box that stands on the ground, of a size in meters; nobody sees it from below."""
    base = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * size[:2]
    low, high = (np.column_stack([base, np.full(4, up)]) for up in (0.0, size[2]))
    sides = [np.stack([low[n], low[n - 3], high[n - 3], high[n]]) for n in range(4)]
    unrolled = [np.column_stack([side[:, :2].sum(axis=1), side[:, 2]]) for side in sides]
    return mesh(
        np.concatenate([*sides, high]),
        np.arange(20).reshape(-1, 4),
        np.concatenate([*unrolled, base]),
    )


def in_proportion(least: float, most: float, rng: np.random.Generator) -> float:
    """A random number, twice as large as often as half as large."""
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def waves(points: Float, length: float, rng: np.random.Generator, count: int = 9) -> Float:
    """A smooth random value around 0 for every point (N, D), that changes over a length."""
    directions = rng.normal(0, 2 * np.pi / length / 2, (count, points.shape[1]))
    phases = points @ directions.T + rng.uniform(0, 2 * np.pi, count)
    return np.asarray(np.sin(phases).mean(axis=1) * 2)


def put(
    made: bpy.types.Mesh, material: bpy.types.Material, place: Float, turn: float = 0.0
) -> bpy.types.Object:
    """A mesh at a place, turned around the vertical by radians; meshes may be put up often."""
    thing = bpy.data.objects.new(made.name, made)
    if not made.materials:
        made.materials.append(material)
    thing.location = place
    thing.rotation_euler[2] = turn
    bpy.context.scene.collection.objects.link(thing)
    return thing
