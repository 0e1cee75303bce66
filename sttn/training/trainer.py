"""The training loop: holes cut into known clips, filled, and compared with the truth."""

import hashlib
import json
import logging
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from sttn.command_line import stopping_signals
from sttn.errors import FootageError, SavingError, TrainingError
from sttn.model import Generator
from sttn.training.ahead import Parts, rendered
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.journal import Journal
from sttn.training.losses import (
    adversarial_loss,
    discriminator_loss,
    hole_loss,
    laid_over,
    valid_loss,
)
from sttn.training.perceptual import VggFeatures, perceptual_loss, style_loss
from sttn.training.processes import Processes
from sttn.training.recipes import POOLED, Recipe, Recipes, require_movies
from sttn.training.recorded import Recorded
from sttn.training.rendering import Clips, Rendering
from sttn.training.schedules import learning_rate
from sttn.training.state import TrainingState, set_rate
from sttn.training.validation import Validation

logger = logging.getLogger(__name__)

WRONG = "wrong"
"""The figure that is above 0 where a gradient was not finite."""


def train(
    config: TrainingConfig,
    corpus: Corpus,
    output: Path,
    device: torch.device,
    *,
    start: Generator | None = None,
    processes: Processes | None = None,
) -> Path:
    """Train, saving to a folder, and go on from what the folder already holds.

    Arguments and errors are those of :class:`Run` and :meth:`Run.train`.

    Returns:
        The weights, half precision.
    """
    return Run(config, output, device, start=start, processes=processes).train(corpus)


class Run:
    """A run that is ready: all that can be wrong without a corpus is found before one is read.

    Args:
        config: The run.
        output: Gets checkpoints, ``generator.safetensors``, ``config.json``, ``log.jsonl``,
            ``curve.png`` and what TensorBoard reads.
        device: Where the networks run.
        start: Weights to begin with, where the folder holds no checkpoint yet.
        processes: The processes that share the run; this one alone by default.

    Raises:
        CheckpointError: the folder holds a run of another network, or a damaged checkpoint; the
            weights to begin with are of another size, or those of the VGG are none.
        ValueError: a batch cannot be shared out evenly.
    """

    def __init__(
        self,
        config: TrainingConfig,
        output: Path,
        device: torch.device,
        *,
        start: Generator | None = None,
        processes: Processes | None = None,
    ) -> None:
        self._config = config
        self._output = output
        self._device = device
        self._processes = processes = processes or Processes()
        if config.batch % (processes.count * config.accumulate):
            raise ValueError(
                f"batch {config.batch} cannot be shared by {processes.count} processes in "
                f"{config.accumulate} rounds; "
                f"give a multiple of {processes.count * config.accumulate}"
            )
        output.mkdir(parents=True, exist_ok=True)
        self._state = state = TrainingState(config, device)
        if start is not None:
            state.start_from(start)
        state.resume(output, device)
        self._step = Step(config, state, device, processes)

    def train(self, corpus: Corpus) -> Path:
        """Train to the end, or until SIGTERM, SIGINT or SIGHUP, which wait for what is saved.

        Args:
            corpus: Material with known pixels.

        Returns:
            The weights, half precision.

        Raises:
            FootageError: all clips are to come from movies, and there is none; or processes hold
                different material.
            TrainingError: too many steps had no finite gradient.
            SavingError: what the run ends with cannot be written.
            KeyboardInterrupt: stopped before the last step, and saved.
        """
        config, output, state, processes = self._config, self._output, self._state, self._processes
        _require_same(corpus, processes)
        require_movies(corpus, config.sample)
        # Workers are forked, and a forked OpenCV waits forever for threads it does not have.
        cv2.setNumThreads(0)
        training, held_out = corpus.split()
        validation = Validation(config, held_out, self._device)
        with (
            _stop_signal() as stop,
            Journal(output, config, first=state.step, active=processes.first) as journal,
            tqdm(
                total=config.steps,
                initial=state.step,
                unit="step",
                desc="training",
                disable=None if processes.first else True,
            ) as bar,
        ):
            stopped = False
            saved = time.monotonic()
            waited = time.perf_counter()
            drawn = _batches(training, config, state.step, processes)
            render = Rendering(training, self._device, POOLED if config.reuse > 1 else 0)
            for recipes, parts in rendered(drawn, render, self._device, config.accumulate):
                began = time.perf_counter()
                figures = self._step(parts)
                figures["waiting_share"] = (began - waited) / (time.perf_counter() - waited)
                waited = time.perf_counter()
                bar.update()
                bar.set_postfix(
                    hole=f"{figures['hole']:.4f}",
                    valid=f"{figures['valid']:.4f}",
                    waiting=f"{100 * figures['waiting_share']:.0f} %",
                )
                journal.write(state.step, figures)
                look = processes.first and config.validate_every
                if look and state.step % config.validate_every == 0:
                    psnr, picture = validation.look(state.averaged())
                    journal.write_validation(state.step, psnr, picture)
                if state.rejected > config.rejected_limit:
                    _give_up(state, output, recipes)
                if processes.first and time.monotonic() - saved > 60 * config.checkpoint_minutes:
                    try:
                        state.save(output)
                    except SavingError as error:
                        logger.warning(
                            "step %d is not wholly saved, the run goes on: %s", state.step, error
                        )
                    saved = time.monotonic()
                stopped = processes.any(bool(stop)) and state.step < config.steps
                if stopped:
                    break
            # Still here, so that a second signal does not end what the first one asked for.
            weights = output / "generator.safetensors"
            if processes.first:
                weights = state.save(output)
            processes.wait()
        if stopped:
            logger.warning("stopped after step %d of %d", state.step, config.steps)
            raise KeyboardInterrupt
        return weights


