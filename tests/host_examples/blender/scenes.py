"""Inside Blender: scenes to run the node in, and what is asked of them."""

from pathlib import Path

import bpy

FIRST, COUNT = 1001, 4
LAST = FIRST + COUNT - 1
EXTENSION = "bl_ext.user_default.sttn_inpaint"
WIDTH, HEIGHT = 192, 112
BOX = [(0.3, 0.3), (0.6, 0.3), (0.6, 0.7), (0.3, 0.7)]


def enable() -> None:
    bpy.ops.preferences.addon_enable(module=EXTENSION)


def scene_with_plate(folder: Path):
    """A compositor that shows the plate: scene, tree, socket of the plate, link to the output."""
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.resolution_percentage = 100
    scene.frame_start, scene.frame_end = FIRST, LAST
    if bpy.app.version >= (5, 0):
        tree = bpy.data.node_groups.new("Comp", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        output = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        output = tree.nodes.new("CompositorNodeComposite")
    plate = tree.nodes.new("CompositorNodeImage")
    plate.image = bpy.data.images.load(str(folder / f"plate.{FIRST}.exr"))
    plate.image.source = "SEQUENCE"
    plate.frame_start, plate.frame_duration, plate.frame_offset = FIRST, COUNT, FIRST - 1
    tree.links.new(plate.outputs[0], output.inputs[0])
    return scene, tree, plate.outputs[0], output.inputs[0]


def mask_socket(tree, box=BOX):
    mask = bpy.data.masks.new("Garbage")
    mask.frame_start, mask.frame_end = FIRST, LAST
    spline = mask.layers.new(name="Layer").splines.new()
    spline.points.add(len(box) - 1)  # a new spline has one
    spline.use_cyclic = True
    for point, corner in zip(spline.points, box, strict=True):
        point.co, point.handle_type = corner, "VECTOR"
    node = tree.nodes.new("CompositorNodeMask")
    node.mask = mask
    return node.outputs[0]


def with_image(tree, image):
    node = tree.nodes.new("CompositorNodeImage")
    node.image = image
    return node.outputs[0]


def add_inpaint(tree, plate, matte, output, server: str):
    assert bpy.ops.sttn.add_node() == {"FINISHED"}
    node = tree.nodes.active
    tree.links.new(plate, node.inputs["Source"])
    tree.links.new(matte, node.inputs["Matte"])
    tree.links.new(node.outputs[0], output)
    node.node_tree.sttn.server = server
    return node


def masked(folder: Path, server: str):
    scene, tree, plate, output = scene_with_plate(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    return scene, add_inpaint(tree, plate, mask_socket(tree), output, server)


def render(scene, folder: Path, name: str, first: int = FIRST, last: int = LAST) -> None:
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    scene.render.filepath = str(folder / f"{name}.####.exr")
    scene.frame_start, scene.frame_end = first, last
    bpy.ops.render.render(animation=True)
    scene.frame_start, scene.frame_end = FIRST, LAST


def told(node) -> dict:
    settings = node.node_tree.sttn
    return {"state": settings.state, "message": settings.message}


def attempt(call) -> str:
    """What the operator reported as an error; empty where it did not."""
    try:
        call()
    except (RuntimeError, TypeError) as error:
        return str(error)
    return ""
