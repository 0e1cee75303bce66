"""Nuke itself could not be had: these run against a stand-in that enforces what is known of it."""

import ast
import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import threading
from pathlib import Path, PureWindowsPath

import numpy as np
import OpenImageIO as oiio
import pytest

from host_examples.drawing import Box, draw
from node.effect import describe_in_context
from tests.conftest import serving
from tests.server.engines import ScenesEngine

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "host_examples" / "nuke"
NEWER = {"in_process.py", "params.py"}
MADE_UP = "no frame shows all of what is hidden in"
"""Not imported by a Nuke whose Python is old."""
IMPORTED_BY_OLD_NUKES = [
    *(path for path in sorted(FOLDER.glob("*.py")) if path.name not in NEWER),
    *(ROOT / "host_examples" / name for name in ("__init__.py", "exchange/__init__.py")),
    ROOT / "host_examples" / "exchange" / "ranges.py",
]


def read(path):
    image = oiio.ImageBuf(str(path))
    return image.get_pixels(oiio.FLOAT), image.spec()


def finish(nuke, group):
    nuke.run_main_loop(lambda: not sys.modules["host_examples.nuke.process"]._running)


def results(folder):
    return sorted(folder.rglob("result.*.exr"))


@pytest.mark.parametrize("path", IMPORTED_BY_OLD_NUKES, ids=lambda path: path.name)
def test_nuke_13_can_read_it(path):
    """Nuke 13 has Python 3.7: its syntax, and no annotation that it would have to evaluate."""
    tree = ast.parse(path.read_text(), feature_version=(3, 7))

    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    annotated = any(
        isinstance(node, ast.AnnAssign) or (isinstance(node, ast.FunctionDef) and node.returns)
        for node in ast.walk(tree)
    )
    lazily = any(node.module == "__future__" for node in imported)
    assert lazily or not annotated
    at_once = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not [module for module in at_once if module and module.startswith(("node", "server"))]


