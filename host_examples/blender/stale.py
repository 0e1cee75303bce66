"""Notices that what was analyzed is no longer what flows into the node, and results that are lost.

The fingerprint covers params, color management, frame range, resolution and every node upstream, in
groups too: settings, links, constants, keys, drivers and strips, and the files, masks, clips and
textures that they name.
It does not follow Render Layers into their scene, nor a clip's tracks: after a change there, run
the node again.

A painted image is read when Blender says that it was updated, and anew for a run and before a
render: of what a script paints Blender may say nothing.

It has two digests. Values are those of the current frame, for Blender does not tell the keys of a
mask's shape; so a fingerprint that was right before the frame changed is carried over to the next.
"""

import functools
import glob
import hashlib
import json
import logging
import operator
import os
import re
import zlib
from collections import defaultdict
from typing import Any, TypeGuard

import bpy
import numpy as np

from host_examples.blender.export import exported_color
from host_examples.blender.properties import set_params
from host_examples.blender.results import missing_result
from host_examples.blender.tree import RESULT, inpaint_nodes, is_inpaint
from host_examples.standalone.sequences import find_sequence
from node.errors import ClipError

logger = logging.getLogger(__name__)

_WATCHED = ("NODETREE", "SCENE", "IMAGE", "MASK", "MOVIECLIP", "ACTION")
# Blender warns where an image without layers is asked which one it shows.
_ONLY_WHERE = {"layer": "has_layers", "view": "has_views"}
_PLAIN = (bool, int, float, str, type(None))
# What an artist sees, and a render does not; what Blender finds out; tracks, for they are long.
_LEFT_OUT = re.compile(
    r".*\.(rna_type|hide|hide_select|select.*|active.*|show_.*|is_valid)"
    r"|.*Texture\.animation_data|DriverTarget\.is_fallback_used"
    r"|NlaStrip\.(influence|strip_time)|MovieTrackingStabilization\.(rotation_)?tracks"
)
# Of what nodes name, what changes its pixels, besides its files.
_TOLD = {
    bpy.types.Image: (
        *("source", "alpha_mode", "colorspace_settings.name", "use_deinterlace"),
        *("generated_type", "generated_width", "generated_height", "generated_color"),
    ),
    bpy.types.MovieClip: (
        *("frame_start", "frame_offset", "colorspace_settings.name"),
        *("tracking.stabilization", "tracking.camera"),
    ),
    bpy.types.Mask: ("layers",),
}
_MESSAGES = {"DONE": "up to date", "STALE": "inputs changed since the last run; run again"}
_SHARED = (
    "shares this node, with other inputs than were run; run it there, in a compositor of its own"
)
_LOST = "the plate shows, for a result is missing:"


_checksums: dict[int, int] = {}
"""Of painted images, by their numbers in this session, until one is updated: 4K takes 0.1 s."""


def fingerprint(scene: bpy.types.Scene, node: bpy.types.Node) -> str:
    """Two digests, one of which changes when a new analysis is needed; blank between them."""
    _checksums.clear()
    return _fingerprint(scene, node)


def _fingerprint(scene: bpy.types.Scene, node: bpy.types.Node) -> str:
    into = _upstream(node)
    _, *upstream = into
    render = scene.render
    named = {each for found in upstream for each in _settings(found) if _is_id(each)}
    owners = {found.id_data for found in upstream} | named
    kept = {
        "params": set_params(node.node_tree),
        "color": exported_color(),
        "painted": _painted(node.node_tree.sttn.clean_frames),
        "scene": [
            *(scene.frame_start, scene.frame_end, render.frame_map_old, render.frame_map_new),
            *(render.resolution_x, render.resolution_y, render.resolution_percentage),
            *(render.use_multiview, render.use_border and _border(render)),
        ],
        "files": sorted(_contents(each) for each in named),
        "keys": sorted(([each.name_full, _keys(each)] for each in owners), key=str),
    }
    return f"{_digest(kept)} {_values(into)}"


