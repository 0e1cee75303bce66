"""Engines for what the node shows the network and gets back; they cross processes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


class IdentityEngine:
    """Gives every frame back as it came, holes and all."""

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        for index in range(len(frames)):
            if index not in clean and index not in handles:
                yield index, np.array(frames[index])


@dataclass
class SavingEngine:
    """Saves what every job is given, one file each, and fills nothing."""

    folder: Path

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        number = len(list(self.folder.glob("job*.npz")))
        np.savez(
            self.folder / f"job{number}.npz",
            frames=np.stack([np.array(frame) for frame in frames]),
            masks=np.stack([np.array(mask) for mask in masks]),
            clean=sorted(clean),
            handles=sorted(handles),
        )
        yield from IdentityEngine()(
            frames, masks, clean=clean, handles=handles, cancelled=cancelled
        )

    def jobs(self):
        return [np.load(path) for path in sorted(self.folder.glob("job*.npz"))]


class StandingEngine:
    """Fills every hole with what the next frame that shows the place has there, and says so."""

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        visible = [~np.array(mask) for mask in masks]
        for index in range(len(frames)):
            if index in clean or index in handles:
                continue
            result, mask = np.array(frames[index]), ~visible[index]
            y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
            none = np.zeros_like(x)
            told = np.dstack([none - 1, x, y, none, ~mask]).astype(np.float32)
            for other in [*range(index + 1, len(frames)), *range(index)]:
                found = mask & visible[other] & (told[..., 0] < 0)
                result[found] = np.array(frames[other])[found]
                told[found, 0], told[found, 3:] = other, 1
            if origins is not None:
                origins(index, told)
            yield index, result


@dataclass
class MeanEngine:
    """Fills every hole with the mean of the other frames that show the place."""

    tells: bool = True
    """That frames show it; none of them most of it."""

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        shown = np.stack([np.where(mask, np.nan, 1) for mask in map(np.array, masks)])[..., None]
        mean = np.nanmean(np.stack([np.array(frame) for frame in frames]) * shown, axis=0)
        for index in range(len(frames)):
            if index not in clean and index not in handles:
                frame, mask = np.array(frames[index]), np.array(masks[index])
                if origins is not None and self.tells:
                    origins(index, np.full((*mask.shape, 5), [-1, 0, 0, 0, 1], np.float32))
                yield index, np.where(mask[..., None], mean, frame).astype(frame.dtype)
