"""The extension in real Blenders, end to end: what an artist does, and what the pixels are."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import PyOpenColorIO as ocio
import pytest
import tomllib

from node.effect import describe_in_context

from .conftest import FRAMES, plate, played, read, write

pytestmark = pytest.mark.slow


def standalone(shot: Path, server: str) -> dict[int, np.ndarray]:
    """What sttn-inpaint makes of the frames that Blender exported."""
    for frame in FRAMES:
        exported = shot / "exported" / f"export.{frame}.exr"
        write(shot / f"given.{frame}.exr", read(exported, [f"plate.{c}" for c in "RGBA"]), "RGBA")
        write(shot / f"matte.{frame}.exr", read(exported, ["matte.V"]), "Y")
    command = [
        *(sys.executable, "-m", "host_examples.standalone", str(shot / "given.####.exr")),
        *("--matte", str(shot / "matte.####.exr"), "--output", str(shot / "alone.####.exr")),
        *("--server", server, "--premultiplied"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return {frame: read(shot / f"alone.{frame}.exr") for frame in FRAMES}


def test_the_result_is_the_standalone_hosts(finished, server):
    """From the button to the rendered frame: same pixels as sttn-inpaint, and the plate's own
    outside the matte, NaN and inf included."""
    shot, told = finished
    alone = standalone(shot, server)

    assert told["before"] == {"state": "IDLE", "message": ""}
    assert told["outcome"] == ["FINISHED"]
    assert told["state"] == "DONE"
    assert told["message"].startswith("4 frames finished; no frame shows all of what is hidden in ")
    assert not told["left_behind"]
    for frame in FRAMES:
        exported = read(shot / "exported" / f"export.{frame}.exr", [f"plate.{c}" for c in "RGBA"])
        matte = read(shot / "exported" / f"export.{frame}.exr", ["matte.V"])[..., 0]
        final = read(shot / f"final.{frame}.exr")
        np.testing.assert_array_equal(exported, plate(frame))
        assert 0.1 < matte.mean() < 0.25
        assert_same_bits(final[matte == 0], plate(frame)[matte == 0])
        assert_same_bits(final, alone[frame])
        assert np.isfinite(final[matte == 1]).all()
        assert (final[matte == 1] != plate(frame)[matte == 1]).any(axis=-1).mean() > 0.9


def test_what_is_not_finished_shows_the_plate(finished):
    """Frames outside the range, and results that somebody deleted: never black."""
    shot, told = finished

    last = FRAMES[-1]
    assert f"result.{last}.exr" not in told["results"]
    shown, expected = read(shot / f"deleted.{last}.exr"), plate(last)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(shown[finite], expected[finite])
    assert_same_bits(read(shot / f"final.{last + 1}.exr"), plate(last))


def test_a_file_renders_the_same_where_the_extension_is_missing(finished, blender, server):
    """A farm, or a colleague: the node group is made of Blender's own nodes."""
    shot, _ = finished

    elsewhere = played(blender, server, "without_extension", shot, extended=False)

    assert elsewhere == {"known": False}
    for frame in list(FRAMES)[:-1]:
        assert_same_bits(read(shot / f"elsewhere.{frame}.exr"), read(shot / f"final.{frame}.exr"))


def test_a_cryptomatte_of_the_same_render_is_a_matte(facts, shot):
    """A rendered object is removed by name, in Blender 5.0 by a node in a group; nothing else
    changes."""
    told = facts("inpaint_cryptomatte")

    assert told["state"] == "DONE"
    assert told["message"].startswith("3 frames finished; no frame shows all of what is hidden in ")
    for frame in (1, 2, 3):
        beauty, clean = (
            read(shot / f"beauty.{frame:04d}.exr"),
            read(shot / f"clean.{frame:04d}.exr"),
        )
        changed = (beauty != clean).any(axis=-1)
        assert 0.03 < changed.mean() < 0.3
        columns = np.flatnonzero(changed.any(axis=0))
        middle = (columns[0] + columns[-1]) / 2 / changed.shape[1]
        assert abs(middle - (0.5 + 0.35 * (frame - 2))) < 0.1


