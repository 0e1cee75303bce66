"""Render the demo shot: a courtyard, a camera that trucks past, and a robot that rolls through.

    python render_shot.py OUTPUT_FOLDER        (in an environment with bpy 5.0.1)

Everything is procedural. Each frame is rendered three times with Cycles: with the robot
(the plate), without it (the truth), and as a silhouette. The matte covers every pixel where
plate and truth differ, shadow included, as an artist's garbage matte would. Frames are half-float
scene-linear EXR (Linear Rec.709): ``plate.####.exr`` with channels R, G, B and ``matte.A``,
``truth.####.exr`` with R, G, B.
"""

import math
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
import OpenImageIO as oiio

WIDTH, HEIGHT = 336, 192
FIRST_FRAME, FRAME_COUNT = 1001, 32
SAMPLES = 32


def material(name: str) -> tuple[bpy.types.Material, bpy.types.ShaderNodeTree]:
    """An empty node material with a Principled surface."""
    created = bpy.data.materials.new(name)
    created.use_nodes = True
    return created, created.node_tree


def surface(tree: bpy.types.ShaderNodeTree) -> bpy.types.ShaderNode:
    """The Principled node of a fresh material."""
    return tree.nodes["Principled BSDF"]


def brick_wall() -> bpy.types.Material:
    """Large, uneven bricks with stains."""
    made, tree = material("brick")
    where = tree.nodes.new("ShaderNodeTexCoord")
    brick = tree.nodes.new("ShaderNodeTexBrick")
    brick.inputs["Color1"].default_value = (0.42, 0.13, 0.07, 1)
    brick.inputs["Color2"].default_value = (0.62, 0.36, 0.20, 1)
    brick.inputs["Mortar"].default_value = (0.62, 0.60, 0.55, 1)
    brick.inputs["Scale"].default_value = 0.8
    brick.inputs["Mortar Size"].default_value = 0.03
    stain = tree.nodes.new("ShaderNodeTexNoise")
    stain.inputs["Scale"].default_value = 0.9
    stain.inputs["Detail"].default_value = 6
    mixed = tree.nodes.new("ShaderNodeMixRGB")
    mixed.blend_type = "MULTIPLY"
    mixed.inputs["Fac"].default_value = 0.7
    # Bricks lie in the wall's own x and z.
    swap = tree.nodes.new("ShaderNodeMapping")
    swap.inputs["Rotation"].default_value = (math.radians(90), 0, 0)
    tree.links.new(where.outputs["Object"], swap.inputs["Vector"])
    tree.links.new(swap.outputs["Vector"], brick.inputs["Vector"])
    tree.links.new(where.outputs["Object"], stain.inputs["Vector"])
    tree.links.new(brick.outputs["Color"], mixed.inputs["Color1"])
    tree.links.new(stain.outputs["Fac"], mixed.inputs["Color2"])
    tree.links.new(mixed.outputs["Color"], surface(tree).inputs["Base Color"])
    surface(tree).inputs["Roughness"].default_value = 0.9
    return made


def tiled_floor() -> bpy.types.Material:
    """Two-colored slabs, worn."""
    made, tree = material("floor")
    where = tree.nodes.new("ShaderNodeTexCoord")
    tiles = tree.nodes.new("ShaderNodeTexChecker")
    tiles.inputs["Color1"].default_value = (0.55, 0.52, 0.47, 1)
    tiles.inputs["Color2"].default_value = (0.16, 0.18, 0.22, 1)
    tiles.inputs["Scale"].default_value = 0.8
    wear = tree.nodes.new("ShaderNodeTexNoise")
    wear.inputs["Scale"].default_value = 2.5
    wear.inputs["Detail"].default_value = 8
    mixed = tree.nodes.new("ShaderNodeMixRGB")
    mixed.blend_type = "OVERLAY"
    mixed.inputs["Fac"].default_value = 0.6
    tree.links.new(where.outputs["Object"], tiles.inputs["Vector"])
    tree.links.new(where.outputs["Object"], wear.inputs["Vector"])
    tree.links.new(tiles.outputs["Color"], mixed.inputs["Color1"])
    tree.links.new(wear.outputs["Fac"], mixed.inputs["Color2"])
    tree.links.new(mixed.outputs["Color"], surface(tree).inputs["Base Color"])
    surface(tree).inputs["Roughness"].default_value = 0.7
    return made