def _border(render: bpy.types.RenderSettings) -> list[float]:
    x, y = (render.border_min_x, render.border_max_x), (render.border_min_y, render.border_max_y)
    return [*x, *y, render.use_crop_to_border]


def _values(into: "_LinksInto") -> str:
    (_, links), *upstream = into.items()
    return _digest([_told(links), [[*_node(each), _told(led)] for each, led in upstream]])


def _digest(told: object) -> str:
    return hashlib.blake2b(json.dumps(told, default=str).encode(), digest_size=16).hexdigest()


_LinksInto = dict[bpy.types.Node, list[bpy.types.NodeLink]]


def _upstream(node: bpy.types.Node) -> _LinksInto:
    # The node itself, then those upstream in the order of their names; a group's, too, whether they
    # are connected or not.
    links_of = functools.cache(_links)
    found: _LinksInto = {}
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = links_of(each.id_data)[each]
            waiting += [link.from_node for link in found[each]]
            waiting += _inside(each) if each != node else []
    ordered = sorted(found, key=lambda each: (each != node, each.id_data.name_full, each.name))
    return {each: found[each] for each in ordered}


def _links(tree: bpy.types.NodeTree) -> _LinksInto:
    # All at once, for Blender looks through all of them to tell one socket's.
    into: _LinksInto = defaultdict(list)
    for link in tree.links:
        into[link.to_node].append(link)
    return into


def _told(links: list[bpy.types.NodeLink]) -> list[tuple[str, str, str, bool]]:
    ends = [(each.to_socket, each.from_node, each.from_socket, each.is_muted) for each in links]
    return sorted((to.identifier, node.name, out.identifier, off) for to, node, out, off in ends)


def _inside(node: bpy.types.Node) -> list[bpy.types.Node]:
    if node.bl_idname != "CompositorNodeGroup" or node.node_tree is None:
        return []
    # Of our own nodes what they show; their params count once they were run.
    return [each for each in node.node_tree.nodes if each.name == RESULT or not is_inpaint(node)]


def _settings(struct: bpy.types.bpy_struct) -> list[Any]:
    kind: Any = type(struct)
    return [
        getattr(struct, name)
        for name in _names(kind)
        if name not in _ONLY_WHERE or getattr(struct, _ONLY_WHERE[name], True)
    ]


@functools.cache
def _names(kind: type[bpy.types.bpy_struct]) -> list[str]:
    # What every node or ID has, too, is left out: name, place, color, users ...
    bases = [each for each in (bpy.types.Node, bpy.types.ID) if issubclass(kind, each)]
    common = {each.identifier for base in bases for each in base.bl_rna.properties}
    names = [each.identifier for each in kind.bl_rna.properties if each.identifier not in common]
    return [each for each in names if not _LEFT_OUT.fullmatch(f"{kind.__name__}.{each}")]


def _node(node: bpy.types.Node) -> list[object]:
    # Some nodes, as Value, keep in an output what they give.
    sockets = (*node.inputs, *node.outputs)
    constants = [getattr(socket, "default_value", None) for socket in sockets]
    return [node.name, node.mute, [_value(each) for each in (*_settings(node), *constants)]]


def _value(value: object) -> object:
    if isinstance(value, _PLAIN):  # first, for a tree has thousands
        return value
    if isinstance(value, bpy.types.bpy_struct):
        return _struct(value)
    # Vectors and colors have a length, but count as no sequences.
    several: Any = value if hasattr(value, "__len__") else ()
    return [_value(each) for each in several] or str(type(value))


def _struct(struct: bpy.types.bpy_struct) -> list[object]:
    if isinstance(struct, bpy.types.MaskSplinePoint):
        return _point(struct)
    if isinstance(struct, bpy.types.FCurve):
        return _curve(struct)
    if isinstance(struct, bpy.types.Action):
        return [_curve(each) for each in _curves(struct)]
    if isinstance(struct, bpy.types.Texture):
        return [struct.name, *map(_value, _settings(struct))]
    if _is_id(struct):
        told = [operator.attrgetter(name)(struct) for name in _TOLD.get(type(struct), ())]
        return [struct.name, _path(struct), *map(_value, told)]
    return [_value(each) for each in _settings(struct)]


