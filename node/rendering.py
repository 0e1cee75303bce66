"""One output frame: the plate, and over it what was completed."""

from functools import partial

import numpy as np

from node.clips import Matte, Pixels
from node.color import Float, stored
from node.completing import Completed
from node.composite import alpha_of, clean_plate, fill_only
from node.detail import fetched
from node.part import Part
from node.raster import resample
from node.shot import Shot
from node.surveying import Survey


def unfinished(shot: Shot, frame: int) -> Pixels:
    """What shows until a frame is finished: the plate, a fill of nothing, the matte, nothing."""
    if shot.params.output_mode == "matte used":
        return _matte_used(shot, frame)
    plate = shot.plate(frame)
    channels = {"fill only": 4, "made up": 1}.get(shot.params.output_mode)
    return plate if channels is None else np.zeros((*plate.shape[:2], channels), plate.dtype)


def finished(shot: Shot, frame: int, survey: Survey, completed: Completed) -> Pixels:
    """A frame whose parts are all completed.

    Args:
        shot: What the host connected, under what the artist set.
        frame: Number on the timeline.
        survey: Of this shot.
        completed: What the network made of it.

    Returns:
        (H, W, C) of the plate's type; C is the plate's, 4 for a fill, 1 for a matte and for what of
        it is made up.
    """
    params = shot.params
    if params.output_mode == "matte used":
        return _matte_used(shot, frame)
    result = unfinished(shot, frame).copy()
    plate, matte = shot.plate(frame), _mixed_matte(shot, frame)
    index = survey.frames.index(frame)
    for number, part in enumerate(survey.parts):
        box = part.track.boxes.get(index)
        if box is None:
            continue
        of_part = (shot, frame, number, part, index, completed)
        if params.output_mode == "made up":
            shown = stored(_made_up(*of_part) * box.of(matte)[..., np.newaxis], plate.dtype)
        else:
            laid = fill_only if params.output_mode == "fill only" else clean_plate
            shown = laid(
                box.of(plate),
                _fill(*of_part),
                box.of(matte),
                survey.color,
                premultiplied=params.premultiplied,
            )
        box.of(result)[...] = shown
    return result


def is_identity(shot: Shot, frame: int) -> bool:
    """Whether the output is the plate: mix 0, a frame out of range, or an empty matte."""
    if shot.params.output_mode != "clean plate":
        return False
    return (
        shot.params.mix == 0 or frame not in set(shot.frames) or not (shot.matte(frame) > 0).any()
    )


def _fill(
    shot: Shot, frame: int, number: int, part: Part, index: int, completed: Completed
) -> Float:
    if shot.is_painted(frame):
        painted = part.track.boxes[index].of(shot.painted(frame))
        return part.color.to_linear(painted[..., :3], alpha_of(painted, shot.params.premultiplied))
    return part.fill(
        completed.load("completed", number, index),
        index,
        seed=(number, frame),
        grain=shot.params.grain,
        real=lambda: 1 - _made_up(shot, frame, number, part, index, completed),
        detail=_detail(shot, number, part, index, completed),
    )


def _made_up(
    shot: Shot, frame: int, number: int, part: Part, index: int, completed: Completed
) -> Float:
    """How much of what is composited no frame shows, nor an artist: (H, W, 1) in [0, 1]."""
    box, crop = part.composited(index), part.track.crops[index]
    if shot.is_painted(frame):
        return np.zeros((box.height, box.width, 1), np.float32)
    if not completed.has("made up", number, index):
        return np.ones((box.height, box.width, 1), np.float32)
    made_up = completed.load("made up", number, index)
    return resample(made_up, crop.width, crop.height, box).clip(0, 1)


def _detail(shot: Shot, number: int, part: Part, index: int, completed: Completed) -> Float | None:
    if shot.params.detail == 0 or not completed.has("origins", number, index):
        return None
    crop = part.track.crops[index]
    return np.float32(shot.params.detail) * fetched(
        completed.load("origins", number, index),
        (crop.width, crop.height),
        part.composited(index),
        partial(completed.load, "detail", number),
    )


def _mixed_matte(shot: Shot, frame: int) -> Matte:
    matte, mix = shot.matte(frame), shot.params.mix
    return matte if mix == 1 else matte * np.float32(mix)


def _matte_used(shot: Shot, frame: int) -> Pixels:
    return stored(_mixed_matte(shot, frame)[..., np.newaxis], shot.plate(frame).dtype)