def test_knobs_are_what_the_node_says():
    """Nuke 13 cannot import the node: the file that stands for it is the node's own words."""
    written = subprocess.run(
        [sys.executable, "-c", "from host_examples.nuke.params import *; print(described())"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(written.stdout) == json.loads((FOLDER / "params.json").read_text())


def test_starting_nuke_makes_the_package_importable(nuke, monkeypatch):
    """Whatever a studio has goes first: the root holds common words, such as ``server``."""
    monkeypatch.setattr(sys, "path", ["/studio/tools"])

    runpy.run_path(str(FOLDER / "init.py"))

    assert sys.path == ["/studio/tools", str(ROOT)]


def test_the_menu_makes_a_node_with_every_param(nuke):
    """Whoever picks the entry finds each param with its default and its hint."""
    sys.path_importer_cache.clear()
    exec((FOLDER / "menu.py").read_text())
    exec(nuke.menus["Nodes"].entries["STTN"].entries["STTN Inpaint"])

    (made,) = nuke.allNodes("Group")
    for spec in describe_in_context().params:
        if spec.name in ("matte_channel", "on_missing"):
            assert made.knob(spec.name) is None
            continue
        knob = made[spec.name]
        assert knob.value() == spec.default
        assert knob.tooltip.startswith(spec.hint)
        assert list(spec.choices) == (list(knob.rest[0]) if spec.choices else [])
    assert made["channel"].value() == "rgba.alpha"
    assert made["state"].value() == "IDLE"
    assert {node.name() for node in made.children} >= {"Source", "Matte", "PlateExport", "Show"}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_new_node_is_connected_to_what_is_selected(nuke, count):
    """As Nuke's own nodes are; of several, nobody knows which one is the plate. Its panel opens."""
    nuke.selected = [nuke.nodes.Read(name=f"Plate{index}") for index in range(count)]

    exec((FOLDER / "menu.py").read_text())
    exec(nuke.menus["Nodes"].entries["STTN"].entries["STTN Inpaint"])

    (made,) = nuke.allNodes("Group")
    assert made.input(0) is (nuke.selected[0] if count == 1 else None)
    assert made.panel
    assert made["label"].value() == "[value state]"


def test_process_exports_completes_and_shows(
    nuke, process, group, address, tmp_path, fake_nuke, fake_engine
):
    """The button returns once the export is done; results come from a thread, on the main one."""
    fake_engine.held_at = 2  # or all is done before Nuke looks at the progress again
    fake_engine.hold.clear()
    group["server"].setValue(address)
    group["overscan"].setValue(8)

    process.process(group)
    nuke.run_main_loop(lambda: "completing" in " ".join(nuke.tasks[0].told))
    fake_engine.hold.set()
    finish(nuke, group)

    assert group["state"].value() == "DONE"
    assert group["message"].value().startswith(f"4 frames finished; {MADE_UP} 1001-1004: ")
    files = results(tmp_path)
    assert [path.name for path in files] == [f"result.{frame}.exr" for frame in range(1001, 1005)]
    pixels, spec = read(files[0])
    plate, matte = fake_nuke.footage(1001, 96 + 16, 96 + 16)
    np.testing.assert_array_equal(pixels[matte == 0], plate[matte == 0])
    assert (pixels[matte == 1][:, :3] != plate[matte == 1][:, :3]).any()
    assert (spec.x, spec.y, spec.width) == (-8, -8, 112)
    assert (spec.full_x, spec.full_width) == (0, 96)
    assert spec.getattribute("nuke/version") == "stand-in"
    shown = group.node("Result")
    assert shown["file"].value() == str(files[0]).replace("1001", "####")
    assert shown["raw"].value() is True
    assert group.node("Finished").input(1) is shown
    assert group.node("Show")["which"].expression == "frame>=1001 && frame<=1004"
    assert fake_nuke.exported(tmp_path) == []
    assert group.node("PlateExport")["disable"].value() is True
    assert "completing" in " ".join(nuke.tasks[0].told)


def test_a_range_is_exported_with_its_handles(nuke, process, group, address, tmp_path):
    """Frames around the range are context: exported, not completed; proxies are never exported."""
    group["server"].setValue(address)
    group["frames"].setValue("1002-1003")
    group["handles"].setValue(1)
    nuke.root()["proxy"].setValue(True)

    process.process(group)
    finish(nuke, group)

    assert nuke.calls == [("execute", "PlateExport", 1001, 1004, False)]
    assert nuke.root()["proxy"].value() is True
    assert [path.name for path in results(tmp_path)] == ["result.1002.exr", "result.1003.exr"]


def test_cancel_in_the_progress_bar_keeps_what_is_finished(
    nuke, process, group, address, tmp_path, fake_engine
):
    """Finished frames stay and show; everywhere else the plate does."""
    fake_engine.held_at = 2
    fake_engine.hold.clear()
    group["server"].setValue(address)

    process.process(group)
    nuke.run_main_loop(lambda: len(results(tmp_path)) == 2)
    nuke.tasks[0].cancelled = True
    finish(nuke, group)

    assert group["state"].value() == "PARTIAL"
    assert group["message"].value() == "cancelled; 2 of 4 frames are finished and shown"
    assert group.node("Show")["which"].expression == "frame>=1001 && frame<=1002"


def test_the_cancel_button_ends_it_before_anything_is_finished(
    nuke, process, group, address, fake_engine
):
    """No Read is made for results that do not exist; the plate shows."""
    fake_engine.hold.clear()
    group["server"].setValue(address)

    process.process(group)
    process.cancel(group)
    finish(nuke, group)

    assert group["state"].value() == "CANCELLED"
    assert group.node("Result") is None
    assert group.node("Show")["which"].expression is None


def test_an_export_that_is_cancelled_leaves_nothing_behind(
    nuke, process, group, tmp_path, fake_nuke
):
    """Escape during the export: the Write is off again, and nothing was sent."""
    nuke.fail_at = 1002
    nuke.root()["proxy"].setValue(True)

    process.process(group)

    assert (group["state"].value(), group["message"].value()) == ("CANCELLED", "Cancelled")
    assert group.node("PlateExport")["disable"].value() is True
    assert nuke.root()["proxy"].value() is True
    assert fake_nuke.exported(tmp_path) == []


@pytest.mark.parametrize(
    ("knob", "value", "told"),
    [
        ("server", "unix:/nowhere.sock", "no server answers at unix:/nowhere.sock"),
        ("frames", "990-1002", "frame 990 is outside the plate's 1001-1004"),
        ("frames", "all", "frames 'all' is not a range"),
        ("frames", "1001-1004x3", "frames '1001-1004x3' leaves some out"),
        ("frames", "1004-1001", "frames '1004-1001' leaves some out or runs backwards"),
        ("folder", "/dev/null", "cannot write to /dev/null"),
    ],
)
def test_what_goes_wrong_stays_on_the_node(nuke, process, group, monkeypatch, knob, value, told):
    """State and message say what and what to do; nothing is shown."""
    import node.client

    monkeypatch.setitem(node.client.InpaintClient.__init__.__kwdefaults__, "connect_seconds", 0.2)
    group[knob].setValue(value)

    process.process(group)
    finish(nuke, group)

    assert group["state"].value() == "ERROR"
    assert told in group["message"].value()


def test_a_plate_without_alpha_is_completed(nuke, process, group, address, tmp_path, fake_nuke):
    """Movies and JPEGs have none; a painted frame, with or without, goes with them."""
    painted = oiio.ImageBuf(oiio.ImageSpec(96, 96, 4, oiio.FLOAT))
    assert painted.write(str(tmp_path / "painted.1002.exr"))
    nuke.plate_channels = "RGB"
    nuke.tcl["[value shots]"] = str(tmp_path)
    group["server"].setValue(address)
    group["clean_frames"].setValue("[value shots]/painted.####.exr")
    group["folder"].setValue("[value shots]/sttn_of_shot")

    process.process(group)
    finish(nuke, group)

    assert group["state"].value() == "DONE", group["message"].value()
    pixels, spec = read(results(tmp_path / "sttn_of_shot")[1])
    plate, matte = fake_nuke.footage(1002, 96, 96)
    assert tuple(spec.channelnames[:3]) == ("R", "G", "B")
    assert "A" not in spec.channelnames
    np.testing.assert_array_equal(pixels[matte == 0][:, :3], plate[matte == 0][:, :3])
    np.testing.assert_array_equal(pixels[matte == 1][:, :3], 0)


def test_no_other_layer_of_the_plate_is_exported(nuke, process, group, tmp_path):
    """A rendered plate has dozens, which would fill the disk and are never read."""
    nuke.plate_layers = ["depth.Z", "diffuse.red"]

    sys.modules["host_examples.nuke.job"].Job(group).export()

    _, spec = read(next(tmp_path.rglob("export.plate.1001.exr")))
    assert tuple(spec.channelnames) == ("R", "G", "B", "A", "sttn.matte")


def test_the_plates_own_range_is_taken(nuke, process, group, address):
    """A plate of 1002-1003 in a script of 1001-1004."""
    plate = group.input(0)
    plate.firstFrame, plate.lastFrame = (lambda: 1002), (lambda: 1003)
    group["server"].setValue(address)

    process.process(group)
    finish(nuke, group)

    assert nuke.calls == [("execute", "PlateExport", 1002, 1003, False)]
    assert group["message"].value().startswith("2 frames finished")


def test_a_script_with_several_views_is_refused(nuke, process, group, address):
    """Whoever works in stereo: both eyes would show one eye's picture."""
    nuke.views_ = ["left", "right"]
    group["server"].setValue(address)

    process.process(group)

    assert group["state"].value() == "ERROR"
    assert group["message"].value().startswith("the script has the views left, right, which would")
    assert nuke.calls == []


def test_paths_have_forward_slashes_on_windows(nuke, process, group, monkeypatch):
    """Nuke takes a backslash in a file knob for an escape."""
    job = sys.modules["host_examples.nuke.job"]
    monkeypatch.setattr(job, "Path", PureWindowsPath)
    monkeypatch.setenv("NUKE_TEMP_DIR", "C:\\shots")
    for name in ("mkdir", "makedirs"):
        monkeypatch.setattr(job.os, name, lambda *_, **__: None)

    prepared = job.Job(group)

    assert re.fullmatch("C:/shots/sttn/STTN_Inpaint/run-[^/]+/result.####.exr", prepared.results)


def test_other_accounts_may_read_a_runs_folder(process, group):
    """A farm renders what an artist processed, where the artist's umask lets it."""
    before = os.umask(0o027)
    try:
        prepared = sys.modules["host_examples.nuke.job"].Job(group)
    finally:
        os.umask(before)

    assert Path(prepared.results).parent.stat().st_mode & 0o777 == 0o750


@pytest.fixture
def held(process, group, address, fake_engine):
    """A run of which two frames are finished, and no more for now."""
    fake_engine.held_at = 2
    fake_engine.hold.clear()
    group["server"].setValue(address)
    process.process(group)
    return process._running[0]


def test_a_node_that_is_renamed_while_at_work_is_the_same(
    nuke, process, group, held, fake_nuke, tmp_path
):
    """Cancel finds its run under the new name; the old name is free for another node."""
    group.setName("Renamed")
    process.process(group)
    assert nuke.messages == ["Renamed is still at work; cancel it first"]
    nuke.run_main_loop(lambda: len(held.finished()) == 2)
    other = sys.modules["host_examples.nuke.group"].create()
    process.process(other)
    process.cancel(group)
    finish(nuke, group)

    assert other["message"].value() == "nothing is connected to Source; connect the plate first"
    assert group["state"].value() == "PARTIAL"
    assert fake_nuke.exported(tmp_path) == []


def test_a_node_that_is_deleted_while_at_work_ends_its_run(
    nuke, process, group, held, fake_engine, fake_nuke, tmp_path
):
    """Or its script is closed: nothing is left, and the next node of that name works."""
    nuke.delete(group)
    fake_engine.hold.set()
    finish(nuke, group)

    assert fake_nuke.exported(tmp_path) == []
    again = sys.modules["host_examples.nuke.group"].create()
    process.process(again)
    assert nuke.messages == []


def test_a_node_that_is_edited_while_at_work_says_so(nuke, process, group, held, fake_engine):
    """What would show the result is gone from inside the group."""
    group.children.remove(group.node("Finished"))
    fake_engine.hold.set()
    finish(nuke, group)

    assert group["state"].value() == "ERROR"
    assert "no Finished inside; make a new node" in group["message"].value()


@pytest.mark.parametrize(
    ("state", "message", "loaded"),
    [
        ("RUNNING", "completing: 0 of 4 frames", "CANCELLED"),
        ("PARTIAL", "completing: 2 of 4 frames", "PARTIAL"),
        ("DONE", "4 frames finished", "DONE"),
    ],
)
def test_a_script_saved_while_at_work_does_not_say_so_for_ever(
    nuke, process, group, monkeypatch, state, message, loaded
):
    """Opened, or a node pasted: nobody is at work for it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(FOLDER / "init.py"))
    group["state"].setValue(state)
    group["message"].setValue(message)

    nuke.load(group)

    assert group["state"].value() == loaded
    assert ("process again" in group["message"].value()) == (state != "DONE")


@pytest.mark.parametrize("knobs", [(), ("process",), ("process", "state", "message")])
def test_a_studios_own_group_is_left_alone(nuke, process, monkeypatch, capsys, knobs):
    """Gizmos with a knob of the same name load as ever, and are none of the farm's."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(FOLDER / "init.py"))
    theirs = nuke.nodes.Group(name="Theirs")
    for name in knobs:
        theirs.addKnob(nuke.String_Knob(name, name))
        theirs[name].setValue("RUNNING")

    nuke.load(theirs)
    code = importlib.import_module("host_examples.nuke.farm").main(["shot.nk"])

    assert [theirs[name].value() for name in knobs] == ["RUNNING"] * len(knobs)
    assert code == 1
    assert "has no node of STTN Inpaint" in capsys.readouterr().err


def test_without_a_matte_the_sources_channel_is_taken(nuke, process, group, address):
    """Source with a roto in its alpha needs no second input."""
    group.setInput(1, None)
    group["server"].setValue(address)

    process.process(group)
    finish(nuke, group)

    assert group["state"].value() == "DONE"
    assert group.node("PlateCopy").input(1) is group.node("Source")


def test_a_node_older_than_a_param_takes_its_default(nuke, process, group, address):
    """Shots that were begun before an update go on after it."""
    del group._knobs["detail"]
    group["server"].setValue(address)

    process.process(group)
    finish(nuke, group)

    assert group["state"].value() == "DONE", group["message"].value()


def test_whatever_breaks_the_export_ends_on_the_node(
    nuke, process, group, monkeypatch, tmp_path, fake_nuke
):
    """Never a node that says EXPORTING for ever, nor frames that nobody will read."""

    def broken(write, frame):
        (Path(write["file"].value()).parent / "export.plate.1001.exr").touch()
        raise NameError("knob raw does not exist")

    monkeypatch.setattr(nuke, "_render", broken)

    process.process(group)

    told = "a bug, please report it: NameError: knob raw does not exist"
    assert (group["state"].value(), group["message"].value()) == ("ERROR", told)
    assert fake_nuke.exported(tmp_path) == []


def test_results_that_nuke_cannot_show_end_on_the_node(nuke, process, group, monkeypatch, address):
    """Nuke refuses to make the Read, say: the node does not say RUNNING for ever."""

    def refused(*_):
        raise RuntimeError("no more nodes")

    monkeypatch.setattr(process, "show_results", refused)
    group["server"].setValue(address)

    process.process(group)
    finish(nuke, group)

    assert (group["state"].value(), group["message"].value()) == ("ERROR", "no more nodes")


def test_a_changed_knob_makes_a_finished_node_stale(nuke, process, group, address):
    """What shows is not what the knobs say any more."""
    group["server"].setValue(address)
    process.process(group)
    finish(nuke, group)

    process.knob_changed(group, group["matte_grow"])

    assert group["state"].value() == "STALE"
    assert "matte_grow" in group["message"].value()


@pytest.fixture(params=[(3, 10), (99,)], ids=["in process", "side process"])
def either_way(request, process, monkeypatch, group):
    """Nuke 15 and later, and Nuke 13 and 14."""
    monkeypatch.setattr(sys.modules["host_examples.nuke.job"], "NODES_PYTHON", request.param)
    group["command"].setValue(str(Path(sys.executable).with_name("sttn-inpaint")))


@pytest.mark.slow
def test_clean_frames_show_and_held_out_parts_stay(
    nuke, process, group, address, tmp_path, fake_nuke, either_way
):
    """A painted frame shows under the matte; what is held out is the plate, matte or not.

    The hold-out has another format, as what another program made may have.
    """
    painted = oiio.ImageBuf(oiio.ImageSpec(96, 96, 3, oiio.FLOAT))
    oiio.ImageBufAlgo.fill(painted, (0.25, 0.25, 0.25))
    assert painted.write(str(tmp_path / "painted.1002.exr"))
    group["server"].setValue(address)
    group["clean_frames"].setValue(str(tmp_path / "painted.####.exr"))
    actor = nuke.nodes.Read(name="Actor")
    actor.size = 128, 128
    group.setInput(2, actor)

    process.process(group)
    finish(nuke, group)

    assert group["message"].value().startswith(f"4 frames finished; {MADE_UP} ")
    pixels, _ = read(results(tmp_path)[1])
    plate, matte = fake_nuke.footage(1002, 96, 96)
    columns = np.broadcast_to(np.arange(96), matte.shape)
    np.testing.assert_allclose(pixels[(matte == 1) & (columns >= 44)][:, :3], 0.25, rtol=1e-5)
    held_out = (matte == 1) & (columns < 44)
    np.testing.assert_array_equal(pixels[held_out][:, :3], plate[held_out][:, :3])


@pytest.mark.slow
def test_an_old_python_gets_a_side_process(nuke, process, group, address, tmp_path, monkeypatch):
    """Nuke 13 and 14: sttn-inpaint does the same on the same files, to the bit."""
    job = sys.modules["host_examples.nuke.job"]
    group["server"].setValue(address)
    group["command"].setValue(str(Path(sys.executable).with_name("sttn-inpaint")))
    process.process(group)
    finish(nuke, group)
    monkeypatch.setattr(job, "NODES_PYTHON", (99,))
    monkeypatch.setenv("PYTHONHOME", "/a/nuke/python")

    process.process(group)
    finish(nuke, group)

    assert group["message"].value().startswith(f"4 frames finished; {MADE_UP} ")
    ours, theirs = (sorted(each.glob("result.*")) for each in sorted_runs(tmp_path))
    for one, other in zip(ours, theirs, strict=True):
        ours_rgb, theirs_rgb = read(one)[0], read(other)[0]
        np.testing.assert_array_equal(ours_rgb[..., :4], theirs_rgb[..., :4])
    assert "completing" in " ".join(nuke.tasks[1].told)


def sorted_runs(folder):
    return sorted(folder.rglob("run-*"), key=lambda path: path.stat().st_ctime)


def test_a_side_process_that_is_not_there_is_named(nuke, process, group):
    """Nothing is on PATH: the message says what to enter."""
    group["command"].setValue("/nowhere/sttn-inpaint")

    process.process(group)
    finish(nuke, group)

    assert group["state"].value() == "ERROR"
    assert "cannot start /nowhere/sttn-inpaint" in group["message"].value()


@pytest.fixture
def stands_in(process, monkeypatch, group, tmp_path):
    """Has a shell script do the side process's work."""

    def put(script):
        monkeypatch.setattr(sys.modules["host_examples.nuke.job"], "NODES_PYTHON", (99,))
        command = tmp_path / "sttn-inpaint"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        group["command"].setValue(str(command))

    return put


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (r"printf '\377 completing: 0/4\rit broke\n' >&2; exit 2", "it broke"),
        ("exit 0", "it ended without an error, but not all of"),
    ],
    ids=["in another encoding", "without a result"],
)
def test_a_side_process_that_makes_nothing_is_an_error(
    nuke, process, group, stands_in, script, told
):
    """A farm renders what is DONE: in any locale, and whatever the side process says."""
    stands_in(script)

    process.process(group)
    finish(nuke, group)

    assert group["state"].value() == "ERROR"
    assert group["message"].value().startswith(told)
    assert group.node("Result") is None