def test_what_goes_wrong_is_said_in_the_report_and_stays_on_the_panel(facts, shot):
    """Each message names the thing and the way out; the plate shows as before."""
    told = facts("problems")

    words = {
        "no_server": "Start one with 'sttn-server --address localhost:50071'",
        "elsewhere": "Allow Online Access",
        "here": "frame 990 is outside the timeline's",
        "nobody_answers": "nothing answers at unix:",
        "outside": "frame 990 is outside the timeline's 1001-1004",
        "no_folder": "choose another Folder",
        "not_saved": "save it first",
        "muted_matte": "nothing connected to Matte",
        "no_matte": "nothing connected to Matte",
    }
    assert "add one, or select it" in told["no_node"]
    assert told["left"] == []
    for case, expected in words.items():
        reported, panel = told[case]
        assert expected in reported
        assert panel["state"] == "ERROR"
        assert expected in panel["message"]
    assert_same_bits(read(shot / "plate_only.1001.exr"), plate(1001))


def test_changed_inputs_make_it_stale(facts):
    """Params, the mask and every frame of the plate's are noticed, a dangling link among them, too;
    taking a change back counts. So is a group that somebody took apart, at every later change too.
    """
    told = facts("staleness")

    name, *without_a_file = told.pop("no_file")
    assert (name, without_a_file) == ("Scene", [""])
    assert "has no node Result any more; undo that, or add a new node" in told.pop("run")
    state, message = told.pop("removed")
    assert (state, "the node Result of STTN Inpaint; bring it back" in message) == ("ERROR", True)
    assert told == {
        "done": "DONE",
        "param": "STALE",
        "param_back": "DONE",
        "mask": "STALE",
        "mask_back": "DONE",
        "mask_fill": "STALE",
        "other_frame": "STALE",
        "other_frame_back": "DONE",
        "dangling": "STALE",
        "dangling_back": "DONE",
        "plate": "STALE",
    }


def test_what_changes_pixels_upstream_is_noticed(blender, address, shot):
    """Artists trust Done: settings of images, clips and animation count as nodes do. They scrub
    large trees: no socket is asked for its links, for which Blender looks through all the tree's.
    """
    told = played(blender, address, "noticed", shot)

    assert told == {"missed": [], "sockets_asked": 0}


def test_a_painting_is_read_again_when_it_changes(blender, address, shot):
    """Whoever works beside one in 4K that is not saved would wait a tenth of a second at a step."""
    told = played(blender, address, "painted_upstream", shot)

    assert told == {
        "first": ["DONE", 1],
        "else": ["DONE", 0],
        "stroke": ["STALE", 1],
        "else_again": ["STALE", 0],
        "undone": ["DONE", 1],
        "before_a_render": "STALE",
    }


def test_what_is_followed_upstream(blender, address, shot):
    """Artists scrub through animated rotos without being told to run again, and are told of edits
    in groups, at any frame, and of another of our nodes upstream that ran again."""
    told = played(blender, address, "followed", shot)

    assert told == {
        "done": ["DONE", "DONE"],
        "another_frame": ["DONE", "DONE"],
        "edited_there": ["STALE", "STALE"],
        "not_keyed": ["DONE", "DONE"],
        "curve_in_a_group": ["STALE", "STALE"],
        "still": ["STALE", "STALE"],
        "first_ran_again": ["DONE", "STALE"],
    }


