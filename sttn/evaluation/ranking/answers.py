"""Summing what people answered."""

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sttn.evaluation.console import table
from sttn.evaluation.ranking.page import KEY_FILE
from sttn.evaluation.statistics import Interval, interval

FIELDS = ["study", "volunteer", "trial", "letter", "rank"]


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """What became of one method."""

    method: str
    shares: tuple[float, ...]
    """Share of all answers in which it came first, second and so on; sums to 1."""
    mean: Interval
    """Mean rank, over volunteers."""


def sum_answers(folder: Path, answers: Sequence[Path]) -> list[Ranks]:
    """Add up the answers to a page, best method first.

    Args:
        folder: Where the page's key lies.
        answers: CSV files that the page wrote, one per volunteer.

    Raises:
        ValueError: a file is no answer to this page, or ranks are missing or given twice.
    """
    key = _read_key(folder / KEY_FILE)
    rows = [row for path in answers for row in _read(path, key["study"])]
    letters: dict[str, dict[str, str]] = key["letters"]
    given: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for path, row in rows:
        method = letters.get(row["trial"], {}).get(row["letter"])
        if method is None:
            raise ValueError(f"{path}: there is no {row['letter']} in clip {row['trial']}")
        one = given[row["volunteer"], row["trial"]]
        if method in one:
            raise ValueError(f"{path}: {row['volunteer']} ranked clip {row['trial']} twice")
        one[method] = int(row["rank"])
    methods = sorted({method for trial in letters.values() for method in trial.values()})
    for (volunteer, trial), ranks in given.items():
        if sorted(ranks.values()) != list(range(1, len(methods) + 1)):
            raise ValueError(f"{volunteer} did not give every rank of clip {trial} once")
    return sorted((_of(method, methods, given) for method in methods), key=lambda r: r.mean.mean)


def _of(method: str, methods: Sequence[str], given: dict[tuple[str, str], dict[str, int]]) -> Ranks:
    all_ranks = [ranks[method] for ranks in given.values()]
    by_volunteer: dict[str, list[int]] = defaultdict(list)
    for (volunteer, _), ranks in given.items():
        by_volunteer[volunteer].append(ranks[method])
    mean = interval([sum(ranks) / len(ranks) for ranks in by_volunteer.values()])
    assert mean is not None
    places = range(1, len(methods) + 1)
    shares = tuple(all_ranks.count(place) / len(all_ranks) for place in places)
    return Ranks(method=method, shares=shares, mean=mean)


def _read_key(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    try:
        key: dict[str, dict[str, dict[str, str]]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"no key of a ranking at {path}: {error}") from error
    return key


def _read(path: Path, study: object) -> list[tuple[Path, dict[str, str]]]:
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read the answers in {path}: {error}") from error
    if reader.fieldnames != FIELDS or not rows:
        raise ValueError(f"{path} holds no answers; its columns should be {', '.join(FIELDS)}")
    for row in rows:
        if row["study"] != study:
            raise ValueError(f"{path} answers another page, {row['study']} instead of {study}")
        if not (row["rank"] or "").isdecimal():
            raise ValueError(f"{path}: {row['rank']!r} is no rank")
    return [(path, row) for row in rows]


def ranks_table(ranks: Sequence[Ranks]) -> str:
    """As Fig. 7 has it: how often each method came first, second and so on."""
    places = [f"rank {place}" for place in range(1, len(ranks) + 1)]
    cells = [[*(f"{100 * s:.0f} %" for s in r.shares), f"{r.mean.mean:.2f}"] for r in ranks]
    people = ranks[0].mean.count
    head = [f"{people} volunteer{'s' if people > 1 else ''}", *places, "mean"]
    return table(head, [r.method for r in ranks], cells)
