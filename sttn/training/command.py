"""Train STTN on a folder of photographs and movies.

    sttn-train CORPUS --output RUN --steps 3000 --batch 8 --bfloat16

Everything below CORPUS is used: photographs and panoramas (set in motion on the fly), movies,
folders and zips of numbered frames, .exr too, shards. A train.json, an object whose keys are names
of videos, or DAVIS' ImageSets/*/train.txt say which videos beside them count.

RUN gets generator.safetensors, which `sttn-inpaint --weights` takes, a log, a curve and what
TensorBoard reads. Stopped by Ctrl-C, SIGTERM or SIGHUP it saves first and ends with 130; the same
command goes on where it stopped. With --config the run is read from a TOML file or a preset
(youtube-vos, davis, tiny); flags have the last word. On several GPUs:

    torchrun --nproc-per-node 4 -m sttn.training CORPUS --output RUN --config youtube-vos.toml

Other commands, each with --help of its own:

    sttn-train show CORPUS --output clips.png  what a run's first clips look like
    sttn-train pack CORPUS --output SHARDS     for training machines that decode no movies
    sttn-train adapt --plate SHOT --matte MATTE --output mine.safetensors     for one shot
    sttn-train grow --channels 128 --output larger.safetensors    a larger network to go on with
    sttn-train fusion CORPUS --output RUN      the network that decides which real pixels to believe
"""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import torch
import tyro
from tqdm import tqdm