def test_scenes_that_are_set_otherwise(blender, address, shot, monkeypatch):
    """A studio's color management, File Extensions off, braces in a name, results on another drive,
    stretched time, a linked group, a muted hold-out: it works. Stereo, a part of the frame and keys
    would not, and are refused."""
    monkeypatch.setenv("OCIO", "ocio://studio-config-latest")

    told = played(blender, address, "set_otherwise", shot)

    assert "switch it off, and run each eye in a scene of its own" in told["stereo"]
    assert "Render Region is on, and what lies outside it would be missing" in told["region"]
    assert told["elsewhere"]["state"] == told["linked"]["state"] == "DONE"
    assert told["is_own"]
    assert "not animatable" in told["keyed"]
    shown = [read(shot / f"stretched.{frame}.exr")[61:75, 65:110] for frame in (1001, 1002, 1003)]
    plates = [plate(frame)[61:75, 65:110] for frame in (1001, 1002, 1003)]
    same = [np.array_equal(ours, theirs) for ours, theirs in zip(shown, plates, strict=True)]
    assert same == [False, False, True]


def test_escape_ends_the_modal_operator(facts, shot):
    """Progress while it runs, other keys pass, Escape ends it, the next run works."""
    told = facts("cancelled")

    assert told["begun"] == ["RUNNING_MODAL"]
    assert told["first"] == {"state": "EXPORTING", "message": "exporting: 0 of 4 frames"}
    assert "still at work" in told["second_refused"]
    assert told["exporting"]["message"] == "exporting: 1 of 4 frames"
    assert told["other_key"] == "PASS_THROUGH"
    assert told["under_way"]["state"] in ("SENDING", "RUNNING")
    assert told["outcome"] == "CANCELLED"
    assert told["after"] == {"state": "CANCELLED", "message": "cancelled"}
    assert told["reports"] == [[["WARNING"], "cancelled"]]
    assert told["calls"] == ["timer", "progress", "modal", "timer removed", "progress ended"]
    assert_same_bits(read(shot / "cancelled.1002.exr"), plate(1002))
    assert told["again"]["state"] == "DONE"


def test_clean_frames_show_and_held_out_parts_stay(facts, shot):
    """A painted frame is the answer where the background never shows; a hold-out is untouchable."""
    write(shot / "painted.1002.exr", np.full((*plate(1002).shape[:2], 3), 0.25, np.float32), "RGB")

    told = facts("painted_and_held_out")

    assert told["state"] == "DONE"
    assert told["message"].startswith("4 frames finished; no frame shows all of what is hidden in ")
    final, before = read(shot / "final.1002.exr"), plate(1002)
    assert_same_bits(final[:55], before[:55])
    inside = final[60:75, 65:110]
    np.testing.assert_allclose(inside[..., :3], 0.25, rtol=1e-5)
    assert (read(shot / "final.1003.exr")[60:75, 65:110] != plate(1003)[60:75, 65:110]).any()


def test_whatever_is_connected_becomes_a_plate_and_a_matte(facts, shot):
    """A gray plate, and a roto whose color is the matte: what the sockets make of them."""
    told = facts("gray_plate_color_matte")

    assert told["state"] == "DONE"
    assert told["message"].startswith("4 frames finished; no frame shows all of what is hidden in ")
    final, red = read(shot / "final.1002.exr", "RGB"), plate(1002)[..., :1].repeat(3, axis=-1)
    assert_same_bits(final[:12], red[:12])
    assert (final[60:70, 80:100] != red[60:70, 80:100]).mean() > 0.5


def test_a_plate_larger_than_the_scene_keeps_its_size(facts, shot):
    """Results have the plate's own size, so that they lie where the plate does."""
    told = facts("larger_plate")

    assert told["state"] == "DONE"
    assert told["message"].startswith("4 frames finished; no frame shows all of what is hidden in ")
    (result,) = shot.rglob("result.1001.exr")
    assert read(result).shape == plate(1001).shape
    final, middle = read(shot / "final.1001.exr"), plate(1001)[28:84, 48:144]
    same = (final == middle).all(axis=-1)
    assert_same_bits(final[:6], middle[:6])
    assert 0.7 < same.mean() < 0.9


