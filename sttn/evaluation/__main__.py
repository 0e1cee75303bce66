"""Score weights on clips with known pixels, beside OpenCV's Telea method.

    sttn-evaluate CLIPS --pattern 'davis_*'

CLIPS holds a folder per clip, each with frames/ and a stationary mask, stationary_WxH.png; the
frames are resized to the mask. Prints in-hole PSNR per clip and the mean over clips.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from sttn.device import choose_device
from sttn.errors import FootageError, SttnError
from sttn.evaluation.baselines import telea
from sttn.evaluation.metrics import hole_psnr
from sttn.footage import IMAGE_SUFFIXES, Image, files_in, read_image, read_matte
from sttn.inference import DEFAULT_PRESET, PRESETS, Preset, complete
from sttn.model import load_generator
from sttn.model.checkpoint import DEFAULT_WEIGHTS


def read_clip(folder: Path, limit: int) -> tuple[Image, NDArray[np.bool_]]:
    """Frames (T, H, W, 3) uint8 at the mask's size, and the mask (T, H, W).

    Raises:
        FootageError: no frames, or not exactly one stationary mask.
    """
    mattes = sorted(folder.glob("stationary_*.png"))
    paths = files_in(folder / "frames", IMAGE_SUFFIXES)[:limit]
    if len(mattes) != 1 or not paths:
        raise FootageError(f"{folder} needs frames/ and one stationary_WxH.png")
    mask = read_matte(mattes[0])
    size = (mask.shape[1], mask.shape[0])
    frames = [cv2.resize(read_image(path), size, interpolation=cv2.INTER_AREA) for path in paths]
    return np.stack(frames).astype(np.uint8, copy=False), np.repeat(mask[None], len(frames), axis=0)


def run(
    clips: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIPS")],
    weights: Path = DEFAULT_WEIGHTS,
    preset: Preset = DEFAULT_PRESET,
    pattern: str = "*",
    limit: int = 1000,
    json_file: Path | None = None,
) -> None:
    """Score weights on clips with known pixels, beside OpenCV's Telea method.

    Args:
        clips: Folder with a folder per clip.
        weights: A .safetensors file, or a published .pth; the shipped weights if not given.
        preset: How clips are cut into windows.
        pattern: Which folders count.
        limit: Frames used of each clip at most.
        json_file: Also write the figures here.
    """
    generator = load_generator(weights).to(choose_device("auto"))
    folders = [path for path in sorted(clips.glob(pattern)) if (path / "frames").is_dir()]
    folders = [path for path in folders if list(path.glob("stationary_*.png"))]
    if not folders:
        raise FootageError(f"no clip folder in {clips} matches {pattern!r}")
    rows = []
    for folder in tqdm(folders, unit="clip"):
        truth, masks = read_clip(folder, limit)
        frames = np.where(masks[..., None], np.uint8(0), truth)
        completed = complete(frames, masks, generator, PRESETS[preset])
        rows.append(
            {
                "clip": folder.name,
                "frames": len(truth),
                "sttn": hole_psnr(completed, truth, masks),
                "telea": hole_psnr(telea(frames, masks), truth, masks),
            }
        )
    mean = {name: float(np.mean([row[name] for row in rows])) for name in ("sttn", "telea")}
    print(f"{'in-hole PSNR, dB':24} {'frames':>6} {'sttn':>7} {'telea':>7}")
    for row in rows:
        print(f"{row['clip']:24} {row['frames']:6} {row['sttn']:7.2f} {row['telea']:7.2f}")
    print(f"{'mean over clips':24} {'':6} {mean['sttn']:7.2f} {mean['telea']:7.2f}")
    if json_file:
        json_file.write_text(json.dumps({"clips": rows, "mean": mean}, indent=2) + "\n")


def main() -> None:
    """Run the command line."""
    try:
        tyro.cli(run, prog="sttn-evaluate", description=__doc__)
    except (SttnError, ValueError) as error:
        print(f"sttn-evaluate: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