def _require_same(corpus: Corpus, processes: Processes) -> None:
    """Raise FootageError where processes hold different material, as on machines of their own."""
    sizes = repr((corpus.shape, [drawn.shape for drawn in corpus.objects]))
    found = processes.all((str(corpus), hashlib.sha256(sizes.encode()).hexdigest()))
    for rank, (told, digest) in enumerate(found):
        if digest != found[0][1]:
            raise FootageError(
                f"process 0 of the run holds {found[0][0]}; process {rank} holds {told}, or of "
                "other sizes; give all of them the same corpus"
            )


class Step:
    """One optimizer step of both networks, Eq. (8) and (10)."""

    def __init__(
        self,
        config: TrainingConfig,
        state: TrainingState,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self._config = config
        self._state = state
        self._device = device
        self._processes = processes
        self._generator = processes.share(state.generator)
        compared = config.perceptual_weight or config.style_weight
        self._vgg = VggFeatures(config.vgg).to(device) if config.vgg and compared else None
        self._discriminator = (
            None if state.discriminator is None else processes.share(state.discriminator)
        )
        alone = processes.count == config.accumulate == 1
        self._recorded = None
        if device.type == "cuda" and alone:
            self._recorded = Recorded(lambda clips: self._made([clips]), device)

    def __call__(self, parts: Parts) -> dict[str, float]:
        """Learn from this process's share of a batch, part by part; the figures of all shares."""
        config, state = self._config, self._state
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                set_rate(group, learning_rate(config, state.step))
        figures = self._made(parts) if self._recorded is None else self._recorded(*parts)
        means = self._processes.mean(torch.stack(list(figures.values()))) / config.accumulate
        told = dict(zip(figures, means.tolist(), strict=True))
        if told.pop(WRONG):
            state.rejected += 1
            logger.warning("step %d left out: its gradient is not finite", state.step)
        state.step += 1
        state.average()
        return told

    def _made(self, parts: Parts) -> dict[str, Tensor]:
        """A whole step, which never waits for a GPU, so that it can be recorded.

        Returns:
            The figures, summed over the parts; :data:`WRONG` too.
        """
        for optimizer in self._state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for turn, clips in enumerate(parts, 1):
            with self._unsynchronized(turn < len(parts)):
                for name, value in self._learn(clips).items():
                    sums[name] = sums.get(name, torch.zeros_like(value)) + value
        wrong = 1 - torch.stack(self._shortened()).isfinite().all().float()
        for optimizer in self._state.optimizers:
            optimizer.found_inf = wrong  # type: ignore[attr-defined]  # where 1, nothing is changed
            optimizer.step()
        return sums | {WRONG: wrong}

    def _learn(self, clips: Clips) -> dict[str, Tensor]:
        config = self._config
        truth, given, mask = clips
        with self._precision():
            completed = self._generator(given * (1 - mask), mask).float()
        figures = {
            "hole": hole_loss(completed, truth, mask),
            "valid": valid_loss(completed, truth, mask),
        }
        seen = laid_over(completed, truth, mask)
        total = config.hole_weight * figures["hole"] + config.valid_weight * figures["valid"]
        if self._vgg is not None:
            of_truth = self._vgg(truth.flatten(0, 1))
            of_completed = self._vgg(seen.flatten(0, 1))
            figures["perceptual"] = perceptual_loss(of_completed, of_truth)
            figures["style"] = style_loss(of_completed, of_truth)
            total = total + config.perceptual_weight * figures["perceptual"]
            total = total + config.style_weight * figures["style"]
        if self._discriminator is not None:
            real, fake = self._judged(truth), self._judged(seen)
            figures["discriminator"] = discriminator_loss(real, fake)
            figures["adversarial"] = adversarial_loss(fake)
            total = total + config.adversarial_weight * figures["adversarial"]
            # One look serves both; each loss goes to its own network only.
            learning = list(self._discriminator.parameters())
            loss = figures["discriminator"] / config.accumulate
            loss.backward(inputs=learning, retain_graph=True)
        (total / config.accumulate).backward(inputs=list(self._generator.parameters()))
        return {name: value.detach() for name, value in figures.items()}

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._config.bfloat16)

    def _judged(self, clips: Tensor) -> Tensor:
        """The discriminator's scores."""
        assert self._discriminator is not None
        if self._config.clips_end_to_end:
            clips = clips.flatten(0, 1)[None]
        with self._precision():
            scores: Tensor = self._discriminator(clips)
        return scores.float()

    def _shortened(self) -> list[Tensor]:
        """Shorten gradients that are too long; how long those of each network were."""
        state, longest = self._state, self._config.gradient_norm or math.inf
        networks = [n for n in (state.generator, state.discriminator) if n is not None]
        return [nn.utils.clip_grad_norm_(network.parameters(), longest) for network in networks]

    @contextmanager
    def _unsynchronized(self, on: bool) -> Iterator[None]:
        """Add up gradients without exchanging them yet."""
        shared = [
            network.no_sync()
            if on and isinstance(network, DistributedDataParallel)
            else nullcontext()
            for network in (self._generator, self._discriminator)
        ]
        with shared[0], shared[1]:
            yield


