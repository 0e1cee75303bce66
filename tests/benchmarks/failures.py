"""Makes the model card's picture of what goes wrong.

    PYTHONPATH=. python tests/benchmarks/failures.py CLIPS sttn/weights/failures.jpg

CLIPS holds mdn_flower_cc0, mdn_stream_of_water and intel_car-detection, each with frames/.
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro

from sttn.inference import complete
from sttn.model import load_generator

WIDTH, HEIGHT = 432, 240

CASES = {
    "mdn_flower_cc0": (10, None),
    "mdn_stream_of_water": (10, None),
    "intel_car-detection": (46, (90, 220, 130, 215)),
}
"""Clip to the frame shown and the hole's top, bottom, left and right; None is the clip's own."""


def row(clip: Path, shown: int, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """A frame with its hole, filled, and as it was."""
    frames = [cv2.imread(str(file))[..., ::-1] for file in sorted((clip / "frames").iterdir())]
    size = (WIDTH, HEIGHT)
    truth = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])
    if box is None:
        mask = cv2.imread(str(clip / "stationary_432x240.png"), cv2.IMREAD_GRAYSCALE) > 0
    else:
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[box[0] : box[1], box[2] : box[3]] = True
    masks = np.repeat(mask[None], len(truth), axis=0)
    filled = complete(truth, masks, load_generator())[shown]
    holed = np.where(mask[..., None], np.uint8(0), truth[shown])
    return np.hstack([holed, filled, truth[shown]])


def main(clips: tyro.conf.Positional[Path], picture: Annotated[Path, tyro.conf.Positional]) -> None:
    """Complete the clips and write the picture."""
    rows = [row(clips / name, *case) for name, case in CASES.items()]
    cv2.imwrite(str(picture), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    tyro.cli(main)
