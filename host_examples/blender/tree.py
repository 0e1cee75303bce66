"""The compositor's tree: where the node group is, what it is made of, what it shows.

The group holds Blender's own nodes only, so that a file renders where the extension is missing::

    Source --------------------------------+--> Off
    Source -> finite --> Background        |    Switch ----> Image
    Result ------------> Foreground        |
                         Alpha Over -> Source's alpha --> On

Switch is driven by the frame number: on where frames are finished. A finished frame's file has
alpha 1 everywhere, which Alpha Over hands through bit for bit; a file that was deleted reads as
transparent black, and the plate shows. The background is made finite because 0 * inf is NaN.
"""

import contextlib
from pathlib import Path

import bpy

from node.effect import describe
from node.errors import ClipError

LABEL = describe().label
HOLD_OUT = "Hold Out"
RESULT = "Result"
LARGEST = 3e38
FIVE = (5, 0)
"""Blender's version in which the compositor's tree became a node group."""


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The scene's compositor tree; None where it has none."""
    if bpy.app.version >= FIVE:
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def require_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor tree, made with a way through it where there is none."""
    tree = compositor_tree(scene)
    if tree is not None:
        return tree
    if bpy.app.version < FIVE:
        scene.use_nodes = True
        return scene.node_tree
    tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    scene.compositing_node_group = tree
    layers, output = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("NodeGroupOutput")
    tree.links.new(layers.outputs[0], output.inputs[0])
    return tree


def is_inpaint(node: bpy.types.Node) -> bool:
    """Whether a node is one of ours."""
    return bool(
        node is not None
        and node.bl_idname == "CompositorNodeGroup"
        and node.node_tree is not None
        and node.node_tree.sttn.is_inpaint
    )


def inpaint_nodes(scene: bpy.types.Scene) -> list[bpy.types.Node]:
    """Our nodes in a scene's compositor, not inside other groups."""
    tree = compositor_tree(scene)
    return [] if tree is None else [node for node in tree.nodes if is_inpaint(node)]


def find_node(scene: bpy.types.Scene, name: str = "") -> bpy.types.Node | None:
    """The node of that name; without a name the active one, else the only one."""
    nodes = inpaint_nodes(scene)
    if name:
        return next((node for node in nodes if node.name == name), None)
    tree = compositor_tree(scene)
    if tree is not None and is_inpaint(tree.nodes.active):
        return tree.nodes.active
    return nodes[0] if len(nodes) == 1 else None


def add_node(tree: bpy.types.NodeTree) -> bpy.types.Node:
    """A new node with a group of its own."""
    node = tree.nodes.new("CompositorNodeGroup")
    node.node_tree = new_group()
    node.name = node.label = LABEL
    node.width = 200
    return node


def own_group(node: bpy.types.Node) -> bool:
    """Give a node a group of its own where it shares one; whether it did.

    Duplicates share their group, and a group linked from another file belongs to that file.
    """
    shared = node.node_tree
    if shared.is_editable and shared.users - shared.use_fake_user < 2:
        return False
    node.node_tree = shared.copy()
    return True