def test_cancel_ends_a_side_process_that_ignores_interrupts(nuke, process, group, stands_in):
    """As all that a Nuke starts which a shell put into the background."""
    stands_in("trap '' INT; echo 'completing: 0/4' >&2; exec sleep 30")
    process.process(group)
    work = process._running[0].work
    nuke.run_main_loop(lambda: work.stage == "completing")

    process.cancel(group)
    finish(nuke, group)

    assert group["state"].value() == "CANCELLED"
    assert work._process.wait(timeout=10) != 0


def test_a_side_process_opens_no_window(nuke, process, group, stands_in, monkeypatch):
    """On Windows a console would stand before Nuke until the job is done."""
    asked = {}

    def started(*_, **options):
        asked.update(options)
        raise FileNotFoundError("not on Windows")

    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)
    monkeypatch.setattr(subprocess, "Popen", started)
    stands_in("exit 0")

    process.process(group)
    finish(nuke, group)

    assert asked["creationflags"] == 0x08000000


@pytest.mark.parametrize("nodes_python", [(3, 10), (99,)])
def test_cuts_are_told_where_the_work_is_done(nuke, process, group, monkeypatch, nodes_python):
    """In Nuke's own Python and in sttn-inpaint's."""
    monkeypatch.setattr(sys.modules["host_examples.nuke.job"], "NODES_PYTHON", nodes_python)
    group["command"].setValue(str(Path(sys.executable).with_name("sttn-inpaint")))
    with serving(ScenesEngine()) as address:
        group["server"].setValue(address)
        process.process(group)
        finish(nuke, group)

    assert group["state"].value() == "DONE"
    assert group["message"].value().startswith("4 frames finished; cut before frame 1003: ")


