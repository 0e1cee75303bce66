"""Make the pictures of README.md: the demo shot through the compositor, and its node trees.

    python -m host_examples.blender.pictures OUTPUT_FOLDER SERVER

Needs bpy 5.0.1, what the extension's wheels hold, and a running sttn-server. Everything shown is
rendered by Blender or drawn from its node trees; there are no screenshots, for the module has no
window.
"""

import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np

from host_examples.blender import register
from host_examples.blender.tree import add_node
from host_examples.drawing import WIDTH, Box, draw
from host_examples.standalone.image_files import read_image, write_image, write_png

SHOT = Path(__file__).parents[1] / "demo" / "shot"
FIRST, LAST, SHOWN = 1001, 1032, 1017


def split(folder: Path) -> tuple[int, int]:
    """Plate and matte as files of their own; width and height."""
    for frame in range(FIRST, LAST + 1):
        pixels, spec = read_image(SHOT / f"plate.{frame}.exr")
        names = list(spec.channelnames)
        for name, channels in (("plate", ("R", "G", "B")), ("matte", ("matte.A",))):
            spec.nchannels, spec.channelformats = len(channels), ()
            spec.channelnames = channels if name == "plate" else ("Y",)
            picked = pixels[..., [names.index(channel) for channel in channels]]
            write_image(folder / f"{name}.{frame}.exr", picked, spec)
    return spec.width, spec.height


def sequence(tree: bpy.types.NodeTree, path: Path, place: tuple[int, int]) -> bpy.types.Node:
    """An image sequence in the compositor."""
    node = tree.nodes.new("CompositorNodeImage")
    node.image = bpy.data.images.load(str(path))
    node.image.source = "SEQUENCE"
    node.frame_start, node.frame_offset = FIRST, FIRST - 1
    node.frame_duration = LAST - FIRST + 1
    node.location = place
    return node


def render(folder: Path, name: str) -> np.ndarray:
    """The compositor's output at the frame shown, as a display shows it."""
    scene = bpy.context.scene
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(folder / f"{name}.####.png")
    scene.frame_start = scene.frame_end = SHOWN
    bpy.ops.render.render(animation=True)
    scene.frame_start, scene.frame_end = FIRST, LAST
    pixels, _ = read_image(folder / f"{name}.{SHOWN}.png")
    return pixels[..., :3] if pixels.shape[-1] > 1 else pixels.repeat(3, axis=-1)


def drawn(tree: bpy.types.NodeTree, caption: str) -> str:
    """A tree as SVG."""
    boxes = {
        node.name: Box(
            label=node.label or node.name,
            kind=node.bl_idname,
            x=node.location.x * (WIDTH + 50) / 200,
            y=-node.location.y * 75 / 200,
            inputs=[link.from_node.name for socket in node.inputs for link in socket.links],
        )
        for node in tree.nodes
    }
    return draw(boxes, caption)


def main(output: Path, server: str) -> None:
    """Make every picture."""
    scene = bpy.context.scene
    tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    scene.compositing_node_group = tree
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scene.render.resolution_x, scene.render.resolution_y = split(folder)
        scene.frame_start, scene.frame_end = FIRST, LAST
        plate = sequence(tree, folder / f"plate.{FIRST}.exr", (0, 0))
        matte = sequence(tree, folder / f"matte.{FIRST}.exr", (0, -200))
        matte.image.colorspace_settings.name = "Non-Color"
        inpaint, out = add_node(tree), tree.nodes.new("NodeGroupOutput")
        inpaint.location, out.location = (200, 0), (400, 0)
        plate.label, matte.label, out.label = "Plate", "Garbage matte", "Output"
        tree.links.new(plate.outputs[0], inpaint.inputs["Source"])
        tree.links.new(matte.outputs[0], inpaint.inputs["Matte"])
        shown = []
        for name, source in (("plate", plate), ("matte", matte)):
            tree.links.new(source.outputs[0], out.inputs[0])
            shown.append(render(folder, name))
        tree.links.new(inpaint.outputs[0], out.inputs[0])
        inpaint.node_tree.sttn.server, inpaint.node_tree.sttn.folder = server, temporary
        bpy.ops.sttn.inpaint()
        shown.append(render(folder, "clean"))
        write_png(output / "first_result.png", np.hstack(shown))
    caption = "Drawn from Blender's own node tree"
    (output / "compositor.svg").write_text(drawn(tree, caption))
    (output / "inside.svg").write_text(drawn(inpaint.node_tree, caption))


if __name__ == "__main__":
    register()
    main(Path(sys.argv[1]), sys.argv[2])