def _point(point: bpy.types.MaskSplinePoint) -> list[object]:
    # One by one, for a roto has hundreds, and frames change often.
    parent = point.parent
    return [
        *(*point.co, *point.handle_left, *point.handle_right, point.weight),
        *(point.handle_left_type, point.handle_right_type),
        [(each.u, each.weight) for each in point.feather_points],
        parent.id and [parent.id.name, parent.type, parent.parent, parent.sub_parent],
    ]


def _is_id(value: object) -> TypeGuard[bpy.types.ID]:
    return isinstance(value, bpy.types.ID)


def _path(named: bpy.types.ID) -> str:
    # A file saved elsewhere names the same files by other ways: //plate.exr, //../plate.exr.
    path = bpy.path.abspath(getattr(named, "filepath", ""), library=named.library)
    return os.path.normpath(path) if path else ""


def _painted(location: str) -> list[tuple[str, float]]:
    try:
        files = find_sequence(bpy.path.abspath(location)).values() if location else ()
    except (ClipError, OSError):  # a run says so
        return []
    return [(str(path), _time(str(path))) for path in sorted(files)]


def _contents(named: bpy.types.ID) -> list[tuple[str, float]]:
    # Of what is painted or packed in Blender a checksum, for no file tells that it changed.
    if getattr(named, "is_dirty", False) and isinstance(named, bpy.types.Image):
        if named.session_uid not in _checksums:
            pixels = np.empty(len(named.pixels), np.float32)
            named.pixels.foreach_get(pixels)
            _checksums[named.session_uid] = zlib.crc32(pixels.data)
        return [("painted", _checksums[named.session_uid])]
    packed = getattr(named, "packed_file", None)
    return [("packed", zlib.crc32(packed.data))] if packed else _files(named)


def _files(named: bpy.types.ID) -> list[tuple[str, float]]:
    folder, name = map(glob.escape, os.path.split(_path(named)))
    if getattr(named, "source", "") == "SEQUENCE":
        name = re.sub(r"\d+(?=\D*$)", "[0-9]*", name)
    return _found(os.path.join(folder, name)) if name else []


def _found(pattern: str) -> list[tuple[str, float]]:
    return [(path, _time(path)) for path in sorted(glob.glob(pattern))]


