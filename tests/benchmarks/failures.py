"""Makes the model card's picture of what goes wrong.

    PYTHONPATH=. python tests/benchmarks/failures.py CLIPS sttn/weights/failures.jpg

CLIPS holds mdn_flower_cc0, mdn_stream_of_water and intel_car-detection, each with frames/.
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro

from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.inference import complete
from sttn.model import load_generator
from sttn.model.region import Region

CASES = {
    "mdn_flower_cc0": (10, None),
    "mdn_stream_of_water": (10, None),
    "intel_car-detection": (46, Region(90, 220, 130, 215)),
}
"""Clip to the frame shown and the hole; None is the clip's own."""


def row(clips: Path, name: str, shown: int, box: Region | None) -> np.ndarray:
    """A frame with its hole, filled, and as it was."""
    (source,) = find_cases(clips, ProtocolConfig(pattern=name))
    case = source.read()
    masks = case.masks
    if box is not None:
        masks = np.zeros_like(masks)
        for mask in masks:
            box.of(mask)[...] = True
    filled = complete(case.truth, masks, load_generator())[shown]
    holed = np.where(masks[shown, ..., None], np.uint8(0), case.truth[shown])
    return np.hstack([holed, filled, case.truth[shown]])


def main(clips: tyro.conf.Positional[Path], picture: Annotated[Path, tyro.conf.Positional]) -> None:
    """Complete the clips and write the picture."""
    rows = [row(clips, name, *case) for name, case in CASES.items()]
    cv2.imwrite(str(picture), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    tyro.cli(main)