def test_another_working_space_is_named_to_the_node(facts, shot, bpy_python):
    """Blender 5.0 may work in ACEScg: exported frames are in it, and the node is told so."""
    if is_blender_4(bpy_python):
        pytest.skip("Blender 4.5 has one working space")

    told = facts("wide_gamut")

    assert told["state"] == "DONE"
    assert told["changed"] == "STALE"
    assert told["color"]["color_space"] == "ACEScg"
    config = ocio.Config.CreateFromFile("ocio://studio-config-latest")
    processor = config.getProcessor("Linear Rec.709 (sRGB)", "ACEScg").getDefaultCPUProcessor()
    converted = np.ascontiguousarray(plate(1001)[80:, :, :3])
    processor.applyRGB(converted)
    channels = [f"plate.{channel}" for channel in "RGB"]
    exported = read(shot / "exported" / "export.1001.exr", channels)[80:]
    np.testing.assert_allclose(exported, converted, rtol=1e-3, atol=1e-4)


def test_no_result_is_removed_that_a_file_shows(blender, address, shot):
    """Save As, a shared Folder, a renamed node, a saved copy: whoever opens one finds its frames,
    or is told that they are lost. So does a farm that runs or saves the file meanwhile."""
    told = played(blender, address, "kept", shot)

    assert told["nothing_is_removed"] == [f"STTN_Inpaint/000{run}" for run in (1, 2, 3)]
    asked, of_two = told["asked"]
    place = shot / "sttn" / "shot"
    assert asked.startswith(f"1 old run in {place / 'STTN_Inpaint'} (0.0 GB) will")
    assert of_two.startswith(f"2 old runs in {place / 'One'}, {place / 'Two'} (0.0 GB) will")
    assert told["not_removed_yet"] == told["nothing_is_removed"]
    refused, left = told["saved_elsewhere"]
    assert f"{shot / 'shot.blend'} was saved elsewhere since; open it again" in refused
    assert left == told["nothing_is_removed"]
    assert told["without_saving"] == ["STTN_Inpaint/0001", "STTN_Inpaint/0003"]
    assert told["shown_by_both"] == ["STTN_Inpaint/0003", "STTN_Inpaint/0004"]
    assert told["under_way"]
    assert told["another_file_in_the_folder"] == told["shown_by_both"]
    assert told["files"] == ["made_by.txt", "result.1001.exr"]
    assert told["there"]["state"] == "DONE"
    assert told["lost"]["state"] == "ERROR"
    assert "0003/result.1001.exr; bring it back, or run again" in told["lost"]["message"]
    assert told["back"]["state"] == "DONE"


def test_a_run_that_was_interrupted_leaves_nothing_behind(blender, address, shot):
    """Saved while at work, closed, removed; README's command then does the work on a farm."""
    page = (Path(__file__).parents[3] / "host_examples" / "blender" / "README.md").read_text()
    (expression,) = re.findall(r'blender -b shot.blend .*--python-expr "(.*)"', page)
    (shot / "expression.py").write_text(expression)

    told = played(blender, address, "interrupted", shot)

    assert told["under_way"]["message"] == "exporting: 1 of 4 frames"
    assert told["after"] == told["before"]
    assert told["side_outputs"] == []
    assert "CompositorNodeOutputFile" in told["theirs"]
    data, opened = told["opened"]
    assert data == told["before"]
    assert opened == {
        "state": "CANCELLED",
        "message": "this was kept while a run was under way; run again",
    }
    assert told["again"]["state"] == "DONE"
    assert told["goes_on"] is False
    assert told["outcome"][0] == "ERROR"
    assert "removed while at work" in told["outcome"][1]
    assert told["scenes_left"] == 0


