"""Tables for a terminal."""

import numpy as np

from sttn.evaluation.metrics.catalog import METRICS
from sttn.evaluation.results import Results
from sttn.evaluation.statistics import Comparison, Interval


def main_metric(results: Results) -> str:
    """What videos are listed and methods compared by."""
    return "hole_psnr" if "hole_psnr" in results.metrics else "hole_warping"


def summary_table(results: Results) -> str:
    """A row per method, a column per metric inside the hole: mean and half of its interval."""
    keys = [key for key in results.metrics if key.startswith("hole_")]
    titles = [f"{METRICS[key].title} {METRICS[key].unit}".strip() for key in keys]
    cells = [
        [told(results.summary(method, key), key) for key in keys] for method in results.methods
    ]
    return table(["inside the hole", *titles], results.methods, cells)


def video_table(results: Results) -> str:
    """A row per video, a column per method, by the main metric."""
    key = main_metric(results)
    metric = METRICS[key]
    rows = [video.name for video in results.videos]
    cells = [
        [f"{video.mean(method, key):.{metric.digits}f}" for method in results.methods]
        for video in results.videos
    ]
    means = [results.summary(method, key) for method in results.methods]
    cells.append(["" if mean is None else f"{mean.mean:.{metric.digits}f}" for mean in means])
    head = f"in-hole {metric.title}, {metric.unit}"
    return table([head, *results.methods], [*rows, "mean over clips"], cells)


def comparisons(results: Results) -> list[str]:
    """The first network against every other method, a sentence each."""
    key, first = main_metric(results), results.methods[0]
    sentences = []
    for other in results.methods[1:]:
        found = results.comparison(first, other, key)
        if found is not None:
            sentences.append(sentence(first, other, found, key))
    return sentences


def sentence(first: str, second: str, found: Comparison, key: str) -> str:
    """A comparison in words."""
    metric, gap = METRICS[key], found.difference
    ahead = found.higher if metric.higher_is_better else found.lower
    unit = f" {metric.unit}" if metric.unit else ""
    if found.fewest_reached:
        verdict = "more than chance" if found.more_than_chance else "no more than chance"
    else:
        verdict = "too few clips to tell from chance"
    stands = f"as good as {second} in {metric.title}"
    if gap.mean != 0:
        word = "better" if (gap.mean > 0) == metric.higher_is_better else "worse"
        size = f"{abs(gap.mean):.{metric.digits}f}{unit}"
        stands = f"{word} than {second} by {size} of {metric.title}"
    return (
        f"{first} is {stands} "
        f"(95 %: {gap.low:+.{metric.digits}f} to {gap.high:+.{metric.digits}f}; better on {ahead} "
        f"of {gap.count} clips; p = {found.probability:.2g}): {verdict}"
    )


def told(found: Interval | None, key: str) -> str:
    """A mean and half of its interval."""
    if found is None:
        return ""
    digits = METRICS[key].digits
    reach = (found.high - found.low) / 2
    spread = f" ±{reach:.{digits}f}" if np.isfinite(reach) else ""
    return f"{found.mean:.{digits}f}{spread}"


def table(head: list[str], rows: list[str], cells: list[list[str]]) -> str:
    """Names to the left, everything else to the right."""
    lines = [head, *([row, *some] for row, some in zip(rows, cells, strict=True))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
