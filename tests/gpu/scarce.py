"""Completes a clip in little memory: ``python -m tests.gpu.scarce DEVICE TOLD``.

In a process of its own, since what PyTorch may take of a card holds for a whole process.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from sttn.device import choose_device, give_back_memory
from sttn.errors import OutOfMemoryError
from sttn.inference import completed_frames
from sttn.model import Generator, load_generator
from sttn.settings.weights import DEFAULT_WEIGHTS
from tests.gpu.footage import apart, clip, window_of

BATCH = 8


class Watched(Generator):
    """Writes down how many windows it is given at once."""

    tried: list[int]

    def transform(self, features, *rest):
        self.tried.append(len(features))
        return super().transform(features, *rest)


def main(device: torch.device, told: Path) -> None:
    frames, masks = (np.tile(part, (1, 2, 2, 1)[: part.ndim]) for part in clip(100))
    generator = load_generator(DEFAULT_WEIGHTS).to(device)
    generator.__class__ = Watched
    memory = torch.cuda.get_device_properties(device).total_memory

    def completed(batch: int) -> np.ndarray:
        window, generator.tried = window_of("thorough", False), []
        done = completed_frames(frames, masks, generator, window, batch=batch)
        return np.stack([frame for _, frame in done])

    def peak(batch: int) -> tuple[np.ndarray, int]:
        give_back_memory()
        torch.cuda.reset_peak_memory_stats(device)
        result = completed(batch)
        return result, torch.cuda.max_memory_reserved(device)

    def leave(taken: float) -> None:
        give_back_memory()
        torch.cuda.set_per_process_memory_fraction(taken / memory, device)

    alone, least = peak(1)
    _, most = peak(BATCH)
    leave(least + 0.2 * (most - least))
    scarce = completed(BATCH)
    tried = generator.tried
    give_back_memory()
    leave(torch.cuda.memory_reserved(device))
    try:
        completed(1)
        error = ""
    except OutOfMemoryError as found:
        error = str(found)
    leave(2 * least)
    again = completed(1)
    found = {
        "peaks": [least, most],
        "tried": tried,
        "apart": float(apart(scarce, alone, masks).max()),
        "error": error,
        "apart again": float(apart(again, alone, masks).max()),
    }
    told.write_text(json.dumps(found))


if __name__ == "__main__":
    main(choose_device(sys.argv[1]), Path(sys.argv[2]))