def test_the_farm_waits_renders_and_saves(nuke, process, group, address, capsys):
    """No UI, no thread that touches nodes, and an exit code."""
    farm = importlib.import_module("host_examples.nuke.farm")
    group["server"].setValue(address)
    write = nuke.nodes.Write(name="Final")
    write["disable"].setValue(False)

    code = farm.main(["shot.nk", "--execute", "Final", "--save", "done.nk"])

    assert code == 0
    assert "STTN_Inpaint: DONE: 4 frames finished" in capsys.readouterr().out
    assert nuke.calls == [
        ("scriptOpen", "shot.nk"),
        ("execute", "PlateExport", 1001, 1004, False),
        ("execute", "Final", 1001, 1004, False),
        ("scriptSaveAs", "done.nk", 1),
    ]


@pytest.mark.parametrize("inside", [None, "lower", "upper"])
def test_the_farm_goes_down_a_chain(nuke, process, monkeypatch, inside):
    """Two clean-ups of one plate, the lower one made first, either inside a Group or not."""
    module = importlib.import_module("host_examples.nuke.group")
    made = {}
    for name in ("lower", "upper"):
        made[name] = module.create()
        made[name].setName(name)
    ends = {name: (node, node) for name, node in made.items()}  # what is fed, what feeds
    if inside:
        around = nuke.nodes.Group(name="Around")
        with around:
            entry = nuke.nodes.Input(name="Entry")
            middle = nuke.nodes.Copy(name="Middle", inputs=[entry])
            made[inside].setInput(0, middle)
            nuke.nodes.Output(name="Exit", inputs=[made[inside]])
        around.children.append(made[inside])
        made[inside].parent_ = around
        ends[inside] = around, around
    ends["upper"][0].setInput(0, nuke.nodes.Read(name="Plate"))
    ends["lower"][0].setInput(0, nuke.nodes.Copy(name="Between", inputs=[ends["upper"][1]]))
    processed = []

    def told(group, wait):
        processed.append(group.name())
        group["state"].setValue("DONE")

    monkeypatch.setattr(process, "process", told)

    assert importlib.import_module("host_examples.nuke.farm").main(["shot.nk"]) == 0
    assert processed == ["upper", "lower"]


