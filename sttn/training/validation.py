"""A look at the same clips every time, so that runs can be compared."""

import numpy as np
import torch
from numpy.typing import NDArray

from sttn.model import Generator
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.losses import laid_over
from sttn.training.recipes import Recipes
from sttn.training.rendering import render

CLIPS = 8
SEED = 20201


class Validation:
    """Fixed clips of material that was held out."""

    def __init__(self, config: TrainingConfig, corpus: Corpus, device: torch.device) -> None:
        recipes = Recipes(corpus, config.sample, seed=SEED, count=CLIPS)
        self._recipes = [recipes[index] for index in range(CLIPS)]
        self._corpus = corpus
        self._device = device

    @torch.no_grad()
    def look(self, generator: Generator) -> tuple[float, NDArray[np.uint8]]:
        """PSNR inside the hole in dB, the mean over the clips that have one, and a picture.

        The picture shows the middle frame of every clip, (rows, columns, 3): what the network was
        given, what came of it, the truth.
        """
        scores, rows = [], []
        for recipe in self._recipes:
            truth, given, mask = render([recipe], self._corpus, self._device)
            completed = laid_over(generator(given * (1 - mask), mask), truth, mask)
            if mask.any():
                error = ((completed - truth) / 2).square() * mask
                mean = float(error.sum() / (3 * mask.sum()))
                scores.append(-10 * np.log10(max(mean, 1e-10)))
            middle = truth.shape[1] // 2
            shown = [part[0, middle] for part in (given * (1 - mask), completed, truth)]
            rows.append(torch.cat(shown, dim=-1))
        picture = ((torch.cat(rows, dim=-2) + 1) * 127.5).clamp(0, 255).to(torch.uint8)
        psnr = float(np.mean(scores)) if scores else float("nan")
        return psnr, picture.permute(1, 2, 0).cpu().numpy()
