"""Notices that what was analyzed is no longer what flows into the node, and results that are lost.

The fingerprint covers params, frame range, resolution and every node upstream: settings, links,
unconnected inputs, and the files, masks and clips that they name. It does not follow Render
Layers into their scene: after a change there, run the node again.
"""

import glob
import hashlib
import json
import logging
import os
from collections.abc import Iterable

import bpy

from host_examples.blender.properties import set_params
from host_examples.blender.results import missing_result
from host_examples.blender.tree import inpaint_nodes

logger = logging.getLogger(__name__)

_WATCHED = ("NODETREE", "SCENE", "IMAGE", "MASK", "MOVIECLIP")
# Blender warns where an image without layers is asked which one it shows.
_ONLY_WHERE = {"layer": "has_layers", "view": "has_views"}
_MESSAGES = {"DONE": "up to date", "STALE": "inputs changed since the last run; run again"}
_LOST = "the plate shows, for a result is missing:"


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
        # A file saved elsewhere names the same files by other ways: //plate.exr, //../plate.exr.
        path = bpy.path.abspath(getattr(value, "filepath", ""))
        path = path and os.path.normpath(path)
        return [value.name, path, os.path.getmtime(path) if os.path.isfile(path) else 0]
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, bpy.types.bpy_struct):
        return str(value.bl_rna.identifier)
    return [_value(each) for each in value] if isinstance(value, Iterable) else str(type(value))


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def mark_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """After a change: look at the scene that changed."""
    if any(depsgraph.id_type_updated(kind) for kind in _WATCHED):
        mark(scene)


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def mark_all(*_: object) -> None:
    """After a file was opened, and before a render: results may be gone."""
    for scene in bpy.data.scenes:
        mark(scene)


def mark(scene: bpy.types.Scene) -> None:
    """Say which nodes show what is out of date or lost; unmark those whose change is taken back."""
    if scene.is_runtime_data:
        return  # a copy, for an export
    nodes = inpaint_nodes(scene)
    for group in {node.node_tree for node in nodes}:
        settings = group.sttn
        if settings.state not in ("PARTIAL", *_MESSAGES) and not settings.message.startswith(_LOST):
            continue
        lost = missing_result(group)
        if lost is not None:
            state = "ERROR"
        elif settings.state == "PARTIAL":
            continue
        else:
            # A duplicate that shares the group shows this node's result too.
            sharing = [node for node in nodes if node.node_tree == group]
            fresh = all(settings.analyzed == fingerprint(scene, node) for node in sharing)
            state = "DONE" if fresh else "STALE"
        if settings.state != state:
            message = _MESSAGES.get(state, f"{_LOST} {lost}; bring it back, or run again")
            settings.state, settings.message = state, message
            if lost is not None:
                logger.warning("%s: %s", group.name, message)


def register() -> None:
    """Look after every change."""
    bpy.app.handlers.depsgraph_update_post.append(mark_changed)
    bpy.app.handlers.load_post.append(mark_all)
    bpy.app.handlers.render_init.append(mark_all)


def unregister() -> None:
    """Look no more."""
    bpy.app.handlers.depsgraph_update_post.remove(mark_changed)
    bpy.app.handlers.load_post.remove(mark_all)
    bpy.app.handlers.render_init.remove(mark_all)
