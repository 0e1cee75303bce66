"""Is a fill worse for a crop that follows its matte? In-hole PSNR on real clips.

    PYTHONPATH=. python tests/benchmarks/following.py CLIPS [--frames 24] [--json FILE]

A small hole is moved across every clip, so that its truth is known. ``standing`` shows the network
the union of all holes, shrunk to the budget; ``following`` what node.tracks chooses.
"""

import json
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro

from node.clips import Region
from node.raster import hole, resample
from node.tracks import Framing, Track
from sttn.inference import completed_frames
from sttn.model import load_generator

BUDGET = 432 * 240 // 4
"""To clips of about 854x480 what 432x240 is to 2K: the union of the holes has to be shrunk."""


def moving_holes(length: int, width: int, height: int) -> list[Region]:
    """A small box that crosses the middle of the frame."""
    w, h = width // 24, height // 16
    at = np.linspace(0.08, 0.92, length)[:, None] * (width - w, 0)
    up = height * (0.45 + 0.15 * np.sin(np.linspace(0, 5, length)))
    return [
        Region(left=int(x), top=int(y), right=int(x) + w, bottom=int(y) + h)
        for (x, _), y in zip(at, up, strict=True)
    ]


def filled(frames: np.ndarray, track: Track) -> np.ndarray:
    """Every hole's pixels from a crop that was completed and enlarged again."""
    seen, masks = [], []
    for index, frame in enumerate(frames):
        crop = track.crops[index]
        covered = np.zeros(frame.shape[:2], bool)
        track.boxes[index].of(covered)[...] = True
        seen.append(np.clip(resample(crop.of(frame) / 255, track.width, track.height), 0, 1))
        masks.append(hole(crop.of(covered), track.width, track.height, 3))
    result = frames.copy()
    for index, completed in completed_frames(np.stack(seen), np.stack(masks), load_generator()):
        crop, box = track.crops[index], track.boxes[index]
        large = np.clip(resample(completed, crop.width, crop.height), 0, 1)
        box.of(result[index])[...] = (box.moved(-crop.left, -crop.top).of(large) * 255).round()
    return result


def psnr(result: np.ndarray, truth: np.ndarray, holes: list[Region]) -> float:
    errors = [
        np.mean((box.of(a).astype(float) - box.of(b)) ** 2)
        for a, b, box in zip(result, truth, holes, strict=True)
    ]
    return float(np.mean(10 * np.log10(255**2 / np.array(errors))))


def main(
    clips: Annotated[Path, tyro.conf.Positional],
    frames: int = 24,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measure every clip in a folder."""
    figures = {}
    for clip in sorted(clips.iterdir()):
        files = sorted((clip / "frames").iterdir())[:frames]
        truth = np.stack([cv2.imread(str(file))[..., ::-1] for file in files])
        height, width = truth.shape[1:3]
        boxes = dict(enumerate(moving_holes(len(truth), width, height)))
        chosen = Framing(size=(width, height), surroundings=0.5, model_pixels=BUDGET)
        tracks = {
            "standing": chosen.standing(boxes, len(truth)),
            "following": chosen.following(boxes, len(truth)),
        }
        figures[clip.name] = {
            name: round(psnr(filled(truth, track), truth, list(boxes.values())), 2)
            for name, track in tracks.items()
        }
        print(
            clip.name,
            figures[clip.name],
            {n: round(t.scale, 2) for n, t in tracks.items()},
            flush=True,
        )
    mean = {
        name: round(float(np.mean([each[name] for each in figures.values()])), 2)
        for name in ("standing", "following")
    }
    print("mean", mean)
    if json_file is not None:
        json_file.write_text(json.dumps({"mean": mean, "clips": figures}, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
