"""One output frame: the plate, and over it what was completed."""

from functools import partial

import numpy as np

from node.clips import Matte, Pixels
from node.color import Float, stored
from node.completing import Completed
from node.composite import alpha_of, clean_plate, fill_only
from node.detail import fetched
from node.part import Part
from node.shot import Shot
from node.surveying import Survey


def unfinished(shot: Shot, frame: int) -> Pixels:
    """What shows until a frame is finished: the plate, a fill of nothing, or the matte."""
    if shot.params.output_mode == "matte used":
        return _matte_used(shot, frame)
    plate = shot.plate(frame)
    if shot.params.output_mode == "fill only":
        return np.zeros((*plate.shape[:2], 4), plate.dtype)
    return plate


def finished(shot: Shot, frame: int, survey: Survey, completed: Completed) -> Pixels:
    """A frame whose parts are all completed.

    Args:
        shot: What the host connected, under what the artist set.
        frame: Number on the timeline.
        survey: Of this shot.
        completed: What the network made of it.

    Returns:
        (H, W, C) of the plate's type; C is the plate's, 4 for a fill, 1 for a matte.
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
        fill = _fill(shot, frame, number, part, index, completed)
        if params.output_mode == "fill only":
            box.of(result)[...] = fill_only(fill, box.of(matte), survey.color)
        else:
            box.of(result)[...] = clean_plate(
                box.of(plate),
                fill,
                box.of(matte),
                survey.color,
                premultiplied=params.premultiplied,
            )
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
        detail=_detail(shot, number, part, index, completed),
    )


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
    return shot.matte(frame) * np.float32(shot.params.mix)


def _matte_used(shot: Shot, frame: int) -> Pixels:
    return stored(_mixed_matte(shot, frame)[..., np.newaxis], shot.plate(frame).dtype)