def _batches(
    corpus: Corpus, config: TrainingConfig, first: int, processes: Processes
) -> Iterator[list[Recipe]]:
    """From a step on, the part of every batch that falls to this process."""
    count = config.steps * config.batch
    yield from DataLoader(
        Recipes(corpus, config.sample, seed=config.seed, count=count, reuse=config.reuse),
        batch_sampler=(processes.part(step, config.batch) for step in range(first, config.steps)),
        num_workers=config.workers,
        collate_fn=list,
        worker_init_fn=_calm_worker,
    )


def _calm_worker(_: int) -> None:
    torch.set_num_threads(1)
    for number in stopping_signals():
        signal.signal(number, signal.SIG_IGN)


def _give_up(state: TrainingState, output: Path, recipes: Sequence[Recipe]) -> None:
    path = output / "rejected.json"
    told = [asdict(recipe) | {"masks": float(recipe.masks.mean())} for recipe in recipes]
    path.write_text(json.dumps(told, default=lambda array: array.tolist()) + "\n")
    raise TrainingError(
        f"{state.rejected} steps had no finite gradient; lower learning_rate, or look at the last "
        f"batch in {path}"
    )


@contextmanager
def _stop_signal() -> Iterator[list[int]]:
    """Collect signals to stop, so that the step under way is finished and saved."""
    received: list[int] = []
    kept = {
        number: signal.signal(number, lambda got, _: received.append(got))
        for number in stopping_signals()
    }
    try:
        yield received
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
