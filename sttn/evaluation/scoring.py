"""All figures of one completed case."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sttn.evaluation.cases import Case
from sttn.evaluation.flow import flow_estimator
from sttn.evaluation.metrics.fidelity import WIDE_WINDOW, Figure, psnr, ssim_standard, ssim_wide
from sttn.evaluation.metrics.lpips import Lpips
from sttn.evaluation.metrics.temporal import Motion, flicker, motions, warping_error
from sttn.evaluation.metrics.vfid import VideoFeatures
from sttn.evaluation.store import code_digest, digest
from sttn.footage import Image

Figures = dict[str, Any]
"""By a metric's key: a figure for every frame with a hole, or for every pair of frames; NaN is
None. ``frames`` are the indices of frames with a hole; ``vfid_features`` and the like hold one
vector each."""


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """Metrics whose networks cannot be shipped are left out unless their weights are given."""

    raft: Path | None = None
    """RAFT for E_warp, torchvision's state dict; OpenCV's DIS where not given."""
    i3d: Path | None = None
    """I3D for VFID, rgb_imagenet.pt; VFID is left out where not given."""
    vgg: Path | None = None
    """VGG-16 for LPIPS, torchvision's state dict; wants lpips too."""
    lpips: Path | None = None
    """What LPIPS 0.1 counts each of the VGG's channels, vgg.pth; wants vgg too."""

    def __post_init__(self) -> None:
        if (self.vgg is None) != (self.lpips is None):
            raise ValueError("LPIPS wants both vgg, the network, and lpips, its channels' weights")
        for name, path in asdict(self).items():
            if path is not None and not path.is_file():
                raise ValueError(f"no weights for {name} at {path}")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What has to be known of a case once, whatever methods are scored on it."""

    motions: list[Motion] | None
    """The truth's; None where there is none."""
    vectors: dict[str, NDArray[np.float32]]
    """The truth's, for VFID."""


class Scorer:
    """The metrics with their networks."""

    def __init__(self, config: ScoringConfig) -> None:
        self._flow = flow_estimator(config.raft)
        self._lpips = Lpips(config.vgg, config.lpips) if config.vgg and config.lpips else None
        self._i3d = None if config.i3d is None else VideoFeatures(config.i3d)
        contents = [path.read_bytes() if path else None for path in asdict(config).values()]
        code = code_digest("evaluation/scoring.py")
        self.identity = digest(code, *contents)
        """Digest of everything that decides the figures, but for the frames."""

    def known(self, case: Case) -> Known:
        """Look at the truth, where there is one."""
        if case.truth is None:
            return Known(motions=None, vectors={})
        return Known(
            motions=motions(case.truth, self._flow),
            vectors=self._vectors(case.truth, case.truth, case.masks),
        )

    def score(self, case: Case, completed: Image, known: Known) -> Figures:
        """All figures of a completed case.

        Those of whole frames are of what is delivered, those of the hole of what was put into it,
        as if the plate around it were true.

        Args:
            case: What was to be completed.
            completed: (T, H, W, 3) uint8; the plate outside the holes.
            known: What :meth:`known` found for the case.
        """
        found: Figures = {"frames": np.flatnonzero(case.masks.any((1, 2))).tolist()}
        fill = completed
        if case.truth is not None:
            fill = np.where(case.masks[..., None], completed, case.truth)
            found |= self._fidelity(case, completed, fill, case.truth)
            pairs = [slice(t, t + 2) for t in range(len(completed) - 1)]
            found["hole_flicker"] = [
                _or_none(flicker(completed[p], case.truth[p], case.masks[p])) for p in pairs
            ]
            vectors = self._vectors(completed, fill, case.masks)
            found |= {f"{key}_features": vector.tolist() for key, vector in vectors.items()}
            found |= {f"{key}_truth": vector.tolist() for key, vector in known.vectors.items()}
        moved = known.motions or motions(completed, self._flow)
        warping = [
            _figure(_warping, completed[t : t + 2], fill[t : t + 2], motion, case.masks[t])
            for t, motion in enumerate(moved)
        ]
        return found | _columns("warping", warping)

    def _fidelity(self, case: Case, completed: Image, fill: Image, truth: Image) -> Figures:
        metrics: dict[str, Callable[[Image, Image, NDArray[np.bool_]], Figure]] = {"psnr": psnr}
        metrics["ssim"] = lambda *given: Figure(*(100 * v for v in ssim_standard(*given)))
        if min(truth.shape[1:3]) >= WIDE_WINDOW:
            metrics["ssim65"] = lambda *given: Figure(*(100 * v for v in ssim_wide(*given)))
        if self._lpips is not None:
            metrics["lpips"] = self._lpips
        found: Figures = {}
        frames = np.flatnonzero(case.masks.any((1, 2)))
        for key, metric in metrics.items():
            figures = [
                _figure(metric, completed[t], fill[t], truth[t], case.masks[t]) for t in frames
            ]
            found |= _columns(key, figures)
        return found

    def _vectors(
        self, completed: Image, fill: Image, masks: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float32]]:
        if self._i3d is None:
            return {}
        return {"vfid": self._i3d(completed), "hole_vfid": self._i3d(fill, masks)}


def _figure(metric: Callable[..., Figure], completed: Image, fill: Image, *given: object) -> Figure:
    """Of the whole of one picture, and of the hole of another: mostly both are the same."""
    found = metric(fill, *given)
    if np.array_equal(completed, fill):
        return found
    return found._replace(whole=metric(completed, *given).whole)


def _warping(pair: Image, motion: Motion, mask: NDArray[np.bool_]) -> Figure:
    return warping_error(pair[0], pair[1], motion, mask)


def _columns(key: str, figures: list[Figure]) -> Figures:
    return {
        key: [_or_none(figure.whole) for figure in figures],
        f"hole_{key}": [_or_none(figure.hole) for figure in figures],
    }


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
