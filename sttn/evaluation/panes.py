"""Pictures and films of several panes in one file, so that a page can lay any two over each other.

A sheet holds its panes in rows; every frame of a film is a sheet. Panes of one sheet can never
fall out of step.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, sqrt
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.evaluation.cases import HOLE, TRUTH, Case
from sttn.footage import Image

HOLE_COLOR = np.array([236, 72, 153], np.float32)
FILM_QUALITY = 40
"""VP9's constant quality, 0 (best) to 63."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Panes in one picture or film, as the page reads it."""

    names: list[str]
    columns: int
    width: int
    """Of a pane, in pixels."""
    height: int
    uri: str

    def told(self) -> dict[str, Any]:
        """For the page's script."""
        return vars(self)


def shown_panes(case: Case, completed: Mapping[str, Image]) -> dict[str, Image]:
    """What can be compared of a case: completed frames, the truth, and where the holes are."""
    hidden = case.frames if case.truth is None else case.truth
    tinted = np.where(case.masks[..., None], 0.35 * hidden + 0.65 * HOLE_COLOR, case.frames)
    panes = {**completed}
    if case.truth is not None:
        panes[TRUTH] = case.truth
    return panes | {HOLE: tinted.astype(np.uint8)}


def picture(panes: Mapping[str, Image], quality: int) -> Sheet:
    """A WebP picture of panes (H, W, 3) uint8 RGB of one size.

    Args:
        panes: By name.
        quality: 1 to 100.
    """
    return _sheet(panes, f"data:image/webp;base64,{_base64(webp(_laid_out(panes), quality))}")


def webp(image: Image, quality: int) -> bytes:
    """An image (H, W, 3) uint8 RGB as WebP."""
    done, content = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done
    return content.tobytes()


def film(panes: Mapping[str, Image], rate: int, width: int) -> Sheet:
    """A WebM film (VP9) of panes (T, H, W, 3) uint8 RGB of one size.

    Args:
        panes: By name.
        rate: Frames per second.
        width: Of a pane in the film.
    """
    first = next(iter(panes.values()))
    height = 2 * round(first.shape[1] * width / first.shape[2] / 2)
    small = {
        name: [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in clip]
        for name, clip in panes.items()
    }
    moments = [
        _laid_out({name: np.asarray(clip[t], np.uint8) for name, clip in small.items()})
        for t in range(len(first))
    ]
    sheet = {name: np.asarray(clip[0], np.uint8) for name, clip in small.items()}
    return _sheet(sheet, f"data:video/webm;base64,{_base64(webm(moments, rate))}")


def webm(frames: Sequence[Image], rate: int) -> bytes:
    """Frames (H, W, 3) uint8 RGB, even on both sides, as a VP9 film that browsers can seek in."""
    target = io.BytesIO()
    with av.open(target, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=Fraction(rate))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "crf": str(FILM_QUALITY),
            "b": "0",
            "deadline": "realtime",
            "cpu-used": "6",
            "g": "12",
            "row-mt": "1",
        }
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return target.getvalue()


def _laid_out(panes: Mapping[str, Image]) -> Image:
    images = list(panes.values())
    columns = _columns(len(images))
    blank: NDArray[np.uint8] = np.zeros_like(images[0])
    images += [blank] * (-len(images) % columns)
    rows = [np.hstack(images[start : start + columns]) for start in range(0, len(images), columns)]
    return np.vstack(rows)


def _columns(count: int) -> int:
    return ceil(sqrt(count))


def _sheet(panes: Mapping[str, Image], uri: str) -> Sheet:
    height, width = next(iter(panes.values())).shape[:2]
    return Sheet(
        names=list(panes), columns=_columns(len(panes)), width=width, height=height, uri=uri
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