def new_group() -> bpy.types.NodeTree:
    """The node group: Source, Matte and Hold Out in, Image out; nothing is finished yet."""
    group = bpy.data.node_groups.new(LABEL, "CompositorNodeTree")
    group.sttn.is_inpaint = True
    for name, way, kind in (
        ("Source", "INPUT", "NodeSocketColor"),
        ("Matte", "INPUT", "NodeSocketFloat"),
        (HOLD_OUT, "INPUT", "NodeSocketFloat"),
        ("Image", "OUTPUT", "NodeSocketColor"),
    ):
        group.interface.new_socket(name, in_out=way, socket_type=kind)
    made = {
        name: _placed(group, name, kind, column, row)
        for name, kind, column, row in (
            ("Input", "NodeGroupInput", 0, -1),
            ("Channels", "CompositorNodeSeparateColor", 1, 0),
            ("Finite", "CompositorNodeCombineColor", 4, 0),
            (RESULT, "CompositorNodeImage", 4, 2),
            ("Over", "CompositorNodeAlphaOver", 5, 1),
            ("Split", "CompositorNodeSeparateColor", 6, 1),
            ("Join", "CompositorNodeCombineColor", 7, 1),
            ("Finished", "CompositorNodeSwitch", 8, -1),
            ("Output", "NodeGroupOutput", 9, -1),
        )
    }
    source, link = made["Input"].outputs["Source"], group.links.new
    background = 0 if bpy.app.version >= FIVE else 1
    link(source, made["Channels"].inputs[0])
    for channel in range(3):
        limited = made["Channels"].outputs[channel]
        for column, operation, limit in ((2, "MINIMUM", LARGEST), (3, "MAXIMUM", -LARGEST)):
            # The limit comes first: of a NaN and a number, Blender takes the first that is one.
            node = _placed(group, f"{operation} {channel}", "ShaderNodeMath", column, channel)
            node.operation = operation
            node.inputs[0].default_value = limit
            link(limited, node.inputs[1])
            limited = node.outputs[0]
        link(limited, made["Finite"].inputs[channel])
        link(made["Split"].outputs[channel], made["Join"].inputs[channel])
    link(made["Channels"].outputs[3], made["Finite"].inputs[3])
    link(made["Finite"].outputs[0], made["Over"].inputs[background])
    link(made[RESULT].outputs[0], made["Over"].inputs[background + 1])
    link(made["Over"].outputs[0], made["Split"].inputs[0])
    link(made["Channels"].outputs[3], made["Join"].inputs[3])
    link(source, made["Finished"].inputs[1])
    link(made["Join"].outputs[0], made["Finished"].inputs[2])
    link(made["Finished"].outputs[0], made["Output"].inputs[0])
    made["Finished"].inputs[0].default_value = False
    return group


def result_node(group: bpy.types.NodeTree) -> bpy.types.Node:
    """What shows finished frames.

    Raises:
        ClipError: it was removed from the group.
    """
    result = group.nodes.get(RESULT)
    if result is None:
        raise ClipError(f"{group.name} has no node {RESULT} any more; undo that, or add a new node")
    return result


def show_results(
    group: bpy.types.NodeTree, first_file: Path, first: int, last: int, *, over: bool
) -> None:
    """Show the finished frames, and the plate everywhere else.

    Args:
        group: Made by :func:`new_group`.
        first_file: File of the first finished frame.
        first: Its number.
        last: Number of the last finished frame.
        over: Whether results replace the plate and have its alpha; else they stand alone.
    """
    result = result_node(group)
    path = str(first_file)
    if result.image is None or bpy.path.abspath(result.image.filepath) != path:
        replaced = result.image
        result.image = bpy.data.images.load(path, check_existing=False)
        result.image.name = group.name
        result.image.source = "SEQUENCE"
        result.image.colorspace_settings.is_data = True
        result.image.alpha_mode = "CHANNEL_PACKED"
        if bpy.data.is_saved:
            with contextlib.suppress(ValueError):  # on another drive
                result.image.filepath = bpy.path.relpath(path)
        if replaced is not None and not replaced.users:
            bpy.data.images.remove(replaced)
    else:
        result.image.reload()
    result.frame_start, result.frame_offset = first, first - 1
    result.frame_duration = last - first + 1
    switch = group.nodes["Finished"].inputs[0]
    switch.driver_remove("default_value")
    driver = switch.driver_add("default_value").driver
    # Not the driver's own "frame", which time stretching changes; files are found by this one.
    now = driver.variables.new()
    now.name, now.type = "now", "CONTEXT_PROP"
    now.targets[0].context_property = "ACTIVE_SCENE"
    now.targets[0].data_path = "frame_current"
    # Simple enough for Blender to evaluate it without Python, so it needs nobody's trust.
    driver.expression = f"now >= {first} and now <= {last}"
    shown = group.nodes["Join"] if over else result
    group.links.new(shown.outputs[0], group.nodes["Finished"].inputs[2])


def _placed(
    group: bpy.types.NodeTree, name: str, kind: str, column: int, row: int
) -> bpy.types.Node:
    node = group.nodes.new(kind)
    node.name = name
    node.location = (column * 200, -row * 200)
    return node
