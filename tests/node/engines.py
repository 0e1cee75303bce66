"""Engines for what the node shows the network and gets back; they cross processes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


class IdentityEngine:
    """Gives every frame back as it came, holes and all."""

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled):
        for index in range(len(frames)):
            if index not in clean and index not in handles:
                yield index, np.array(frames[index])


@dataclass
class SavingEngine:
    """Saves what every job is given, one file each, and fills nothing."""

    folder: Path

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled):
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