def test_a_duplicate_shows_its_own_result(blender, address, shot):
    """Shift+D, other inputs, run: neither node claims the other's frames. Nor does a copy of the
    scene that is longer, and which scene was looked at last makes no difference."""
    told = played(blender, address, "duplicated", shot)

    assert told["shared"] == ["STALE", "STALE"]
    assert told["groups"] == ["STTN Inpaint", "STTN Inpaint.001"]
    assert told["states"] == ["DONE", "DONE"]
    assert told["shown"] == ["STTN_Inpaint", "STTN_Inpaint_001"]
    assert told["driven"] == ["now >= 1001 and now <= 1001"] * 2
    assert told["copied"] == told["other_range_back"] == ["DONE", "DONE"]
    *states, message = told["other_range"]
    assert states == ["STALE", "STALE"]
    assert message.startswith("Other shares this node, with other inputs than were run")


def test_the_pages_pictures_are_what_blender_makes(facts, shot, bpy_python):
    """README.md shows today's node; only the fill may differ in its last bits."""
    if is_blender_4(bpy_python):
        pytest.skip("the page shows Blender 5.0")

    facts("pictures")

    page = Path(__file__).parents[3] / "host_examples" / "blender"
    for name in ("compositor.svg", "inside.svg"):
        assert (shot / name).read_text() == (page / name).read_text()
    fresh, committed = (oiio.ImageBuf(str(folder / "first_result.png")) for folder in (shot, page))
    difference = oiio.ImageBufAlgo.compare(fresh, committed, 0.02, 0.02)
    assert difference.meanerror < 0.002


def test_the_panel_shows_every_param(facts):
    """Made from the node's description: names, defaults, ranges, hints."""
    told = facts("described")

    settled = {"matte_channel", "color_space", "ocio_config", "on_missing"}
    for spec in describe_in_context().params:
        if spec.name in settled:
            assert spec.name not in told["properties"]
            continue
        shown = told["properties"][spec.name]
        assert shown["hint"].startswith(spec.hint.rstrip("."))
        assert shown["choices"] == list(spec.choices)
        if spec.name != "premultiplied":
            assert shown["default"] == pytest.approx(spec.default)
    assert told["drawn"] == sorted({*told["properties"], "clean_frames", "folder"})


def test_building_says_what_it_takes(tmp_path):
    """Asked for help, it builds nothing into a folder of that name; no such platform, neither."""
    command = [sys.executable, "-m", "host_examples.blender.build_extension"]

    asked, mistyped = (
        subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True)
        for words in (["--help"], ["dist", "amiga"])
    )

    assert asked.returncode == 0
    assert "OUTPUT_FOLDER" in asked.stdout
    assert mistyped.returncode == 2
    assert "no platform amiga; there are linux-x64, " in mistyped.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_extension_is_valid_and_holds_what_blender_lacks(extension, bpy_python):
    """Blender's own validator accepts it; versions agree; it brings no numpy and no torch."""
    (validator,) = bpy_python.parents[1].glob("lib/*/site-packages/bpy/*/scripts/**/blender_ext.py")
    done = subprocess.run(
        [str(bpy_python), str(validator), "validate", str(extension)],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(extension) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        names = archive.namelist()
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert manifest["version"] == project["project"]["version"]
    assert "network" in manifest["permissions"]
    assert sorted(manifest["wheels"]) == sorted(
        f"./{name}" for name in names if name.endswith(".whl")
    )
    told = " ".join(names)
    assert all(each in told for each in ("grpcio-", "protobuf-", "opencolorio-", "openimageio-"))
    assert "numpy-" not in told
    assert "torch" not in told


def is_blender_4(bpy_python: Path) -> bool:
    return any(bpy_python.parents[1].glob("lib/*/site-packages/bpy/4.*"))


def assert_same_bits(ours: np.ndarray, theirs: np.ndarray) -> None:
    """NaN equals NaN, and -0 is not 0."""
    np.testing.assert_array_equal(ours, theirs)
    numbers = ~np.isnan(theirs)
    np.testing.assert_array_equal(np.signbit(ours[numbers]), np.signbit(theirs[numbers]))
