"""What is compared: weights with a schedule, and baselines."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sttn.errors import CheckpointError
from sttn.evaluation.baselines import BASELINES, BaselineName
from sttn.evaluation.cases import Case
from sttn.evaluation.store import code_digest, digest
from sttn.footage import Image
from sttn.inference import PRESETS, Preset, WindowConfig, completed_frames
from sttn.model import Generator, load_generator
from sttn.propagation import load_fusion
from sttn.settings.weights import FUSION_WEIGHTS


@dataclass(frozen=True, kw_only=True)
class Network:
    """Weights and how clips are cut for them."""

    name: str
    generator: Generator
    window: WindowConfig
    fusion: Path
    """Weights of the network that decides which real pixels to believe."""
    identity: str
    """Digest of everything that decides what it completes."""

    def completed(self, case: Case, advance: Callable[[], object]) -> Image:
        """Completed frames (T, H, W, 3) uint8; ``advance`` is called after each."""
        frames = []
        completed = completed_frames(
            case.frames, case.masks, self.generator, self.window, fusion=self.fusion
        )
        for _, frame in completed:
            frames.append(frame)
            advance()
        return np.stack(frames)


def read_networks(
    paths: Sequence[Path],
    presets: Sequence[Preset],
    device: torch.device,
    precision: torch.dtype = torch.float32,
    fusion: Path = FUSION_WEIGHTS,
) -> list[Network]:
    """Every weights file with every preset, all on one device and in one precision.

    Raises:
        CheckpointError: a file cannot be used.
        ValueError: the same weights twice.
    """
    load_fusion(device, precision, fusion)  # a file that cannot be used is told at once
    networks = []
    for path, label in zip(paths, _labels(paths), strict=True):
        generator = load_generator(path).to(device, precision)
        for preset in presets:
            name = label if len(presets) == 1 else f"{label} {preset}"
            networks.append(network(name, generator, path, PRESETS[preset], fusion))
    return networks


def network(
    name: str,
    generator: Generator,
    path: Path,
    window: WindowConfig,
    fusion: Path = FUSION_WEIGHTS,
) -> Network:
    """A network whose weights were read from a file."""
    parameter = next(generator.parameters())
    computed = (parameter.device.type, str(parameter.dtype))
    code = code_digest("inference")
    chooses = fusion.read_bytes() if window.propagate else b""
    identity = digest(path.read_bytes(), chooses, window, computed, code)
    return Network(name=name, generator=generator, window=window, fusion=fusion, identity=identity)


def _labels(paths: Sequence[Path]) -> list[str]:
    """The files' names, told apart by their folders where that is needed."""
    if len(set(map(Path.resolve, paths))) < len(paths):
        raise ValueError("the same weights are given twice")
    stems = Counter(path.stem for path in paths)
    labels = [
        p.stem if stems[p.stem] == 1 else f"{p.resolve().parent.name}/{p.stem}" for p in paths
    ]
    if len(set(labels)) < len(labels):
        raise CheckpointError(
            f"weights are called alike: {', '.join(labels)}; rename their folders"
        )
    return labels


def baseline_identity(name: BaselineName) -> str:
    """Digest of everything that decides what a baseline completes."""
    return digest(name, code_digest("evaluation/baselines"))


def completed_by_baseline(name: BaselineName, case: Case) -> Image:
    """Completed frames (T, H, W, 3) uint8."""
    return BASELINES[name](case.frames, case.masks)


def completion_key(identity: str, case: Case) -> str:
    """Where completed frames of a case are kept."""
    return digest(identity, case.frames, case.masks)