def plain(name: str, color: tuple[float, float, float], roughness: float) -> bpy.types.Material:
    """One color."""
    made, tree = material(name)
    surface(tree).inputs["Base Color"].default_value = (*color, 1)
    surface(tree).inputs["Roughness"].default_value = roughness
    return made


def glowing(name: str, color: tuple[float, float, float], strength: float) -> bpy.types.Material:
    """A light source seen directly: scene-linear values of ``color * strength``."""
    made, tree = material(name)
    surface(tree).inputs["Base Color"].default_value = (0, 0, 0, 1)
    surface(tree).inputs["Emission Color"].default_value = (*color, 1)
    surface(tree).inputs["Emission Strength"].default_value = strength
    return made


def box(
    size: tuple[float, float, float],
    location: tuple[float, float, float],
    made_of: bpy.types.Material,
) -> bpy.types.Object:
    """A box of a size in metres around a location."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=location)
    thing = bpy.context.object
    thing.scale = size
    bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
    thing.data.materials.append(made_of)
    return thing


def ball(
    radius: float, location: tuple[float, float, float], made_of: bpy.types.Material
) -> bpy.types.Object:
    """A smooth sphere."""
    bpy.ops.mesh.primitive_uv_sphere_add(radius=radius, location=location, segments=48)
    thing = bpy.context.object
    bpy.ops.object.shade_smooth()
    thing.data.materials.append(made_of)
    return thing


def build_surroundings() -> None:
    """Wall, floor, windows that glow above 1, crates, pillars and a lamp."""
    brick, floor = brick_wall(), tiled_floor()
    wood, steel = plain("wood", (0.36, 0.20, 0.08), 0.8), plain("steel", (0.35, 0.37, 0.40), 0.4)
    box((40, 0.4, 7), (0, 4.2, 3.5), brick)
    box((40, 16, 0.2), (0, 0, -0.1), floor)
    for index in range(-4, 5):
        warm = (1.0, 0.62 + 0.04 * (index % 3), 0.28)
        window = glowing(f"window{index}", warm, 5.0 if index % 2 else 1.6)
        box((1.1, 0.1, 1.5), (index * 3.1, 4.0, 3.1), window)
        box((1.35, 0.16, 0.12), (index * 3.1, 3.95, 2.3), steel)
    box((2.2, 0.1, 0.7), (-1.6, 3.95, 1.4), glowing("sign", (0.1, 0.75, 1.0), 3.0))
    box((0.9, 0.1, 1.9), (3.6, 3.95, 0.95), plain("door", (0.05, 0.22, 0.16), 0.5))
    for x, y, size, turn in ((-3.4, 3.1, 0.9, 0.3), (-2.5, 3.3, 0.6, 0.9), (1.6, 3.3, 0.8, 0.2)):
        box((size, size, size), (x, y, size / 2), wood).rotation_euler[2] = turn
    for x in (-5.5, 5.8):
        box((0.35, 0.35, 6), (x, 1.2, 3), steel)
    bpy.ops.object.light_add(type="SUN", rotation=(math.radians(48), math.radians(14), 0.5))
    bpy.context.object.data.energy = 3.2
    bpy.context.object.data.angle = math.radians(1.5)
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.35, 0.5, 0.8, 1)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.5


def build_robot() -> list[bpy.types.Object]:
    """What has to be removed: a body on a ball, with a glowing eye, rolling from left to right."""
    white, dark = plain("shell", (0.85, 0.85, 0.82), 0.3), plain("rubber", (0.03, 0.03, 0.03), 0.6)
    parts = [
        ball(0.42, (0, 0, 0.42), dark),
        box((0.62, 0.5, 0.75), (0, 0, 1.1), white),
        ball(0.3, (0, 0, 1.65), white),
        ball(0.09, (0.05, -0.28, 1.68), glowing("eye", (1.0, 0.1, 0.05), 8.0)),
    ]
    bpy.ops.object.empty_add(location=(0, 0, 0))
    root = bpy.context.object
    for part in parts:
        part.parent = root
    for frame, x, y in ((0, -3.4, 1.0), (FRAME_COUNT - 1, 2.8, 0.4)):
        root.location = (x, y, 0)
        root.keyframe_insert("location", frame=FIRST_FRAME + frame)
    return parts


def build_camera() -> None:
    """Trucks slowly to the right and turns a little against it."""
    bpy.ops.object.camera_add()
    camera = bpy.context.object
    camera.data.lens = 32
    bpy.context.scene.camera = camera
    for frame, x, pan in ((0, -0.9, -3.0), (FRAME_COUNT - 1, 0.9, 3.0)):
        camera.location = (x, -6.4, 1.75)
        camera.rotation_euler = (math.radians(88), 0, math.radians(pan))
        camera.keyframe_insert("location", frame=FIRST_FRAME + frame)
        camera.keyframe_insert("rotation_euler", frame=FIRST_FRAME + frame)


def configure(scene: bpy.types.Scene) -> None:
    """Cycles on the CPU, denoised, half-float EXR."""
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 4
    scene.cycles.seed = 7
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.resolution_percentage = 100
    scene.render.use_motion_blur = False
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "32"


def render(scene: bpy.types.Scene, frame: int, folder: Path, name: str) -> np.ndarray:
    """Render one frame, (H, W, 4) float32 scene-linear, top row first."""
    scene.frame_set(frame)
    path = folder / f"{name}.exr"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT)


def matte_of(plate: np.ndarray, truth: np.ndarray, silhouette: np.ndarray) -> np.ndarray:
    """Cover the silhouette and every visible difference, shadow included; (H, W) in [0, 1]."""
    change = np.abs(plate[..., :3] - truth[..., :3]).max(-1)
    change = change / (truth[..., :3].max(-1) + 0.05)
    buffer = oiio.ImageBuf(
        np.ascontiguousarray(np.maximum(change > 0.08, silhouette > 0.01), np.float32)
    )
    opened = oiio.ImageBufAlgo.dilate(oiio.ImageBufAlgo.erode(buffer, 3, 3), 9, 9)
    grown = np.maximum(
        opened.get_pixels(oiio.FLOAT)[..., 0],
        oiio.ImageBufAlgo.dilate(
            oiio.ImageBuf(np.ascontiguousarray(silhouette > 0.01, np.float32)), 7, 7
        ).get_pixels(oiio.FLOAT)[..., 0],
    )
    kernel = oiio.ImageBufAlgo.make_kernel("gaussian", 3, 3)
    soft = oiio.ImageBufAlgo.convolve(oiio.ImageBuf(np.ascontiguousarray(grown)), kernel)
    return np.clip(soft.get_pixels(oiio.FLOAT)[..., 0], 0, 1)


def write(path: Path, pixels: np.ndarray, channels: tuple[str, ...], frame: int) -> None:
    """Half-float EXR; DWAA loses a little color, never the matte."""
    spec = oiio.ImageSpec(WIDTH, HEIGHT, len(channels), oiio.HALF)
    spec.channelnames = channels
    spec["compression"] = "dwaa:45"
    spec["oiio:ColorSpace"] = "lin_rec709_scene"
    spec["Software"] = "STTN demo shot"
    spec["framesPerSecond"] = 24.0
    buffer = oiio.ImageBuf(spec)
    buffer.set_pixels(oiio.ROI(), np.ascontiguousarray(pixels, np.float32))
    if not buffer.write(str(path)):
        raise OSError(f"cannot write {path}: {buffer.geterror()}")
    print(f"{path.name} frame {frame} max {pixels[..., :3].max():.2f}", flush=True)


def main(output: Path) -> None:
    """Build the scene and write every frame."""
    output.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    configure(scene)
    build_surroundings()
    robot = build_robot()
    build_camera()
    for action in bpy.data.actions:
        for curve in action.layers[0].strips[0].channelbags[0].fcurves:
            for key in curve.keyframe_points:
                key.interpolation = "LINEAR"
    others = [thing for thing in scene.objects if thing.type == "MESH" and thing not in robot]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for frame in range(FIRST_FRAME, FIRST_FRAME + FRAME_COUNT):
            plate = render(scene, frame, folder, "plate")
            for part in robot:
                part.hide_render = True
            truth = render(scene, frame, folder, "truth")
            for part in robot:
                part.hide_render = False
            for thing in others:
                thing.hide_render = True
            scene.render.film_transparent, scene.cycles.samples = True, 4
            silhouette = render(scene, frame, folder, "silhouette")[..., 3]
            scene.render.film_transparent, scene.cycles.samples = False, SAMPLES
            for thing in others:
                thing.hide_render = False
            matte = matte_of(plate, truth, silhouette)[..., np.newaxis]
            write(
                output / f"plate.{frame}.exr",
                np.concatenate([plate[..., :3], matte], axis=-1),
                ("R", "G", "B", "matte.A"),
                frame,
            )
            write(output / f"truth.{frame}.exr", truth[..., :3], ("R", "G", "B"), frame)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
