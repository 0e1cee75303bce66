"""Putting the page together."""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sttn.evaluation.attention import attention_map, overlay
from sttn.evaluation.cases import Case, CaseSource
from sttn.evaluation.console import comparisons, main_metric
from sttn.evaluation.methods import Network
from sttn.evaluation.metrics.catalog import METRICS
from sttn.evaluation.panes import film, picture, shown_panes
from sttn.evaluation.report.tables import method_table, published_table, settings_list
from sttn.evaluation.results import Results, VideoResult
from sttn.evaluation.store import Store
from sttn.footage import Image

FOLDER = Path(__file__).parent
RATE = 12
"""Frames per second of films: slow enough to see what happens."""

DRAWN_FROM = 5
"""Frames shown beside one whose attention is looked at."""


@dataclass(frozen=True, kw_only=True)
class PageConfig:
    """What the page shows; it grows by about a megabyte with every film of 60 frames."""

    films: int = 12
    """Clips with a film, worst first."""
    worst: int = 12
    """Worst frames, one per clip at most."""
    maps: int = 6
    """Worst frames with what their holes drew from."""
    film_width: int = 288
    """Columns of a pane of a film."""
    picture_quality: int = 82
    """Of worst frames, 1 to 100."""

    def __post_init__(self) -> None:
        for name in ("films", "worst", "maps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.film_width < 16 or self.film_width % 2:
            raise ValueError(f"film_width must be even and at least 16, got {self.film_width}")
        if not 1 <= self.picture_quality <= 100:
            raise ValueError(f"picture_quality must lie in [1, 100], got {self.picture_quality}")


def write_page(
    results: Results,
    sources: Sequence[CaseSource],
    networks: Sequence[Network],
    folder: Path,
    path: Path,
    config: PageConfig,
) -> None:
    """Write one HTML file that shows a run.

    Args:
        results: Its figures.
        sources: Its cases, in the same order.
        networks: Whose attention is shown; the first one's.
        folder: The store that holds completed frames.
        path: Target.
        config: How much of it.
    """
    store, key = Store(folder), main_metric(results)
    judged = results.methods[0]
    order = _worst_first(results, judged, key)
    worst = {v.name: (i, f) for v, i, f in results.worst(judged, key, config.worst)}
    by_name = {source.name: source for source in sources}
    films: dict[str, Any] = {}
    stills: list[dict[str, Any]] = []
    maps: list[dict[str, Any]] = []
    for rank, video in enumerate(tqdm(order, unit="clip", desc="page", disable=None)):
        wanted = rank < config.films or video.name in worst
        if not wanted:
            continue
        case = by_name[video.name].read()
        panes = shown_panes(case, _completed(video, case, store))
        if rank < config.films:
            sheet = film(panes, RATE, config.film_width)
            films[video.name] = {"film": sheet.told(), "middle": _middle(case.masks)}
        if video.name in worst:
            index, figure = worst[video.name]
            frame = {name: clip[index] for name, clip in panes.items()}
            shown = picture(frame, config.picture_quality).told()
            place = {"video": video.name, "index": index, "middle": _middle(case.masks[index])}
            stills.append({**place, "figure": _told(figure, key), "sheet": shown})
            if networks and len(maps) < config.maps:
                maps.append(_map(networks[0], case, index, config.picture_quality))
    stills.sort(key=lambda still: list(worst).index(still["video"]))
    data = {
        "methods": results.methods,
        "networks": results.networks,
        "metrics": [vars(METRICS[k]) for k in results.metrics if not k.endswith("vfid")],
        "main": key,
        "rate": RATE,
        "videos": [
            _video(results, video) | films.get(video.name, {"film": None}) for video in order
        ],
        "stills": stills,
        "maps": maps,
    }
    path.write_text(_page(results, data))


def _worst_first(results: Results, method: str, key: str) -> list[VideoResult]:
    sign = 1 if METRICS[key].higher_is_better else -1
    return sorted(results.videos, key=lambda video: sign * np.nan_to_num(video.mean(method, key)))


def _completed(video: VideoResult, case: Case, store: Store) -> dict[str, Image]:
    found = {name: store.completed(key, case) for name, key in video.keys.items()}
    return {name: clip for name, clip in found.items() if clip is not None}


def _video(results: Results, video: VideoResult) -> dict[str, Any]:
    def means(method: str) -> dict[str, float | None]:
        figures = {key: video.mean(method, key) for key in results.metrics}
        return {key: round(v, 5) if np.isfinite(v) else None for key, v in figures.items()}

    key = main_metric(results)
    return {
        "name": video.name,
        "frames": video.frames,
        "hole": round(video.hole_share, 4),
        "means": {method: means(method) for method in results.methods},
        "at": list(video.indices(key)),
        "curves": {
            method: [v if v is None else round(v, 3) for v in figures.get(key, ())]
            for method, figures in video.figures.items()
        },
    }


def _told(figure: float, key: str) -> str:
    metric = METRICS[key]
    return f"{figure:.{metric.digits}f} {metric.unit}".strip()


def _middle(masks: NDArray[np.bool_]) -> float:
    """Where a wipe divides the hole: its middle, as a share of the width."""
    columns: NDArray[np.intp] = np.nonzero(masks)[-1]
    return round((float(columns.mean()) + 0.5) / float(masks.shape[-1]), 3)


def _map(network: Network, case: Case, index: int, quality: int) -> dict[str, Any]:
    found = attention_map(network, case, index)
    brightest = float(np.quantile(found.density, 0.995))
    drawn = np.argsort(-found.shares)[:DRAWN_FROM]
    plate = case.frames if case.truth is None else case.truth
    edge = shown_panes(case, {})["hole"][index]
    panes = {f"frame {index}, to be filled": edge}
    for place in sorted(drawn, key=lambda place: found.seen[place]):
        frame = plate[found.seen[place]]
        told = f"frame {found.seen[place]}: {100 * found.shares[place]:.0f} %"
        panes[told] = overlay(frame, found.density[place], brightest)
    return {"video": case.name, "sheet": picture(panes, quality).told()}


def _page(results: Results, data: dict[str, Any]) -> str:
    said = comparisons(results)
    title = f"{results.methods[0]} on {len(results.videos)} clips"
    footage = str(results.settings.get("footage", ""))
    protocol = results.settings.get("protocol", {}).get("protocol", "")
    parts = {
        "title": html.escape(title),
        "subtitle": html.escape(f"{Path(footage).name} · {protocol} masks"),
        "verdicts": "".join(f"<li>{html.escape(line)}</li>" for line in said),
        "table": method_table(results),
        "published": published_table() if protocol == "stationary" else "",
        "settings": settings_list(results.settings),
        "style": (FOLDER / "page.css").read_text(),
        "script": (FOLDER / "page.js").read_text(),
        # No name in it may end the script that holds it.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    page = (FOLDER / "page.html").read_text()
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)
