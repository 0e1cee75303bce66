"""The paper's tables: what each row trains and how it is tested, beside what was published."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from sttn.errors import CheckpointError
from sttn.evaluation.console import table, told
from sttn.evaluation.methods import Network, network
from sttn.evaluation.published import DAVIS, YOUTUBE_VOS, Published
from sttn.evaluation.results import Results
from sttn.evaluation.store import digest
from sttn.inference import WindowConfig
from sttn.model import Generator, load_generator
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.trainer import train

PERCEPTUAL_WEIGHT, STYLE_WEIGHT = 0.05, 120.0
"""Table 8 names none; those of the partial convolutions it refers to (Liu et al., ECCV 2018)."""

COLUMNS = ("psnr", "ssim65", "warping", "vfid")
"""Metrics of every table, over whole frames, by their keys here."""

NOT_LEARNED = (
    "checkpoint_minutes",
    "checkpoints_kept",
    "validate_every",
    "rejected_limit",
    "workers",
)
"""Settings of a run that its weights do not depend on."""

OURS = DAVIS[-1]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    name: str
    published: Published
    model: dict[str, Any] = field(default_factory=dict)
    """What differs from the run's network."""
    losses: dict[str, Any] = field(default_factory=dict)
    """What differs from the run's objective."""
    window: dict[str, Any] = field(default_factory=dict)
    """What differs from the schedule of windows."""

    def training(self, config: TrainingConfig) -> TrainingConfig:
        """The run that this line is about."""
        losses = dict(self.losses)
        if losses.get("perceptual_weight") and (config.perceptual_weight or config.style_weight):
            # A run that names weights of its own knows better.
            losses |= {
                "perceptual_weight": config.perceptual_weight,
                "style_weight": config.style_weight,
            }
        return replace(config, model=replace(config.model, **self.model), **losses)


def _row(name: str, figures: tuple[float, float, float, float], **changes: dict[str, Any]) -> Row:
    psnr, ssim, warping, vfid = figures
    published = Published(name=name, psnr=psnr, ssim=ssim, warping=warping, vfid=vfid)
    return Row(name=name, published=published, **changes)


FULL = (30.67, 95.60, 0.1779, 0.149)

NO_VGG = {"perceptual_weight": 0.0, "style_weight": 0.0}

TABLES: dict[int, tuple[Row, ...]] = {
    1: (Row(name="ours", published=OURS),),
    2: (
        _row("108x60", (30.16, 95.16, 0.2243, 0.168), model={"patch_divisors": (1,)}),
        _row("36x20", (30.11, 95.13, 0.2051, 0.160), model={"patch_divisors": (3,)}),
        _row("18x10", (30.17, 95.20, 0.1961, 0.159), model={"patch_divisors": (6,)}),
        _row("9x5", (30.43, 95.39, 0.1808, 0.163), model={"patch_divisors": (12,)}),
        _row("all four", FULL, model={"patch_divisors": (1, 3, 6, 12)}),
    ),
    3: (
        _row("x2", (30.17, 95.17, 0.1843, 0.162), model={"blocks": 2}),
        _row("x4", (30.38, 95.37, 0.1802, 0.159), model={"blocks": 4}),
        _row("x6", (30.53, 95.47, 0.1797, 0.155), model={"blocks": 6}),
        _row("x8", FULL, model={"blocks": 8}),
    ),
    6: (
        _row("s > T", (30.55, 95.47, 0.1802, 0.158), window={"max_references": 0}),
        _row("s = 20", (30.62, 95.55, 0.1790, 0.152), window={"reference_stride": 20}),
        _row("s = 10", FULL, window={"reference_stride": 10}),
    ),
    7: (
        _row("without", (30.39, 95.32, 0.1849, 0.162), model={"mask_attention": False}),
        _row("with", FULL, model={"mask_attention": True}),
    ),
    8: (
        _row(
            "style, perceptual",
            (30.38, 95.35, 0.1821, 0.160),
            losses={
                "adversarial_weight": 0.0,
                "perceptual_weight": PERCEPTUAL_WEIGHT,
                "style_weight": STYLE_WEIGHT,
            },
        ),
        _row("T-PatchGAN", FULL, losses=NO_VGG),
    ),
}
"""By number: Tables 1 to 3 of the paper and 6 to 8 of its supplement, on DAVIS."""

