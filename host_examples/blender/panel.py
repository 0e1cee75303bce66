"""The panel in the compositor's sidebar, and the entry in its Add menu."""

import textwrap

import bpy

from host_examples.blender.operators import running
from host_examples.blender.properties import shown_params
from host_examples.blender.tree import find_node

_ICONS = {"ERROR": "ERROR", "STALE": "FILE_REFRESH", "DONE": "CHECKMARK"}
_FIRST = ("server", "frames", "handles")
_LINE = 44


class Panel(bpy.types.Panel):
    """Sidebar > STTN: state, what to do, params."""

    bl_idname = "STTN_PT_inpaint"
    bl_label = "STTN Inpaint"
    bl_space_type = "NODE_EDITOR"
    bl_region_type = "UI"
    bl_category = "STTN"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only in the compositor."""
        return bool(context.space_data.tree_type == "CompositorNodeTree")

    def draw(self, context: bpy.types.Context) -> None:
        """State and buttons first, then the params in the node's own order."""
        layout = self.layout
        node = find_node(context.scene)
        if node is None:
            layout.label(text="Select an STTN Inpaint node, or add one")
            layout.operator("sttn.add_node", icon="ADD")
            return
        settings = node.node_tree.sttn
        draw_state(layout, settings)
        job = running()
        if job is not None and job.works_for(node.node_tree):
            layout.prop(settings, "progress", slider=True)
            layout.operator("sttn.cancel", icon="CANCEL")
        else:
            layout.operator("sttn.inpaint", icon="PLAY").node = node.name
        column = layout.column()
        column.use_property_split = True
        column.enabled = job is None
        for spec in sorted(shown_params(), key=lambda each: each.name not in _FIRST):
            column.prop(settings, spec.name)
        column.prop(settings, "clean_frames")
        column.prop(settings, "folder")
        layout.operator("sttn.remove_old_runs", icon="TRASH")


def draw_state(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """The state and its message, wrapped, since a label cuts what is too long."""
    box = layout.box()
    box.label(text=settings.state.capitalize(), icon=_ICONS.get(settings.state, "INFO"))
    for line in textwrap.wrap(settings.message, _LINE):
        box.label(text=line)


def add_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """Entry in the compositor's Add menu."""
    if context.space_data.tree_type == "CompositorNodeTree":
        self.layout.operator("sttn.add_node", icon="NODETREE")


def register() -> None:
    """Show panel and menu entry."""
    bpy.utils.register_class(Panel)
    bpy.types.NODE_MT_add.append(add_menu)


def unregister() -> None:
    """Hide panel and menu entry."""
    bpy.types.NODE_MT_add.remove(add_menu)
    bpy.utils.unregister_class(Panel)