def test_the_farm_hears_of_failures(nuke, process, group, capsys):
    """A job that fails must not render what is not finished."""
    farm = importlib.import_module("host_examples.nuke.farm")
    group["frames"].setValue("1-5")

    code = farm.main(["shot.nk", "--execute", "Final"])

    assert code == 1
    assert nuke.calls[-1] == ("scriptOpen", "shot.nk")
    assert "ERROR" in capsys.readouterr().out


def test_the_stand_in_has_nukes_traps(nuke):
    """What would hang or crash Nuke fails here."""
    told = []

    def off_the_main_thread():
        for call in (
            lambda: nuke.nodes.Read(),
            lambda: nuke.execute(None, 1, 2, 1),
        ):
            try:
                call()
            except AssertionError as error:
                told.append(str(error))

    with pytest.raises(AssertionError, match="hangs"):
        nuke.executeInMainThread(print)
    with pytest.raises(AssertionError, match="hangs"):
        nuke.executeInMainThreadWithResult(print)
    thread = threading.Thread(target=off_the_main_thread)
    thread.start()
    thread.join()

    assert len(told) == 2
    with pytest.raises(AssertionError, match="comes with the file type"):
        nuke.nodes.Write()["datatype"]


def test_the_picture_of_the_group_is_current(nuke, group):
    """README.md shows what group.create makes; STTN_DRAW=1 draws it anew."""
    picture = FOLDER / "group.svg"
    drawn = draw(laid_out(group), "What group.create() makes, drawn by a test; not a screenshot")
    if os.environ.get("STTN_DRAW"):
        picture.write_text(drawn)

    assert picture.read_text() == drawn


def laid_out(group):
    """Boxes in columns, each to the right of what flows into it."""
    nodes = {node.name(): node for node in group.children}
    sources = {
        name: [each.name() for each in node.inputs_.values() if each is not None]
        for name, node in nodes.items()
    }
    columns = {}
    for name in nodes:  # made from inputs to outputs
        columns[name] = 1 + max((columns[each] for each in sources[name]), default=-1)
    rows = {"HoldOut": 3, "HoldOutCopy": 3, "HoldOutWindow": 3, "HoldOutExport": 3}
    rows |= {"Colors": 1, "PlateCopy": 1, "PlateWindow": 1, "PlateExport": 1, "Matte": 2}
    return {
        name: Box(
            label=name,
            kind=node.Class(),
            x=200 * columns[name],
            y=75 * rows.get(name, 0),
            inputs=sources[name],
        )
        for name, node in nodes.items()
    }