TITLES = {
    1: "models",
    2: "patch sizes, on features of 108x60",
    3: "transformer blocks",
    6: "distant frames: one reference every s frames",
    7: "masked normalization, Eq. (4)",
    8: "losses",
}


def sized(rows: Sequence[Row], config: TrainingConfig, start: Generator) -> TrainingConfig:
    """The run that rows vary, of the size of the weights that all of them begin with.

    Raises:
        CheckpointError: a row is about another size.
    """
    run = replace(config, model=start.config)
    for row in rows:
        wanted = row.training(run).model
        if wanted != start.config:
            raise CheckpointError(
                f"the row '{row.name}' trains {wanted}, the weights to start from are "
                f"{start.config}; without them it can be trained, or by sttn-train from its own"
            )
    return run


def trained(
    rows: Sequence[Row],
    config: TrainingConfig,
    corpus: Corpus,
    folder: Path,
    device: torch.device,
    start: Path | None = None,
) -> list[Network]:
    """Train what the rows of a table are about, and go on where a run stopped.

    Rows that learn the same from the same material share a run, across tables too if the folder is
    the same; how often it is saved, and the like, is no matter. Stopped by Ctrl-C a run saves and
    the call raises :class:`KeyboardInterrupt`.

    Args:
        rows: What is trained.
        config: The run that they vary, as :func:`sized` has it where there are weights to begin
            with.
        corpus: Material.
        folder: Gets a folder per run.
        device: Where it is trained.
        start: Weights that every row begins with.

    Returns:
        One network per row, with the schedule it is tested with.
    """
    networks = []
    first = None if start is None else load_generator(start)
    begun = () if start is None else (start.read_bytes(),)
    material = digest(
        *corpus.photographs, *corpus.movies, *corpus.objects, *corpus.panoramas, *begun
    )
    for row in rows:
        wanted = row.training(config)
        run = folder / _run_name(wanted, material)
        weights = run / "generator.safetensors"
        finished = run / "finished"
        if not finished.is_file():
            train(wanted, corpus, run, device, start=first)
            finished.write_text(f"{row.name}: {wanted.steps} steps\n")
        window = replace(WindowConfig(max_references=None, propagate=False), **row.window)
        generator = load_generator(weights).to(device)
        networks.append(network(row.name, generator, weights, window))
    return networks


def _run_name(config: TrainingConfig, material: str) -> str:
    """A digest of what a run's weights depend on."""
    told = {name: value for name, value in vars(config).items() if name not in NOT_LEARNED}
    if not (config.perceptual_weight or config.style_weight):
        del told["vgg"]
    return digest(told, material)[:12]


def beside_published(number: int, results: Results, dataset: str) -> str:
    """The table as text: our figures, and the paper's to their right."""
    rows = list(TABLES[number])
    names = [*(row.name for row in rows), *results.baselines]
    ours = [[told(results.summary(name, key), key) for key in COLUMNS] for name in names]
    theirs = [_cells(row.published) for row in rows] + [[""] * 4 for _ in results.baselines]
    if number == 1:
        others = YOUTUBE_VOS if dataset == "youtube-vos" else DAVIS
        theirs[0] = _cells(others[-1])
        names += [other.name for other in others[:-1]]
        ours += [[""] * 4 for _ in others[:-1]]
        theirs += [_cells(other) for other in others[:-1]]
    titles = ["PSNR dB", "SSIM %", "E_warp %", "VFID"]
    head = [f"Table {number}: {TITLES[number]}", *titles, *(f"paper: {t}" for t in titles)]
    return table(head, names, [a + b for a, b in zip(ours, theirs, strict=True)])


def _cells(row: Published) -> list[str]:
    figures = (row.psnr, row.ssim, row.warping, row.vfid)
    return ["" if value is None else f"{value:g}" for value in figures]
