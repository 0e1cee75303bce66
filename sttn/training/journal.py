"""What a run tells while it goes on: a log, TensorBoard's files, and the curve at the end."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from sttn.model import written
from sttn.training.config import TrainingConfig

logger = logging.getLogger(__name__)

SCALARS_EVERY = 10


class Journal:
    """Writes ``config.json``, ``log.jsonl``, TensorBoard's files and ``curve.png``.

    A process that is not active writes nothing. What cannot be written once the run is under way is
    told, and ends no run.
    """

    def __init__(self, folder: Path, config: TrainingConfig, *, first: int, active: bool) -> None:
        self._folder = folder
        self._active = active
        self._failed = False
        if not active:
            return
        about = {"version": _version(), **asdict(config)}
        (folder / "config.json").write_text(json.dumps(about, indent=2, default=str) + "\n")
        _keep_until(folder / "log.jsonl", first)
        self._log = (folder / "log.jsonl").open("a", buffering=1)
        self._board = SummaryWriter(str(folder), purge_step=first + 1)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._active:
            return
        for close in (self._log.close, self._board.close):
            with self._spared():
                close()
        draw_curve(self._folder / "log.jsonl", self._folder / "curve.png")

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Note the figures of a step."""
        if not self._active:
            return
        with self._spared():
            self._log.write(json.dumps({"step": step, **figures}) + "\n")
            if step % SCALARS_EVERY == 0:
                for name, value in figures.items():
                    self._board.add_scalar(name, value, step)

    def write_validation(self, step: int, psnr: float, picture: NDArray[np.uint8]) -> None:
        """Note a look at the validation clips."""
        if not self._active:
            return
        logger.info("step %d: %.2f dB in the holes of the validation clips", step, psnr)
        with self._spared():
            self._log.write(json.dumps({"step": step, "validation_psnr": psnr}) + "\n")
            self._board.add_scalar("validation_psnr", psnr, step)
            self._board.add_image("validation", picture, step, dataformats="HWC")
            cv2.imwrite(str(self._folder / "validation.png"), picture[..., ::-1])

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """A full disk is told once."""
        try:
            yield
        except OSError as error:
            if not self._failed:
                logger.warning("the log in %s is not complete: %s", self._folder, error)
            self._failed = True


def _version() -> str:
    try:
        return version("sttn-inpaint")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


def _keep_until(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint, and what a full disk cut off."""
    if path.exists():
        kept = [line for line in _lines(path) if line["step"] <= step]
        with written(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log that are whole; what is not is told and left out."""
    whole: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        try:
            figures = json.loads(line)
        except ValueError:
            figures = None
        if isinstance(figures, dict) and "step" in figures:
            whole.append(figures)
        else:
            logger.warning("left out: line %d of %s is no figures of a step", number, path)
    return whole


def draw_curve(log: Path, path: Path) -> None:
    """Draw the losses of a log, smoothed, and the validation PSNR."""
    lines = _lines(log)
    width, height, edge = 900, 300, 40
    canvas = np.full((height * 2, width, 3), 255, np.uint8)
    colors = {
        "hole": (60, 60, 200),
        "valid": (200, 120, 30),
        "discriminator": (120, 120, 120),
        "adversarial": (60, 160, 60),
        "validation_psnr": (160, 40, 160),
    }
    for row, names in enumerate((list(colors)[:4], list(colors)[4:])):
        series = {
            name: [
                (line["step"], line[name])
                for line in lines
                if name in line and np.isfinite(line[name])
            ]
            for name in names
        }
        series = {name: points for name, points in series.items() if points}
        if not series:
            continue
        smooth = {name: _smoothed(points) for name, points in series.items()}
        values = np.concatenate([points[:, 1] for points in smooth.values()])
        steps = np.concatenate([points[:, 0] for points in smooth.values()])
        low, high = values.min(), max(values.max(), values.min() + 1e-6)
        for number, (name, points) in enumerate(smooth.items()):
            span = max(1.0, steps.max() - steps.min())
            x = edge + (points[:, 0] - steps.min()) / span * (width - 2 * edge)
            y = row * height + height - edge
            y = y - (points[:, 1] - low) / (high - low) * (height - 2 * edge)
            line = np.round(np.stack([x, y], axis=1)).astype(np.int32)
            cv2.polylines(canvas, [line], False, colors[name], 1, cv2.LINE_AA)
            label = f"{name} {points[-1, 1]:.4g}"
            place = (edge + 210 * number, row * height + 24)
            cv2.putText(
                canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colors[name], 1, cv2.LINE_AA
            )
        scale = f"{low:.3g} to {high:.3g}, steps {steps.min():.0f} to {steps.max():.0f}"
        cv2.putText(
            canvas,
            scale,
            (edge, (row + 1) * height - 12),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            (90, 90, 90),
            1,
            cv2.LINE_AA,
        )
    cv2.imwrite(str(path), canvas)


def _smoothed(points: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Means over a hundredth of the run, (N, 2)."""
    array = np.array(points, np.float64)
    parts = np.array_split(array, min(len(array), 100))
    return np.stack([part.mean(axis=0) for part in parts])
