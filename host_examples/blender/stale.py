"""Notices that what was analyzed is no longer what flows into the node.

The fingerprint covers params, frame range, resolution and every node upstream: settings, links,
unconnected inputs, and the files, masks and clips that they name. It does not follow Render
Layers into their scene: after a change there, run the node again.
"""

import glob
import hashlib
import json
import os
from collections.abc import Iterable

import bpy

from host_examples.blender.properties import set_params
from host_examples.blender.tree import inpaint_nodes

_WATCHED = ("NODETREE", "SCENE", "IMAGE", "MASK", "MOVIECLIP")
# Blender warns where an image without layers is asked which one it shows.
_ONLY_WHERE = {"layer": "has_layers", "view": "has_views"}


def fingerprint(scene: bpy.types.Scene, node: bpy.types.Node) -> str:
    """A digest that changes when a new analysis is needed."""
    upstream = sorted(_upstream(node), key=lambda each: str(each.name))
    render = scene.render
    told = {
        "params": set_params(node.node_tree),
        "painted": _files(bpy.path.abspath(node.node_tree.sttn.clean_frames)),
        "scene": [
            *(scene.frame_start, scene.frame_end),
            *(render.resolution_x, render.resolution_y, render.resolution_percentage),
        ],
        "inputs": _links(node),
        "nodes": [_node(each) for each in upstream],
    }
    return hashlib.blake2b(json.dumps(told, default=str).encode(), digest_size=16).hexdigest()


def _files(pattern: str) -> list[tuple[str, float]]:
    found = sorted(glob.glob(pattern.replace("#", "[0-9]"))) if pattern else []
    return [(path, os.path.getmtime(path)) for path in found]


def _upstream(node: bpy.types.Node) -> list[bpy.types.Node]:
    found: dict[str, bpy.types.Node] = {}
    waiting = [node]
    while waiting:
        for socket in waiting.pop().inputs:
            for link in socket.links:
                if link.from_node.name not in found:
                    found[link.from_node.name] = link.from_node
                    waiting.append(link.from_node)
    return list(found.values())


def _node(node: bpy.types.Node) -> list[object]:
    settings = {
        each.identifier: _value(getattr(node, each.identifier))
        for each in node.bl_rna.properties
        if each.identifier not in bpy.types.Node.bl_rna.properties  # name, place, color ...
        and getattr(node, _ONLY_WHERE.get(each.identifier, ""), True)
    }
    constants = [_value(getattr(socket, "default_value", None)) for socket in node.inputs]
    return [node.name, node.mute, settings, constants, _links(node)]


def _links(node: bpy.types.Node) -> list[list[str]]:
    return [
        [link.from_node.name, link.from_socket.identifier]
        for socket in node.inputs
        for link in socket.links
    ]


def _value(value: object) -> object:
    if isinstance(value, bpy.types.Mask):
        return [
            [[*point.co, *point.handle_left, *point.handle_right] for point in spline.points]
            for layer in value.layers
            for spline in layer.splines
        ]
    if isinstance(value, bpy.types.ID):
        path = bpy.path.abspath(getattr(value, "filepath", ""))
        return [value.name, path, os.path.getmtime(path) if os.path.isfile(path) else 0]
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, bpy.types.bpy_struct):
        return str(value.bl_rna.identifier)
    return [_value(each) for each in value] if isinstance(value, Iterable) else str(type(value))


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def mark_stale(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Mark nodes whose inputs changed, and unmark them when the change is taken back."""
    if not any(depsgraph.id_type_updated(kind) for kind in _WATCHED):
        return
    for node in inpaint_nodes(scene):
        settings = node.node_tree.sttn
        if settings.state not in ("DONE", "STALE"):
            continue
        state = "DONE" if settings.analyzed == fingerprint(scene, node) else "STALE"
        if settings.state != state:
            settings.state = state
            settings.message = (
                "inputs changed since the last run; run again" if state == "STALE" else "up to date"
            )


def register() -> None:
    """Look after every change."""
    bpy.app.handlers.depsgraph_update_post.append(mark_stale)


def unregister() -> None:
    """Look no more."""
    bpy.app.handlers.depsgraph_update_post.remove(mark_stale)
