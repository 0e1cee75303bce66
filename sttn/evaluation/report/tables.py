"""The page's tables, which need no script."""

import html
from collections.abc import Sequence
from typing import Any

from sttn.evaluation.console import told
from sttn.evaluation.metrics.catalog import METRICS
from sttn.evaluation.published import DAVIS, LATER, NOT_THE_SAME_MASKS, YOUTUBE_VOS, Published
from sttn.evaluation.results import Results


def method_table(results: Results) -> str:
    """A row per method, a column per metric, the best of each marked."""
    keys = results.metrics
    best = {key: _best(results, key) for key in keys}
    head = "".join(
        f'<th class="{_part(key)}" title="{_part(key)}, {_direction(key)}">'
        f"{_title(key)}<small>{_arrow(key)} {METRICS[key].unit}</small></th>"
        for key in keys
    )
    rows = []
    for method in results.methods:
        kind = "network" if method in results.networks else "baseline"
        cells = "".join(
            f'<td class="{_part(key)}{" best" if best[key] == method else ""}">'
            f"{_cell(results, method, key)}</td>"
            for key in keys
        )
        rows.append(f'<tr class="{kind}"><th>{html.escape(method)}</th>{cells}</tr>')
    return (
        f'<table id="methods"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _cell(results: Results, method: str, key: str) -> str:
    mean, _, spread = told(results.summary(method, key), key).partition(" ")
    return f"{mean}<small>{spread}</small>" if spread else mean


def _best(results: Results, key: str) -> str:
    sign = 1 if METRICS[key].higher_is_better else -1
    found = {method: results.summary(method, key) for method in results.methods}
    means = {method: sign * summary.mean for method, summary in found.items() if summary}
    return max(means, key=lambda method: means[method])


def _part(key: str) -> str:
    return "hole" if key.startswith("hole_") else "whole"


def _title(key: str) -> str:
    title = html.escape(METRICS[key].title)
    return title.replace("E_warp", "E<sub>warp</sub>")


def _arrow(key: str) -> str:
    return "↑" if METRICS[key].higher_is_better else "↓"


def _direction(key: str) -> str:
    return "higher is better" if METRICS[key].higher_is_better else "lower is better"


def published_table() -> str:
    """What papers report, with the warning that goes with it."""
    body = [
        *_group("YouTube-VOS, Table 1", YOUTUBE_VOS),
        *_group("DAVIS, Table 1", DAVIS),
        *_group("DAVIS, later methods", LATER),
    ]
    return (
        f'<details id="published" open><summary>Published figures: {NOT_THE_SAME_MASKS}</summary>'
        '<div class="scroll"><table><thead><tr><th></th><th>PSNR<small>↑ dB</small></th>'
        "<th>SSIM, 65<small>↑ %</small></th><th>E<sub>warp</sub><small>↓ %</small></th>"
        f"<th>VFID<small>↓</small></th></tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        "</details>"
    )


def _group(title: str, rows: Sequence[Published]) -> list[str]:
    told = [f'<tr class="group"><th colspan="5">{title}</th></tr>']
    for row in rows:
        figures = (f"{row.psnr:.2f}", f"{row.ssim:.2f}", row.warping, row.vfid)
        cells = "".join(f"<td>{'' if value is None else value}</td>" for value in figures)
        told.append(f"<tr><th>{row.name}</th>{cells}</tr>")
    return told


def settings_list(settings: dict[str, Any]) -> str:
    """Everything that was asked for, and the versions that did it."""
    entries = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{_value(value)}</dd>" for name, value in settings.items()
    )
    return f"<dl>{entries}</dl>"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return settings_list(value)
    if isinstance(value, list):
        return html.escape(", ".join(map(str, value)))
    return html.escape("not given" if value is None else str(value))
