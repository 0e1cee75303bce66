"""Params as Blender properties on the node group's tree, made from the node's own description."""

from collections.abc import Mapping
from typing import Any

import bpy

from node.effect import Params, ParamSpec, State, describe_in_context

HIDDEN = frozenset({"matte_channel", "color_space", "ocio_config", "on_missing"})
"""What the export settles: the Matte socket, Blender's own color management, and that no frame is
missing."""
DEFAULTS: dict[str, Any] = {"premultiplied": True}
"""Where Blender's conventions differ: the compositor's colors are multiplied by their alpha."""

NOT_ANIMATED: set[str] = set()
"""A run takes one value for all frames: keys, which Blender offers by default, would do nothing."""
PATH = {"PATH_SUPPORTS_BLEND_RELATIVE"}
"""Not animated either, and ``//`` is the file's folder."""

OWN_WORDS = {
    "server": "Blender starts none: enter one",
    "frames": "Here these are the scene's",
}
"""What is so in Blender, after the node's own words."""


def shown_params() -> tuple[ParamSpec, ...]:
    """What an artist sets here."""
    return tuple(spec for spec in describe_in_context().params if spec.name not in HIDDEN)


def set_params(group: bpy.types.NodeTree) -> dict[str, Any]:
    """What the artist set, by the param's name."""
    return {spec.name: getattr(group.sttn, spec.name) for spec in shown_params()}


def params_of(group: bpy.types.NodeTree, settled: Mapping[str, Any]) -> Params:
    """The node's params.

    Args:
        group: What the artist set is on it.
        settled: Params that are not the artist's to set.

    Raises:
        ValueError: a value that cannot work.
    """
    return Params(**set_params(group), **settled)


def property_of(spec: ParamSpec) -> object:
    """The Blender property of one param."""
    hint = f"{spec.hint} {OWN_WORDS.get(spec.name, '')}".rstrip(". ")
    told = {"name": spec.label, "description": hint, "options": NOT_ANIMATED}
    default = DEFAULTS.get(spec.name, spec.default)
    if spec.kind == "choice":
        items = [(choice, choice.capitalize(), "") for choice in spec.choices]
        return bpy.props.EnumProperty(items=items, default=default, **told)
    if spec.kind == "string":
        return bpy.props.StringProperty(default=default, **told)
    if spec.kind == "bool":
        return bpy.props.BoolProperty(default=default, **told)
    number = {"int": bpy.props.IntProperty, "float": bpy.props.FloatProperty}[spec.kind]
    given = {"default": default, "min": spec.minimum, "max": spec.maximum}
    limits = {name: value for name, value in given.items() if value is not None}
    return number(**limits, **told)


def _settings_type() -> type:
    annotations = {
        "is_inpaint": bpy.props.BoolProperty(options={"HIDDEN"}),
        "state": bpy.props.EnumProperty(
            name="State",
            items=[(each, each.capitalize(), "") for each in State.__members__],
            default="IDLE",
            options=NOT_ANIMATED,
        ),
        "message": bpy.props.StringProperty(name="Message", options=NOT_ANIMATED),
        "progress": bpy.props.FloatProperty(
            name="Progress", min=0, max=1, subtype="FACTOR", options=NOT_ANIMATED
        ),
        "folder": bpy.props.StringProperty(
            name="Folder",
            description="Where results are kept; empty keeps them beside the saved file",
            subtype="DIR_PATH",
            options=PATH,
        ),
        "clean_frames": bpy.props.StringProperty(
            name="Clean frames",
            description="Frames that you painted, as name.####.exr: copied from, and shown under "
            "the matte as they are. In the compositor's working space, as large as its frames",
            subtype="FILE_PATH",
            options=PATH,
        ),
        "analyzed": bpy.props.StringProperty(options={"HIDDEN"}),
        "analyzing": bpy.props.StringProperty(options={"HIDDEN"}),
        **{spec.name: property_of(spec) for spec in shown_params()},
    }
    return type("STTN_PG_inpaint", (bpy.types.PropertyGroup,), {"__annotations__": annotations})


_registered: list[type] = []


def register() -> None:
    """Give every node tree the properties; only our groups use them."""
    _registered.append(_settings_type())
    bpy.utils.register_class(_registered[0])
    bpy.types.NodeTree.sttn = bpy.props.PointerProperty(type=_registered[0])


def unregister() -> None:
    """Forget the properties; what files hold of them stays in the files."""
    del bpy.types.NodeTree.sttn
    bpy.utils.unregister_class(_registered.pop())
