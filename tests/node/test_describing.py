"""What hosts build their controls from: one list of params, and it is the dataclass."""

import dataclasses

import pytest

from node.effect import (
    Clips,
    HostDescription,
    Params,
    create_instance,
    describe,
    describe_in_context,
)
from node.errors import HostError
from tests.node.shots import shot


def test_every_param_is_described_by_its_own_field():
    """A param added to the dataclass appears in every host, with its hint and range."""
    specs = {spec.name: spec for spec in describe_in_context().params}

    assert list(specs) == [field.name for field in dataclasses.fields(Params)]
    assert all(len(spec.hint) > 20 for spec in specs.values())
    assert all(getattr(Params(), name) == spec.default for name, spec in specs.items())
    assert (specs["mix"].kind, specs["mix"].minimum, specs["mix"].maximum) == ("float", 0, 1)
    assert specs["output_mode"].choices == ("clean plate", "fill only", "matte used", "made up")
    assert specs["handles"].kind == "int"
    assert specs["matte_invert"].kind == "bool"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"mix": 1.5}, "mix must be at most 1, got 1.5"),
        ({"matte_feather": -1}, "matte_feather must be at least 0, got -1"),
        ({"output_mode": "alpha"}, "output_mode must be one of clean plate, fill only"),
        ({"handles": 1.5}, "handles must be a number of type int, got 1.5"),
        ({"mix": float("nan")}, "mix must be at least 0, got nan"),
        ({"server": None}, "server must be text"),
    ],
)
def test_values_that_cannot_work_are_refused(wrong, told):
    """In every host, with the same words."""
    with pytest.raises(ValueError, match=told):
        Params(**wrong)


def test_contexts_differ_in_their_clips():
    """In Filter there is one input, and its alpha is the matte."""
    general, only = describe_in_context("General"), describe_in_context("Filter")

    assert describe().contexts == ("General", "Filter")
    assert [clip.name for clip in general.clips if not clip.optional] == [
        "Source",
        "Matte",
        "Output",
    ]
    assert [clip.name for clip in general.clips if clip.optional] == ["CleanFrames", "HoldOut"]
    assert [clip.name for clip in only.clips] == ["Source", "Output"]
    with pytest.raises(HostError, match="no context 'Generator'"):
        describe_in_context("Generator")  # type: ignore[arg-type]


def test_a_host_that_serves_single_frames_is_refused():
    """One real host answers a request for five neighbors with the current frame five times."""
    host = HostDescription(name="Stills 3", temporal_clip_access=False)

    with pytest.raises(HostError, match="Stills 3 gives an effect the current frame only"):
        create_instance(host, shot())


def test_the_frames_needed_are_the_shot_its_handles_and_the_painted_ones():
    """A host exports what the network copies from, not one frame."""
    clips = shot(length=40)
    clips = dataclasses.replace(
        clips, clean_frames=type(clips.source)("painted", {1035: clips.source.read(1035)})
    )
    params = Params(frames="1011-1020", handles=4)
    effect = create_instance(HostDescription(name="any", temporal_clip_access=True), clips, params)

    needed = effect.get_frames_needed(1012)

    assert needed["Source"] == [(1007, 1024), (1035, 1035)]
    assert needed["Matte"] == [(1007, 1024), (1035, 1035)]
    assert needed["CleanFrames"] == [(1035, 1035)]


@pytest.mark.parametrize(
    ("params", "frame", "identity"),
    [
        (Params(), 1002, False),
        (Params(mix=0), 1002, True),
        (Params(frames="1001-1002"), 1003, True),
        (Params(matte_grow=-200), 1002, True),
        (Params(mix=0, output_mode="fill only"), 1002, False),
    ],
)
def test_a_host_may_pass_through_what_is_not_changed(params, frame, identity):
    """Mix 0, a frame out of range, an empty matte."""
    effect = create_instance(HostDescription(name="any", temporal_clip_access=True), shot(), params)

    assert effect.is_identity(frame) is identity


def test_clip_preferences_and_regions_are_the_sources():
    """The output has the plate's size and type."""
    clips = shot(size=(60, 80), channels=4)
    effect = create_instance(HostDescription(name="any", temporal_clip_access=True), clips)

    preferences = effect.get_clip_preferences()

    assert (preferences.components, preferences.bit_depth) == ("RGBA", "float16")
    box = effect.get_region_of_definition(1001)
    assert (box.left, box.top, box.right, box.bottom) == (0, 0, 80, 60)
    assert effect.get_regions_of_interest(1001) == {"Source": box, "Matte": box}
    assert isinstance(effect.clips, Clips)
