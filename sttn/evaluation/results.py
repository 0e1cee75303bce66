"""The figures of a run: per frame, per video, over all videos; as JSON and as CSV."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sttn.evaluation.metrics.catalog import METRICS
from sttn.evaluation.metrics.vfid import frechet_distance
from sttn.evaluation.scoring import Figures
from sttn.evaluation.statistics import Comparison, Interval, compare, interval


@dataclass(frozen=True, kw_only=True)
class VideoResult:
    """One case with the figures of all methods."""

    name: str
    frames: int
    hole_share: float
    """Share of the pixels that are hole."""
    keys: dict[str, str]
    """Where the completed frames are kept, by method."""
    figures: dict[str, Figures]
    """By method."""

    def mean(self, method: str, metric: str) -> float:
        """Mean over frames; NaN where the metric was not measured."""
        values = [v for v in self.figures[method].get(metric, ()) if v is not None]
        return float(np.mean(values)) if values else float("nan")

    def indices(self, metric: str) -> Sequence[int]:
        """Which frames a metric's figures are of; of a pair, the first."""
        if METRICS[metric].of_pairs:
            return range(self.frames - 1)
        frames: list[int] = next(iter(self.figures.values()))["frames"]
        return frames


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a run found out."""

    networks: list[str]
    baselines: list[str]
    settings: dict[str, Any]
    """What was asked for, and versions."""
    videos: list[VideoResult] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """All that were compared, networks first."""
        return [*self.networks, *self.baselines]

    @property
    def metrics(self) -> list[str]:
        """Keys of those that were measured, in the catalog's order."""
        return [key for key in METRICS if any(self.summary(m, key) for m in self.methods)]

    def per_video(self, method: str, metric: str) -> list[float]:
        """A figure for each video, NaN where it has none."""
        return [video.mean(method, metric) for video in self.videos]

    def summary(self, method: str, metric: str) -> Interval | None:
        """The figure over all videos; None where it was not measured."""
        if metric.endswith("vfid"):
            return self._vfid(method, metric)
        return interval(self.per_video(method, metric))

    def comparison(self, first: str, second: str, metric: str) -> Comparison | None:
        """Two methods, paired by video."""
        return compare(self.per_video(first, metric), self.per_video(second, metric))

    def worst(self, method: str, metric: str, count: int) -> list[tuple[VideoResult, int, float]]:
        """The frames on which a method did worst, at most one per video, worst first."""
        sign = 1 if METRICS[metric].higher_is_better else -1
        found = []
        for video in self.videos:
            pairs = zip(video.figures[method][metric], video.indices(metric), strict=True)
            known = [(sign * value, index) for value, index in pairs if value is not None]
            if known:
                value, index = min(known)
                found.append((video, index, sign * value))
        return sorted(found, key=lambda one: sign * one[2])[:count]

    def _vfid(self, method: str, metric: str) -> Interval | None:
        sets = [
            [
                v.figures[method][f"{metric}_{end}"]
                for v in self.videos
                if self._has(v, method, metric)
            ]
            for end in ("features", "truth")
        ]
        if len(sets[0]) < 2:
            return None
        completed, truth = (np.array(vectors, np.float32) for vectors in sets)
        distance = frechet_distance(completed, truth)
        # One figure for a whole set of videos: nothing is known of its spread.
        return Interval(mean=distance, low=-np.inf, high=np.inf, count=len(completed))

    @staticmethod
    def _has(video: VideoResult, method: str, metric: str) -> bool:
        return f"{metric}_features" in video.figures[method]


def write_json(results: Results, path: Path) -> None:
    """Everything, frame by frame."""
    summary = {
        method: {key: _plain(results.summary(method, key)) for key in results.metrics}
        for method in results.methods
    }
    told = {
        "settings": results.settings,
        "summary": summary,
        "videos": [asdict(video) for video in results.videos],
    }
    path.write_text(json.dumps(told, indent=1, default=str) + "\n")


def _plain(found: Interval | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    return {k: v if np.isfinite(v) else None for k, v in asdict(found).items()}


def write_csv(results: Results, path: Path) -> None:
    """A row for every video and method, a column for every metric."""
    keys = [key for key in results.metrics if not key.endswith("vfid")]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "frames", "hole_share", "method", *keys])
        for video in results.videos:
            for method in results.methods:
                means = [video.mean(method, key) for key in keys]
                figures = ["" if np.isnan(mean) else f"{mean:.6g}" for mean in means]
                start = [video.name, video.frames, f"{video.hole_share:.4f}", method]
                writer.writerow([*start, *figures])