def _time(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:  # a dangling link, or deleted meanwhile
        return 0.0


def _keys(owner: bpy.types.ID) -> list[object]:
    animated = getattr(owner, "animation_data", None)
    if animated is None:
        return []
    told = [*animated.drivers, *(_curves(animated.action) if animated.action else ())]
    if animated.nla_tracks:
        told += [*animated.nla_tracks, animated.use_nla, animated.action_influence]
        told += [animated.action_blend_type, animated.action_extrapolation]
    return [_value(each) for each in told]


def _curves(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    strips = [strip for layer in action.layers for strip in layer.strips]
    return [curve for strip in strips for bag in strip.channelbags for curve in bag.fcurves]


def _curve(curve: bpy.types.FCurve) -> list[object]:
    return [
        *(curve.data_path, curve.array_index, curve.mute, curve.extrapolation),
        *(curve.driver and _driver(curve.driver), _value(curve.modifiers)),
        [
            [
                *(*key.co, *key.handle_left, *key.handle_right, key.interpolation),
                *(key.easing, key.back, key.amplitude, key.period),
            ]
            for key in curve.keyframe_points
        ],
    ]


def _driver(driver: bpy.types.Driver) -> list[object]:
    variables = [[each.name, each.type, *map(_target, each.targets)] for each in driver.variables]
    return [driver.type, driver.expression, driver.use_self, variables]


def _target(target: bpy.types.DriverTarget) -> list[object]:
    # What it names counts, and not what that holds, which may change with every frame.
    return [each.name_full if _is_id(each) else each for each in _settings(target)]


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def mark_changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """After a change: look at the scene that changed."""
    if depsgraph.id_type_updated("IMAGE"):
        for update in depsgraph.updates:
            _checksums.pop(update.id.original.session_uid, None)
    if any(depsgraph.id_type_updated(kind) for kind in _WATCHED):
        mark(scene)


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def mark_all(*_: object) -> None:
    """After a file was opened, and before a render: results may be gone."""
    _checksums.clear()
    for scene in bpy.data.scenes:
        mark(scene)


def mark(scene: bpy.types.Scene) -> None:
    """Say which nodes show what is out of date or lost; unmark those whose change is taken back."""
    for group in {node.node_tree for node in _nodes(scene)}:
        settings = group.sttn
        if settings.state not in ("PARTIAL", *_MESSAGES) and not settings.message.startswith(_LOST):
            continue
        lost = missing_result(group)
        if lost is not None:
            state, message = "ERROR", f"{_LOST} {lost}; bring it back, or run again"
        elif settings.state == "PARTIAL":
            continue
        else:
            state, message = _freshness(group)
        if settings.state != state or (state == "STALE" and settings.message != message):
            settings.state, settings.message = state, message
            if lost is not None:
                logger.warning("%s: %s", group.name, message)


def _freshness(group: bpy.types.NodeTree) -> tuple[str, str]:
    # Whatever shares the group shows its result: duplicates, and nodes of other scenes.
    fresh: dict[str, list[bool]] = defaultdict(list)
    for scene in bpy.data.scenes:
        for node in _nodes(scene):
            if node.node_tree == group:
                fresh[scene.name].append(group.sttn.analyzed == _fingerprint(scene, node))
    changed = [name for name, each in fresh.items() if not all(each)]
    state = "STALE" if changed else "DONE"
    some = 0 < len(changed) < len(fresh)
    return state, f"{', '.join(changed)} {_SHARED}" if some else _MESSAGES[state]


def _nodes(scene: bpy.types.Scene) -> list[bpy.types.Node]:
    # None of a copy, for an export.
    return [] if scene.is_runtime_data else inpaint_nodes(scene)


_left: dict[int, str] = {}
"""Digests of values that are right at the frame being left, by the node's place in memory."""


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def leave_frame(scene: bpy.types.Scene, *_: object) -> None:
    """Before the frame changes: know what was right there."""
    _left.clear()
    for node in _analyzed_nodes(scene):
        values, settings = _values(_upstream(node)), node.node_tree.sttn
        if settings.analyzed.endswith(values) or settings.analyzing.endswith(values):
            _left[node.as_pointer()] = values


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def reach_frame(scene: bpy.types.Scene, *_: object) -> None:
    """After the frame changed, which by itself makes nothing out of date."""
    for node in _analyzed_nodes(scene):
        left, settings = _left.get(node.as_pointer()), node.node_tree.sttn
        now = left and _values(_upstream(node))
        for name in ("analyzed", "analyzing") if now != left else ():
            kept, _, values = getattr(settings, name).partition(" ")
            if values == left:
                setattr(settings, name, f"{kept} {now}")


def _analyzed_nodes(scene: bpy.types.Scene) -> list[bpy.types.Node]:
    groups = ((each, each.node_tree.sttn) for each in _nodes(scene))
    return [each for each, settings in groups if settings.analyzed or settings.analyzing]


def register() -> None:
    """Look after every change."""
    bpy.app.handlers.frame_change_pre.append(leave_frame)
    bpy.app.handlers.frame_change_post.append(reach_frame)
    bpy.app.handlers.depsgraph_update_post.append(mark_changed)
    bpy.app.handlers.load_post.append(mark_all)
    bpy.app.handlers.render_init.append(mark_all)


def unregister() -> None:
    """Look no more."""
    bpy.app.handlers.frame_change_pre.remove(leave_frame)
    bpy.app.handlers.frame_change_post.remove(reach_frame)
    bpy.app.handlers.depsgraph_update_post.remove(mark_changed)
    bpy.app.handlers.load_post.remove(mark_all)
    bpy.app.handlers.render_init.remove(mark_all)
