"""Runs inside Blender: ``python session.py SCENARIO FOLDER SERVER``; facts go to FOLDER/facts.json.

FOLDER holds ``plate.####.exr``. What is asserted of the facts and the files is in the tests.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
from scenes import (
    FIRST,
    LAST,
    add_inpaint,
    attempt,
    enable,
    mask_socket,
    masked,
    render,
    scene_with_plate,
    told,
    with_image,
)


def inpaint_mask(folder: Path, server: str) -> dict:
    from host_examples.blender.export import Export

    scene, node = masked(folder, server)
    others = len(bpy.data.scenes), len(bpy.data.node_groups)
    (folder / "exported").mkdir()
    export = Export(scene, node, folder / "exported")
    for frame in range(FIRST, LAST + 1):
        export.frame(frame)
    export.close()
    before = told(node)
    outcome = bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    facts = {
        "before": before,
        "outcome": sorted(outcome),
        "left_behind": [len(bpy.data.scenes), len(bpy.data.node_groups)] != list(others),
        **told(node),
    }
    render(scene, folder, "final", FIRST - 1, LAST + 1)
    bpy.ops.wm.save_mainfile()
    group = node.node_tree
    shown = Path(bpy.path.abspath(group.nodes["Result"].image.filepath))
    for path in shown.parent.glob(f"*{LAST}*"):
        path.unlink()
    render(scene, folder, "deleted", LAST, LAST)
    facts["results"] = sorted(path.name for path in shown.parent.iterdir())
    return facts


def without_extension(folder: Path, server: str) -> dict:
    """Opened by somebody who does not have the extension."""
    bpy.ops.wm.open_mainfile(filepath=str(folder / "shot.blend"))
    known = hasattr(bpy.types.NodeTree, "sttn")
    render(bpy.context.scene, folder, "elsewhere")
    return {"known": known}


def inpaint_cryptomatte(folder: Path, server: str) -> dict:
    scene = bpy.context.scene
    bpy.ops.wm.read_factory_settings(use_empty=True)
    enable()
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    scene.frame_start, scene.frame_end = 1, 3
    bpy.ops.mesh.primitive_plane_add(size=12)
    bpy.ops.mesh.primitive_cube_add(size=1.5, location=(0, 0, 0.8))
    cube = bpy.context.object
    cube.name = "Robot"
    for frame, x in ((1, -2.0), (3, 2.0)):
        cube.location.x = x
        cube.keyframe_insert("location", frame=frame)
    bpy.ops.object.light_add(type="SUN", location=(0, 0, 8))
    bpy.ops.object.camera_add(location=(0, 0, 9))
    scene.camera = bpy.context.object
    scene.view_layers[0].use_pass_cryptomatte_object = True
    bpy.ops.sttn.add_node()
    if bpy.app.version >= (5, 0):
        tree = scene.compositing_node_group
        output = next(node for node in tree.nodes if node.bl_idname == "NodeGroupOutput")
    else:
        tree = scene.node_tree
        output = next(node for node in tree.nodes if node.bl_idname == "CompositorNodeComposite")
    layers = next(node for node in tree.nodes if node.bl_idname == "CompositorNodeRLayers")
    node = tree.nodes.active
    grouped = bpy.app.version >= (5, 0)  # before, Blender takes none in a group
    inner = bpy.data.node_groups.new("Roto", "CompositorNodeTree") if grouped else tree
    crypto = inner.nodes.new("CompositorNodeCryptomatteV2")
    crypto.source, crypto.scene, crypto.matte_id = "RENDER", scene, "Robot"
    matte = crypto.outputs["Matte"]
    if grouped:
        inner.interface.new_socket("Matte", in_out="OUTPUT", socket_type="NodeSocketFloat")
        inner.links.new(matte, inner.nodes.new("NodeGroupOutput").inputs[0])
        roto = tree.nodes.new("CompositorNodeGroup")
        roto.node_tree = inner
        matte = roto.outputs[0]
    tree.links.new(layers.outputs["Image"], node.inputs["Source"])
    tree.links.new(matte, node.inputs["Matte"])
    render_plate = tree.links.new(layers.outputs["Image"], output.inputs[0])
    assert render_plate.is_valid
    render(scene, folder, "beauty", 1, 3)
    scene.frame_start, scene.frame_end = 1, 3
    tree.links.new(node.outputs[0], output.inputs[0])
    node.node_tree.sttn.server = server
    node.node_tree.sttn.folder = str(folder)
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    facts = told(node)
    render(scene, folder, "clean", 1, 3)
    return facts


def problems(folder: Path, server: str) -> dict:
    """Everything an artist does first and wrongly."""
    from node.client import InpaintClient

    InpaintClient.__init__.__kwdefaults__["connect_seconds"] = 0.2
    facts = {"no_node": attempt(lambda: bpy.ops.sttn.inpaint("EXEC_DEFAULT"))}
    scene, node = masked(folder, "")
    settings = node.node_tree.sttn

    def run() -> list:
        return [attempt(lambda: bpy.ops.sttn.inpaint("EXEC_DEFAULT")), told(node)]

    facts["no_server"] = run()
    settings.server = "farm.example:50071"
    facts["elsewhere"] = run()
    settings.server, settings.frames = "LOCALHOST:50071", "990-1001"
    facts["here"] = run()
    settings.server, settings.frames = f"unix:{folder}/nobody.sock", ""
    facts["nobody_answers"] = run()
    settings.server, settings.frames = server, "990-1001"
    facts["outside"] = run()
    settings.frames, settings.folder = "", str(folder / "plate.1001.exr")
    facts["no_folder"] = run()
    settings.folder = ""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene, tree, plate, output = scene_with_plate(folder)
    node = add_inpaint(tree, plate, mask_socket(tree), output, server)
    facts["not_saved"] = run()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    link = node.inputs["Matte"].links[0]
    link.is_muted = True
    facts["muted_matte"] = run()
    node.id_data.links.remove(link)
    facts["no_matte"] = run()
    facts["left"] = sorted(path.name for path in (folder / "sttn").rglob("*") if path.is_file())
    render(scene, folder, "plate_only", FIRST, FIRST)
    return facts


def staleness(folder: Path, server: str) -> dict:
    from host_examples.blender import stale

    scene, node = masked(folder, server)
    settings = node.node_tree.sttn
    settings.frames = f"{FIRST}-{FIRST + 1}"
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")

    def state() -> str:
        scene.update_tag()
        bpy.context.view_layer.update()
        return settings.state

    facts = {"done": state()}
    settings.surroundings = 0.75
    facts["param"] = state()
    settings.surroundings = 0.5
    facts["param_back"] = state()
    spline = bpy.data.masks["Garbage"].layers[0].splines[0]
    corner = tuple(spline.points[0].co)
    spline.points[0].co = (0.1, 0.1)
    facts["mask"] = state()
    spline.points[0].co = corner
    facts["mask_back"] = state()
    spline.use_fill = False
    facts["mask_fill"] = state()
    spline.use_fill = True
    plate = folder / f"plate.{LAST}.exr"
    times = plate.stat().st_atime_ns, plate.stat().st_mtime_ns
    os.utime(plate, (1, 1))
    facts["other_frame"] = state()
    os.utime(plate, ns=times)
    facts["other_frame_back"] = state()
    (folder / f"plate.{LAST + 1}.exr").symlink_to("gone")
    facts["dangling"] = state()
    (folder / f"plate.{LAST + 1}.exr").unlink()
    facts["dangling_back"] = state()
    bpy.data.images[0].filepath = str(folder / f"plate.{FIRST + 1}.exr")
    facts["plate"] = state()
    facts["no_file"] = [*stale._value(scene), *stale._files(scene)]
    node.node_tree.nodes.remove(node.node_tree.nodes["Result"])
    facts["removed"] = [state(), settings.message]
    facts["run"] = attempt(lambda: bpy.ops.sttn.inpaint("EXEC_DEFAULT"))
    return facts


def painted_upstream(folder: Path, server: str) -> dict:
    """An image that was painted and not saved: when it is noticed, and how often it is read."""
    from host_examples.blender import stale

    scene, node = masked(folder, server)
    tree, settings = node.id_data, node.node_tree.sttn
    settings.frames = f"{FIRST}-{FIRST}"
    painting = bpy.data.images.new("Painting", scene.render.resolution_x, scene.render.resolution_y)
    tree.links.new(with_image(tree, painting), node.inputs["Hold Out"])
    black = painting.pixels[0]
    painting.pixels[0] = black
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    read, crc32 = [], stale.zlib.crc32
    stale.zlib = SimpleNamespace(crc32=lambda pixels: read.append(pixels) or crc32(pixels))

    def state(changed: bpy.types.ID) -> list:
        read.clear()
        changed.update_tag()
        bpy.context.view_layer.update()
        return [settings.state, len(read)]

    facts = {"first": state(painting), "else": state(scene)}
    painting.pixels[0] = 0.5
    facts["stroke"], facts["else_again"] = state(painting), state(scene)
    painting.pixels[0] = black
    facts["undone"] = state(painting)
    painting.pixels[0] = 0.5  # by a script that tells nobody
    stale.mark_all()
    facts["before_a_render"] = settings.state
    return facts


def noticed(folder: Path, server: str) -> dict:
    """Which of many changes upstream the fingerprint tells, and how often it asks a socket."""
    from host_examples.blender import stale

    scene, node = masked(folder, server)
    tree = node.id_data
    value, blur = tree.nodes.new("ShaderNodeValue"), tree.nodes.new("CompositorNodeBlur")
    clip_node = tree.nodes.new("CompositorNodeMovieClip")
    clip_node.clip = clip = bpy.data.movieclips.load(str(folder / f"plate.{FIRST}.exr"))
    held = tree.links.new(value.outputs[0], node.inputs["Hold Out"])
    tree.links.new(clip_node.outputs[0], blur.inputs[0])
    tree.links.new(blur.outputs[0], node.inputs["Matte"])
    image, stabilization = bpy.data.images[0], clip.tracking.stabilization
    value.outputs[0].keyframe_insert("default_value", frame=FIRST)
    animated = tree.animation_data
    action = animated.action
    (curve,) = action.layers[0].strips[0].channelbags[0].fcurves
    track = animated.nla_tracks.new()
    driver = tree.nodes.new("ShaderNodeValue").outputs[0].driver_add("default_value").driver
    variable = driver.variables.new()
    painting = bpy.data.images.new("Painting", 2, 2)
    mixed = tree.nodes.new("ShaderNodeMath")
    tree.links.new(with_image(tree, painting), mixed.inputs[0])
    tree.links.new(mixed.outputs[0], blur.inputs[1])
    painted = folder / "take [2]" / f"p.{FIRST}.exr"
    painted.parent.mkdir()
    painted.touch()
    node.node_tree.sttn.clean_frames = str(painted.parent)

    def push_down() -> None:
        track.strips.new("Pushed", FIRST, action)
        animated.action = None

    changes = {
        "easing": lambda: setattr(curve.keyframe_points[0], "easing", "EASE_IN"),
        "modifier": lambda: curve.modifiers.new("CYCLES"),
        "modified": lambda: setattr(curve.modifiers[0], "cycles_after", 2),
        "strip": push_down,
        "strip_moved": lambda: setattr(track.strips[0], "frame_start", FIRST - 2),
        "key_in_a_strip": lambda: curve.keyframe_points.insert(FIRST + 2, 3),
        "value": lambda: setattr(value.outputs[0], "default_value", 0.25),
        "muted_link": lambda: setattr(held, "is_muted", True),
        "image_space": lambda: setattr(image.colorspace_settings, "name", "sRGB"),
        "image_alpha": lambda: setattr(image, "alpha_mode", "CHANNEL_PACKED"),
        "image_source": lambda: setattr(image, "source", "FILE"),
        "clip_space": lambda: setattr(clip.colorspace_settings, "name", "sRGB"),
        "clip_start": lambda: setattr(clip, "frame_start", 7),
        "clip_offset": lambda: setattr(clip, "frame_offset", 3),
        "stabilized": lambda: setattr(stabilization, "use_2d_stabilization", True),
        "distortion": lambda: setattr(clip.tracking.camera, "k1", 0.5),
        "border": lambda: setattr(scene.render, "use_border", True),
        "cropped": lambda: setattr(scene.render, "use_crop_to_border", True),
        "driver_type": lambda: setattr(driver, "type", "MAX"),
        "driver_target": lambda: setattr(variable.targets[0], "data_path", "frame_end"),
        "stroke": lambda: painting.pixels.__setitem__(0, 0.5),
        "another_stroke": lambda: painting.pixels.__setitem__(0, 0.6),
        "packed": painting.pack,
        "stroke_on_a_packed_image": lambda: painting.pixels.__setitem__(0, 0.7),
        "packed_again": painting.pack,
        "clean_frame": lambda: os.utime(painted, (1, 1)),
        "config": lambda: os.environ.update(OCIO="ocio://studio-config-latest"),
    }
    if bpy.app.version < (5, 0):
        node_of_texture = tree.nodes.new("CompositorNodeTexture")
        node_of_texture.texture = texture = bpy.data.textures.new("Clouds", "CLOUDS")
        tree.links.new(node_of_texture.outputs[0], mixed.inputs[1])
        changes["texture"] = lambda: setattr(texture, "noise_scale", 1.5)

    def is_told(change) -> bool:
        before = stale.fingerprint(scene, node)
        change()
        return before != stale.fingerprint(scene, node)

    missed = [name for name, change in changes.items() if not is_told(change)]
    asked = []
    links = bpy.types.NodeSocket.links
    bpy.types.NodeSocket.links = property(lambda socket: asked.append(socket) or links.fget(socket))
    stale.fingerprint(scene, node)
    bpy.types.NodeSocket.links = links
    return {"missed": missed, "sockets_asked": len(asked)}


def followed(folder: Path, server: str) -> dict:
    """Nodes in groups, curves, what is animated, and another of our nodes upstream."""
    scene, first = masked(folder, server)
    tree = first.id_data
    inner = bpy.data.node_groups.new("Prepared", "CompositorNodeTree")
    for way in ("INPUT", "OUTPUT"):
        inner.interface.new_socket("Image", in_out=way, socket_type="NodeSocketColor")
    curves = inner.nodes.new("CompositorNodeCurveRGB")
    inner.links.new(inner.nodes.new("NodeGroupInput").outputs[0], curves.inputs["Image"])
    inner.links.new(curves.outputs[0], inner.nodes.new("NodeGroupOutput").inputs[0])
    prepared = tree.nodes.new("CompositorNodeGroup")
    prepared.node_tree = inner
    tree.links.new(first.inputs["Source"].links[0].from_socket, prepared.inputs[0])
    tree.links.new(prepared.outputs[0], first.inputs["Source"])
    layer = bpy.data.masks[0].layers[0]
    for frame, opacity in ((FIRST, 1.0), (LAST, 0.5)):
        layer.alpha = opacity
        layer.keyframe_insert("alpha", frame=frame)
    scene.frame_set(FIRST)
    output = first.outputs[0].links[0].to_socket
    second = add_inpaint(tree, first.outputs[0], mask_socket(tree), output, server)
    for node in (first, second):
        node.node_tree.sttn.frames = f"{FIRST}-{FIRST}"
        bpy.ops.sttn.inpaint(node=node.name)

    def states() -> list[str]:
        scene.update_tag()
        bpy.context.view_layer.update()
        return [node.node_tree.sttn.state for node in (first, second)]

    facts = {"done": states()}
    scene.frame_set(LAST)
    facts["another_frame"] = states()
    layer.alpha = 0.7
    facts["edited_there"] = states()
    scene.frame_set(FIRST)
    scene.frame_set(LAST)
    facts["not_keyed"] = states()
    point = curves.mapping.curves[3].points[1]
    point.location = (1, 0.5)
    facts["curve_in_a_group"] = states()
    scene.frame_set(FIRST)
    facts["still"] = states()
    point.location = (1, 1)
    bpy.ops.sttn.inpaint(node=first.name)
    facts["first_ran_again"] = states()
    return facts


def set_otherwise(folder: Path, server: str) -> dict:
    """A scene and a file that are not set as Blender sets them."""
    scene, node = masked(folder, server)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "a {b} c.blend"))
    settings = node.node_tree.sttn
    settings.frames = f"{FIRST}-{FIRST + 1}"
    scene.render.use_file_extension = False
    scene.render.use_multiview = True
    facts: dict = {"stereo": attempt(bpy.ops.sttn.inpaint)}
    scene.render.use_multiview, scene.render.use_border = False, True
    facts["region"] = attempt(bpy.ops.sttn.inpaint)
    scene.render.use_border = False
    everything = mask_socket(node.id_data, [(0, 0), (1, 0), (1, 1), (0, 1)])
    node.id_data.links.new(everything, node.inputs["Hold Out"]).is_muted = True
    scene.render.frame_map_new = 50
    relative = bpy.path.relpath

    def on_another_drive(path: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    bpy.path.relpath = on_another_drive
    bpy.ops.sttn.inpaint()
    bpy.path.relpath = relative
    facts["elsewhere"] = told(node)
    scene.render.use_file_extension = True
    render(scene, folder, "stretched", FIRST, FIRST + 2)
    facts["keyed"] = attempt(lambda: settings.keyframe_insert("mix")) or "keyed"

    bpy.data.libraries.write(str(folder / "library.blend"), {node.node_tree})
    with bpy.data.libraries.load(str(folder / "library.blend"), link=True) as (theirs, ours):
        ours.node_groups = theirs.node_groups
    (node.node_tree,) = ours.node_groups
    bpy.ops.sttn.inpaint()
    return {**facts, "linked": told(node), "is_own": node.node_tree.library is None}


def cancelled(folder: Path, server: str) -> dict:
    """The modal operator, its events delivered by hand: without a window Blender sends none."""
    from host_examples.blender import operators

    scene, node = masked(folder, server)
    tick = SimpleNamespace(type="TIMER", value="NOTHING")
    escape = SimpleNamespace(type="ESC", value="PRESS")
    calls, reports = [], []
    window_manager = SimpleNamespace(
        windows=[],
        event_timer_add=lambda seconds, window: calls.append("timer"),
        event_timer_remove=lambda timer: calls.append("timer removed"),
        modal_handler_add=lambda operator: calls.append("modal"),
        progress_begin=lambda low, high: calls.append("progress"),
        progress_update=lambda value: None,
        progress_end=lambda: calls.append("progress ended"),
    )
    context = SimpleNamespace(scene=scene, window=None, window_manager=window_manager)
    modal = SimpleNamespace(node="", report=lambda kind, text: reports.append([sorted(kind), text]))
    for name in ("_begin", "_finish"):
        setattr(modal, name, getattr(operators.Inpaint, name).__get__(modal))

    def send(event) -> str:
        return min(operators.Inpaint.modal(modal, context, event))

    facts = {"begun": sorted(operators.Inpaint.invoke(modal, context, None))}
    facts["first"] = told(node)
    facts["second_refused"] = attempt(lambda: bpy.ops.sttn.inpaint("EXEC_DEFAULT"))
    send(tick)
    facts["exporting"] = told(node)
    facts["other_key"] = send(SimpleNamespace(type="A", value="PRESS"))
    while node.node_tree.sttn.state == "EXPORTING":
        send(tick)
    facts["under_way"] = told(node)
    started = time.monotonic()
    outcome = send(escape)
    while outcome == "RUNNING_MODAL":
        outcome = send(tick)
    facts["seconds_to_cancel"] = time.monotonic() - started
    facts["outcome"], facts["reports"], facts["calls"] = outcome, reports, calls
    facts["after"] = told(node)
    render(scene, folder, "cancelled")
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    facts["again"] = told(node)
    return facts


def kept(folder: Path, server: str) -> dict:
    """Runs that other files and nodes show, what removes the rest, and results that are lost."""
    from host_examples.blender import operators
    from host_examples.blender.tree import find_node

    def runs() -> list[str]:
        found = folder.glob("**/sttn/shot/*/[0-9]*")
        return sorted(str(path.relative_to(folder / "sttn" / "shot")) for path in found)

    def opened(name: str):
        bpy.ops.wm.open_mainfile(filepath=str(folder / name))
        return find_node(bpy.context.scene)

    _, node = masked(folder, server)
    node.node_tree.sttn.frames = f"{FIRST}-{FIRST}"
    bpy.ops.sttn.inpaint()
    bpy.ops.wm.save_mainfile()
    for _ in range(2):
        bpy.ops.sttn.inpaint()
    (folder / "elsewhere").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "elsewhere" / "shot.blend"), copy=True)
    facts: dict = {"nothing_is_removed": runs(), "asked": []}
    manager = SimpleNamespace(
        invoke_confirm=lambda *_, **words: facts["asked"].append(words["message"]) or ["CANCELLED"]
    )

    def ask() -> None:
        operators.RemoveOldRuns.invoke(
            SimpleNamespace(bl_label=""), SimpleNamespace(window_manager=manager), None
        )

    ask()
    facts["not_removed_yet"] = runs()
    shot = folder / "shot.blend"
    times = shot.stat().st_atime_ns, shot.stat().st_mtime_ns
    os.utime(shot)
    facts["saved_elsewhere"] = [attempt(bpy.ops.sttn.remove_old_runs), runs()]
    os.utime(shot, ns=times)
    bpy.ops.sttn.remove_old_runs()
    facts["without_saving"] = runs()
    node.node_tree.name, node.name = "Renamed", "Renamed"
    second = add_inpaint(
        node.id_data,
        *(node.inputs[name].links[0].from_socket for name in ("Source", "Matte")),
        *(node.outputs[0].links[0].to_socket, server),
    )
    second.node_tree.sttn.frames = f"{FIRST}-{FIRST}"
    bpy.ops.sttn.inpaint(node=second.name)
    bpy.ops.wm.save_mainfile()
    bpy.ops.sttn.remove_old_runs()
    facts["shown_by_both"] = runs()
    for name in ("One", "Two", "UnderWay"):
        old = folder / "sttn" / "shot" / name / "0001"
        old.mkdir(parents=True)
        (old / "made_by.txt").write_text(bpy.data.filepath)
        if name != "One":
            (old / "export-a").mkdir()
    for crashed in (folder / "sttn" / "shot" / "Two" / "0001").glob("**"):
        os.utime(crashed, (1, 1))
    ask()
    bpy.ops.sttn.remove_old_runs()
    facts["under_way"] = old.exists()
    shutil.rmtree(old, ignore_errors=True)
    other = opened("elsewhere/shot.blend")
    other.node_tree.sttn.folder = str(folder / "sttn")
    bpy.ops.sttn.remove_old_runs()
    facts["another_file_in_the_folder"] = runs()

    result = folder / "sttn" / "shot" / "STTN_Inpaint" / "0003" / f"result.{FIRST}.exr"
    facts["files"] = sorted(path.name for path in result.parent.iterdir())
    facts["there"] = told(other)
    result.rename(folder / result.name)
    render(bpy.context.scene, folder, "lost", FIRST, FIRST)
    facts["lost"] = told(other)
    bpy.ops.wm.save_mainfile()
    (folder / result.name).rename(result)
    facts["back"] = told(opened("elsewhere/shot.blend"))
    return facts


def interrupted(folder: Path, server: str) -> dict:
    """A file saved while a run is under way; File Outputs in nested groups; a node that is removed.

    FOLDER holds expression.py: what README.md has Blender run without a window.
    """
    from host_examples.blender import job, operators
    from host_examples.blender.tree import find_node

    scene, node = masked(folder, server)
    inner = bpy.data.node_groups.new("Inner", "CompositorNodeTree")
    inner.interface.new_socket("Image", in_out="INPUT", socket_type="NodeSocketColor")
    outer = bpy.data.node_groups.new("Outer", "CompositorNodeTree")
    outer.interface.new_socket("Image", in_out="INPUT", socket_type="NodeSocketColor")
    side = inner.nodes.new("CompositorNodeOutputFile")
    if bpy.app.version >= (5, 0):
        side.directory, side.file_name = str(folder), "side"
        side.file_output_items.new("RGBA", "image")
    else:
        side.base_path = str(folder / "side")
    inner.links.new(inner.nodes.new("NodeGroupInput").outputs[0], side.inputs[0])
    nested = outer.nodes.new("CompositorNodeGroup")
    nested.node_tree = inner
    outer.links.new(outer.nodes.new("NodeGroupInput").outputs[0], nested.inputs[0])
    outermost = node.id_data.nodes.new("CompositorNodeGroup")
    outermost.node_tree = outer
    node.id_data.links.new(node.inputs["Source"].links[0].from_socket, outermost.inputs[0])

    def data() -> list:
        return [sorted(each.name for each in bpy.data.scenes), len(bpy.data.node_groups)]

    facts: dict = {"before": data()}
    at_work = job.Job(scene, node)
    operators._running.append(at_work)
    at_work.step()
    facts["under_way"] = told(node)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "midrun.blend"), copy=True)
    at_work.abandon()
    operators._running.clear()
    facts["after"] = data()
    facts["side_outputs"] = sorted(path.name for path in folder.glob("side*"))
    facts["theirs"] = [each.bl_idname for each in inner.nodes]
    bpy.ops.wm.open_mainfile(filepath=str(folder / "midrun.blend"))
    facts["opened"] = [data(), told(find_node(bpy.context.scene))]
    exec((folder / "expression.py").read_text())
    bpy.ops.wm.open_mainfile(filepath=str(folder / "midrun.blend"))
    node = find_node(bpy.context.scene)
    facts["again"] = told(node)

    scenes = len(bpy.data.scenes)
    at_work = job.Job(bpy.context.scene, node)
    operators._running.append(at_work)
    at_work.step()
    bpy.data.node_groups.remove(node.node_tree)
    facts["goes_on"] = at_work.step()
    facts["outcome"] = at_work.outcome
    facts["scenes_left"] = len(bpy.data.scenes) - scenes
    return facts


def duplicated(folder: Path, server: str) -> dict:
    """Shift+D shares the node group, as Blender is set when it comes; then other inputs."""
    from host_examples.blender import stale

    scene, node = masked(folder, server)
    tree = node.id_data
    node.node_tree.sttn.frames = f"{FIRST}-{FIRST}"
    bpy.ops.sttn.inpaint()
    duplicate = tree.nodes.new("CompositorNodeGroup")
    duplicate.name, duplicate.node_tree = "Duplicate", node.node_tree
    tree.links.new(node.outputs[0], duplicate.inputs["Source"])
    other = mask_socket(tree, [(0, 0), (0.2, 0), (0.2, 0.2), (0, 0.2)])
    tree.links.new(other, duplicate.inputs["Matte"])

    def states() -> list[str]:
        scene.update_tag()
        bpy.context.view_layer.update()
        return [each.node_tree.sttn.state for each in (node, duplicate)]

    facts: dict = {"shared": states()}
    bpy.ops.sttn.inpaint(node="Duplicate")
    facts["groups"] = [each.node_tree.name for each in (node, duplicate)]
    facts["states"] = states()
    images = [each.node_tree.nodes["Result"].image.filepath for each in (node, duplicate)]
    facts["shown"] = [Path(each).parent.parent.name for each in images]
    drivers = [each.node_tree.animation_data.drivers[0] for each in (node, duplicate)]
    facts["driven"] = [each.driver.expression for each in drivers]

    other = scene.copy()
    other.name = "Other"

    def from_each_scene() -> list[str]:
        seen = []
        for each in (other, scene):
            stale.mark(each)
            seen.append(node.node_tree.sttn.state)
        return seen

    facts["copied"] = from_each_scene()
    other.frame_end += 1
    facts["other_range"] = [*from_each_scene(), node.node_tree.sttn.message]
    other.frame_end -= 1
    facts["other_range_back"] = from_each_scene()
    return facts


def painted_and_held_out(folder: Path, server: str) -> dict:
    """FOLDER holds painted.1002.exr too; the upper half of the matte is held out."""
    scene, node = masked(folder, server)
    upper = mask_socket(node.id_data, [(0, 0.5), (1, 0.5), (1, 1), (0, 1)])
    node.id_data.links.new(upper, node.inputs["Hold Out"])
    node.node_tree.sttn.clean_frames = str(folder / "painted.####.exr")
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    render(scene, folder, "final")
    return told(node)


def gray_plate_color_matte(folder: Path, server: str) -> dict:
    """A number where a color is expected, and a roto's color where a number is."""
    scene, tree, plate, output = scene_with_plate(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    channels = tree.nodes.new("CompositorNodeSeparateColor")
    tree.links.new(plate, channels.inputs[0])
    roto = tree.nodes.new("CompositorNodeCombineColor")
    mask = mask_socket(tree)
    for channel in range(3):
        tree.links.new(mask, roto.inputs[channel])
    node = add_inpaint(tree, channels.outputs[0], roto.outputs[0], output, server)
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    render(scene, folder, "final")
    return told(node)


def larger_plate(folder: Path, server: str) -> dict:
    """The scene renders at half the plate's size: its middle."""
    scene, node = masked(folder, server)
    scene.render.resolution_percentage = 50
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    render(scene, folder, "final")
    return told(node)


def wide_gamut(folder: Path, server: str) -> dict:
    """A file that works in ACEScg, and later does not."""
    from host_examples.blender import stale
    from host_examples.blender.export import Export, exported_color

    scene, node = masked(folder, server)
    bpy.ops.wm.set_working_color_space(working_space="ACEScg")
    (folder / "exported").mkdir()
    export = Export(scene, node, folder / "exported")
    export.frame(FIRST)
    export.close()
    bpy.ops.sttn.inpaint("EXEC_DEFAULT")
    facts = {"color": exported_color(), **told(node)}
    bpy.ops.wm.set_working_color_space(working_space="Linear Rec.709")
    stale.mark(scene)
    return {**facts, "changed": told(node)["state"]}


def pictures(folder: Path, server: str) -> dict:
    """What README.md shows."""
    from host_examples.blender.pictures import main

    main(folder, server)
    return {"version": list(bpy.app.version)}


def described(folder: Path, server: str) -> dict:
    """What the panel draws, with a layout that takes notes."""
    from host_examples.blender.panel import Panel
    from host_examples.blender.properties import shown_params

    class Layout(SimpleNamespace):
        drawn: list = []  # noqa: RUF012

        def prop(self, settings, name, **_):
            self.drawn.append(name)

        def label(self, **_):
            pass

        def operator(self, *_, **__):
            return SimpleNamespace()

        def column(self):
            return Layout()

        box = column

    _, node = masked(folder, server)
    Panel.draw(SimpleNamespace(layout=Layout()), bpy.context)
    properties = {}
    for spec in shown_params():
        made = node.node_tree.sttn.bl_rna.properties[spec.name]
        properties[spec.name] = {
            "default": made.default,
            "hint": made.description,
            "choices": [item.identifier for item in getattr(made, "enum_items", [])],
        }
    return {"properties": properties, "drawn": sorted(Layout.drawn)}


def main() -> None:
    scenario, folder, server = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if scenario != "without_extension":
        enable()
    facts = globals()[scenario](folder, server)
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
