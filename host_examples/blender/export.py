"""What flows into the node, written frame by frame as multi-layer EXR by Blender's compositor.

A copy of the scene renders, so that the artist's own is never touched: its outputs and viewers
are left out. One file per frame is written, with ``plate.R`` ... ``matte.V``, and ``holdout.V``
where something is connected to Hold Out.
"""

import contextlib
import os
from pathlib import Path

import bpy

from host_examples.blender.tree import FIVE, HOLD_OUT, compositor_tree, is_inpaint
from node.errors import ClipError

PLATE = ("plate.R", "plate.G", "plate.B", "plate.A")
MATTE = ("matte.V",)
HELD_OUT = ("holdout.V",)
_CONVERSIONS = {
    "Source": "CompositorNodeSwitch",  # off: its first picture
    "Matte": "ShaderNodeMath",  # 0 + what is connected
    HOLD_OUT: "ShaderNodeMath",
}
_NAME_THEIR_SCENE = ("CompositorNodeRLayers", "CompositorNodeCryptomatteV2")
_NOT_EXPORTED = ("CompositorNodeOutputFile", "CompositorNodeViewer", "CompositorNodeSplitViewer")


class Export:
    """A copy of the scene that renders what flows into the node."""

    def __init__(self, scene: bpy.types.Scene, node: bpy.types.Node, folder: Path) -> None:
        """Make the copy.

        Args:
            scene: The artist's scene.
            node: Our node in its compositor.
            folder: Where frames go.

        Raises:
            ClipError: an input is not connected, every eye would get the left one's picture, or a
                part of the frame is rendered.
        """
        if scene.render.use_multiview:
            raise ClipError(
                "Output > Stereoscopy is on, and both eyes would show the left one's picture; "
                "switch it off, and run each eye in a scene of its own"
            )
        if scene.render.use_border:
            raise ClipError(
                "Output > Render Region is on, and what lies outside it would be missing from the "
                "plate; switch it off while this runs"
            )
        for name in ("Source", "Matte"):
            if _connected(node, name) is None:
                raise ClipError(f"{node.name} has nothing connected to {name}; connect it first")
        self._folder = folder
        self._layers = {"plate": "Source", "matte": "Matte"}
        if _connected(node, HOLD_OUT) is not None:
            self._layers["holdout"] = HOLD_OUT
        self._copies: list[bpy.types.ID] = []
        self._scene = self._copied(scene)
        if bpy.app.version >= FIVE:
            self._scene.compositing_node_group = self._copied(scene.compositing_node_group)
        tree = compositor_tree(self._scene)
        self._leave_out(tree, scene)
        self._prepare_nodes(tree, node.name)
        self._prepare_render()

    def close(self) -> None:
        """Remove the copy; it may be gone, for an undo takes it too."""
        for copy in self._copies:
            with contextlib.suppress(ReferenceError):
                is_scene = isinstance(copy, bpy.types.Scene)
                (bpy.data.scenes if is_scene else bpy.data.node_groups).remove(copy)

    @property
    def holds_out(self) -> bool:
        """Whether there is a hold-out matte."""
        return "holdout" in self._layers

    def frame(self, number: int) -> Path:
        """Write one frame; the file it went to.

        Raises:
            ClipError: Blender could not.
        """
        self._scene.frame_start = self._scene.frame_end = number
        try:
            bpy.ops.render.render(animation=True, scene=self._scene.name)
        except RuntimeError as error:
            raise ClipError(f"frame {number} could not be exported: {error}") from error
        path = self._folder / f"export.{number:04d}.exr"
        if not path.exists():
            raise ClipError(
                f"frame {number} was rendered, but {path} is not there; is the disk full?"
            )
        for preview in self._folder.glob("ignored.*"):
            preview.unlink()
        return path

    def _copied(self, original: bpy.types.ID) -> bpy.types.ID:
        copy = original.copy()
        copy.is_runtime_data = True  # never in a file that is saved meanwhile
        self._copies.append(copy)
        return copy

    def _leave_out(self, tree: bpy.types.NodeTree, scene: bpy.types.Scene) -> None:
        # What would write or show something of its own, in groups inside groups too.
        for node in list(tree.nodes):
            if node.bl_idname in _NOT_EXPORTED:
                tree.nodes.remove(node)
            elif node.bl_idname in _NAME_THEIR_SCENE and node.scene == scene:
                node.scene = self._scene
            elif (
                node.bl_idname == "CompositorNodeGroup" and node.node_tree and not is_inpaint(node)
            ):
                node.node_tree = self._copied(node.node_tree)
                self._leave_out(node.node_tree, scene)

    def _prepare_nodes(self, tree: bpy.types.NodeTree, name: str) -> None:
        output = tree.nodes.new("CompositorNodeOutputFile")
        if bpy.app.version >= FIVE:
            output.directory, output.file_name = _literal(self._folder), "export.####"
            output.format.media_type = "MULTI_LAYER_IMAGE"
            output.format.use_exr_interleave = True  # else one part per layer
            for layer, socket in self._layers.items():
                output.file_output_items.new("RGBA" if socket == "Source" else "FLOAT", layer)
        else:
            output.format.file_format = "OPEN_EXR_MULTILAYER"
            output.base_path = os.path.join(_literal(self._folder), "export.####")
            output.layer_slots.clear()
            for layer in self._layers:
                output.layer_slots.new(layer)
        output.format.color_depth, output.format.exr_codec = "32", "ZIP"
        for layer, socket in self._layers.items():
            # Whatever is connected becomes what the group makes of it: color, or one number.
            converted = tree.nodes.new(_CONVERSIONS[socket])
            tree.links.new(_connected(tree.nodes[name], socket), converted.inputs[1])
            converted.inputs[0].default_value = 0
            tree.links.new(converted.outputs[0], output.inputs[layer])
        tree.nodes.remove(tree.nodes[name])  # what it shows is not needed

    def _prepare_render(self) -> None:
        render = self._scene.render
        render.use_compositing, render.use_sequencer = True, False
        render.compositor_precision = "FULL"
        render.use_placeholder = False
        render.use_overwrite = render.use_file_extension = True
        # An animation writes the scene's own picture too; the smallest that there is.
        render.filepath = os.path.join(_literal(self._folder), "ignored.####")
        if bpy.app.version >= FIVE:
            render.image_settings.media_type = "IMAGE"
        render.image_settings.file_format = "JPEG"
        render.image_settings.quality = 1


def _connected(node: bpy.types.Node, name: str) -> bpy.types.NodeSocket | None:
    """What flows into an input: nothing does through a muted link."""
    links = (each for each in node.inputs[name].links if each.is_valid and not each.is_muted)
    return next((each.from_socket for each in links), None)


def _literal(folder: Path) -> str:
    # Where files are written to, Blender replaces what stands in braces.
    return str(folder).replace("{", "{{").replace("}", "}}")


def exported_color() -> dict[str, str]:
    """Params that say which color space exported frames are in.

    Empty for Blender's default, which is also the node's: scene-linear Rec.709.
    """
    config = os.environ.get("BLENDER_OCIO") or os.environ.get("OCIO")
    space = str(bpy.data.colorspace.working_space) if bpy.app.version >= FIVE else "scene_linear"
    if config is None and space in ("Linear Rec.709", "scene_linear"):
        return {}
    datafiles = os.path.join(bpy.utils.resource_path("LOCAL"), "datafiles")
    bundled = os.path.join(datafiles, "colormanagement", "config.ocio")
    return {"ocio_config": config or bundled, "color_space": space}