from sttn.command_line import INTERRUPTED, run_command, stopped_by_signals
from sttn.device import choose_device, ran_out_of_memory
from sttn.errors import FootageError, SttnError
from sttn.footage import require_unicode
from sttn.model import load_generator, save_generator
from sttn.propagation.fusion import save_fusion
from sttn.settings.weights import DEFAULT_WEIGHTS
from sttn.training.adaptation import AdaptationConfig, adapt
from sttn.training.config import TrainingConfig
from sttn.training.corpus import CorpusLimits, pieces, read_corpus
from sttn.training.examples import GatheringConfig, gather
from sttn.training.fusing import FusingConfig, train_fusion
from sttn.training.growing import grown
from sttn.training.presets import configured
from sttn.training.preview import preview
from sttn.training.processes import joined
from sttn.training.recipes import SampleConfig, require_seed
from sttn.training.shards import write_shards
from sttn.training.shots import read_shot
from sttn.training.trainer import Run

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""What a preview is written as."""


def pack(
    corpus: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS")],
    output: Path,
    megabytes: float = 48.0,
    limits: CorpusLimits = CorpusLimits(),
) -> None:
    """Gather photographs, videos and masks of objects into shards.

    A shard is a zip of images, so that training machines need no movie decoder.

    Args:
        corpus: Folder, searched in depth as for training.
        output: Folder that gets shard-000.zip and so on; train on it like on any corpus.
        megabytes: Size at which the next shard begins.
        limits: What is kept of the material.
    """
    _require_folder(output)
    bar = tqdm(pieces(corpus, limits), unit="file", desc="packing", disable=None)
    written = write_shards(bar, output, megabytes)
    if not written:
        raise FootageError(f"{corpus} holds nothing to pack")
    for path in written:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def show_command(defaults: TrainingConfig) -> Callable[..., None]:
    """The command that shows clips, with the settings that flags have not changed."""

    def show(
        corpus: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS")],
        output: Path,
        clips: int = 8,
        seed: int = defaults.seed,
        sample: SampleConfig = defaults.sample,
        config: Path | None = None,
        limits: CorpusLimits = CorpusLimits(),
    ) -> None:
        """Draw a run's first clips as the network gets them, and tell what they are made of.

        Args:
            corpus: Folder, searched in depth as for training.
            output: Picture to write, a clip to a row: .png, .jpg or .webp.
            clips: How many.
            seed: The run's: with the same one, training sees these clips first.
            sample: What a clip looks like, as training takes it.
            config: The run's TOML file or the name of a preset, for what of it is not given here.
            limits: What is kept of the material.
        """
        if clips < 1:
            raise ValueError(f"clips must be at least 1, got {clips}")
        require_seed(seed)
        if output.suffix.lower() not in PICTURES:
            raise ValueError(f"--output {output} must end in one of {', '.join(PICTURES)}")
        _require_place(output)
        material, _ = read_corpus(corpus, limits).split()
        drawn = preview(material, sample, clips, seed, defaults.reuse)
        if not cv2.imwrite(str(output), drawn.picture[..., ::-1]):
            raise ValueError(f"cannot write {output}")
        print(f"{output}: {drawn}")

    return show


def adapt_command(
    plate: Path,
    matte: Path,
    output: Path,
    weights: Path = DEFAULT_WEIGHTS,
    device: str = "auto",
    settings: Annotated[AdaptationConfig, tyro.conf.arg(name="")] = AdaptationConfig(),
) -> None:
    """Fine-tune weights on the visible pixels of one shot.

    Args:
        plate: The shot: a folder or pattern (plate.####.exr) of images, or a movie. EXR is
            scene-linear Rec.709, anything else display-referred (what a monitor shows).
        matte: What is to be removed: one still for all frames, a folder, a pattern, or a movie;
            anything above 0 is covered. Patterns pair by frame number, anything else in order.
        output: The weights to write, for `sttn-inpaint --weights`.
        weights: The weights to begin with.
        device: cpu, cuda or auto.
        settings: How long and how boldly.
    """
    if output.suffix != ".safetensors":
        raise ValueError(f"--output {output} must end in .safetensors")
    _require_place(output)
    frames, masks = read_shot(plate, matte)
    with tqdm(total=100, unit="%", desc="adapting", disable=None) as bar:
        adapted = adapt(
            load_generator(weights),
            frames,
            masks,
            settings,
            choose_device(device),
            lambda share: bar.update(round(100 * share) - bar.n) and None,
        )
    facts = {"adapted_from": weights.name, "adapted_to": plate.name, "steps": str(adapted.steps)}
    save_generator(adapted.generator, output, torch.float16, facts)
    print(
        f"{output}: {adapted.steps} steps; inside holes cut into the shot "
        f"{adapted.psnr_before:.2f} dB before, {adapted.psnr_after:.2f} dB after"
    )


def grow_command(
    output: Path,
    weights: Path = DEFAULT_WEIGHTS,
    channels: int | None = None,
    blocks: int | None = None,
    seed: int = 0,
) -> None:
    """Make weights larger; they fill as before, and `sttn-train --start` goes on from there.

    Args:
        output: The weights to write, .safetensors.
        weights: The weights to begin with.
        channels: Channels of the larger network; as many as before by default.
        blocks: Its transformer blocks, likewise.
        seed: Of what is new and says nothing yet.
    """
    if output.suffix != ".safetensors":
        raise ValueError(f"--output {output} must end in .safetensors")
    require_seed(seed)
    _require_place(output)
    trained = load_generator(weights)
    old = trained.config
    larger = grown(
        trained,
        old.channels if channels is None else channels,
        old.blocks if blocks is None else blocks,
        seed,
    )
    save_generator(larger, output, torch.float32, {"grown_from": weights.name})
    count = sum(parameter.numel() for parameter in larger.parameters())
    print(f"{output}: {count:,} parameters, {larger.config}")


def fusion_command(
    corpus: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS")],
    output: Path,
    settings: Annotated[FusingConfig, tyro.conf.arg(name="")] = FusingConfig(),
    examples: GatheringConfig = GatheringConfig(),
    limits: CorpusLimits = CorpusLimits(),
) -> None:
    """Train the network that decides which pixels of other frames to believe.

    Examples are gathered first, which takes longer; those that RUN/examples holds already stay.

    Args:
        corpus: Folder, searched in depth as for training.
        output: Folder of the run; gets examples/ and fusion.safetensors.
        settings: The training.
        examples: What is gathered.
        limits: What is kept of the material.
    """
    cv2.setNumThreads(0)
    _require_folder(output)
    material = read_corpus(corpus, limits)
    found = gather(material, examples, output / "examples")
    files = list(tqdm(found, total=examples.clips, unit="clip", desc="gathering", disable=None))
    with tqdm(total=settings.steps, unit="step", desc="training", disable=None) as bar:

        def told(step: int, psnr: float, untrained: float) -> None:
            bar.update()
            bar.set_postfix(psnr=f"{psnr:.2f}", untrained=f"{untrained:.2f}")

        fusion, psnr, untrained = train_fusion(files, settings, told)
    path = output / "fusion.safetensors"
    save_fusion(fusion, path, {"steps": str(settings.steps), "clips": str(examples.clips)})
    print(f"{path}: {psnr:.2f} dB inside the hole in training, untrained {untrained:.2f}")


def training_command(defaults: TrainingConfig) -> Callable[..., None]:
    """The command that trains, with the settings that flags have not changed."""

    def train(
        corpus: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS")],
        output: Path,
        settings: Annotated[TrainingConfig, tyro.conf.arg(name="")] = defaults,
        config: Path | None = None,
        start: Path | None = None,
        device: str = "auto",
        limits: CorpusLimits = CorpusLimits(),
    ) -> None:
        """Train STTN on a folder of photographs and movies.

        Args:
            corpus: Folder, searched in depth.
            output: Folder of the run; an existing run is gone on with.
            settings: The run.
            config: TOML file with the run's settings, or the name of a preset.
            start: Weights to begin with, .safetensors or .pth; the run takes their size, and the
                raster that its own weights remember is the run's.
            device: cpu, cuda or auto.
            limits: What is kept of the material.
        """
        cv2.setNumThreads(0)  # as train() says; before OpenCV starts its threads
        _require_folder(output)
        _require_apart(output, corpus)
        first = None if start is None else load_generator(start)
        chosen_run = settings if first is None else replace(settings, model=first.config)
        with joined(choose_device(device)) as (processes, chosen):
            run = Run(chosen_run, output, chosen, start=first, processes=processes)
            material = read_corpus(corpus, limits)
            if processes.first:
                print(f"{material}, {processes.count} processes on {chosen}", file=sys.stderr)
            weights = run.train(material)
            if processes.first:
                print(weights)

    return train


def _require_folder(output: Path) -> None:
    """Raise an error where a run could not be written, before it takes hours."""
    require_unicode(output)
    place = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ValueError(f"--output {place} is a file; name a folder")
    if not os.access(place, os.W_OK):
        raise ValueError(f"--output {output}: {place} cannot be written to")


def _require_apart(output: Path, corpus: Path) -> None:
    """Raise ValueError where a run's pictures would lie among those that it learns from."""
    if output.resolve() == corpus.resolve():
        raise ValueError(f"--output {output} is the corpus; name another folder")


def _require_place(output: Path) -> None:
    """Raise an error where a file could not be written, before it takes hours."""
    require_unicode(output)
    if not (output.parent.is_dir() and os.access(output.parent, os.W_OK)):
        raise ValueError(f"--output {output}: {output.parent} is no folder that can be written to")


def _train(arguments: list[str]) -> None:
    """Flags have the last word, then the TOML file, then the defaults."""
    defaults = configured(arguments, TrainingConfig())
    run_command(training_command(defaults), "sttn-train", arguments, __doc__)


def _show(arguments: list[str]) -> None:
    defaults = configured(arguments, TrainingConfig())
    run_command(show_command(defaults), "sttn-train show", arguments)


STAYS = {
    "": "; the same command goes on from here",
    "fusion": "; the same command goes on with what was gathered, and trains anew",
}
"""What is left of commands that were stopped; without a name one trains."""

COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "adapt": lambda arguments: run_command(adapt_command, "sttn-train adapt", arguments),
    "fusion": lambda arguments: run_command(fusion_command, "sttn-train fusion", arguments),
    "grow": lambda arguments: run_command(grow_command, "sttn-train grow", arguments),
    "pack": lambda arguments: run_command(pack, "sttn-train pack", arguments),
    "show": _show,
}


def main() -> None:
    """Run the command line.

    Exit code 2 where what was given is wrong or too large, 130 after Ctrl-C, SIGTERM or SIGHUP.
    """
    # A farm's SIGTERM would end it without a word of what stays.
    stopped_by_signals()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    name = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in COMMANDS else ""
    try:
        if name:
            COMMANDS[name](sys.argv[2:])
        else:
            _train(sys.argv[1:])
    except Exception as error:
        if not (isinstance(error, SttnError | ValueError | OSError) or ran_out_of_memory(error)):
            raise
        print(f"sttn-train: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"sttn-train: stopped{STAYS.get(name, '')}", file=sys.stderr)
        sys.exit(INTERRUPTED)
