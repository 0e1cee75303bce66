"""The page on which people rank what methods made of a clip, not knowing whose is whose."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
from tqdm import tqdm

from sttn.evaluation.cases import CaseSource
from sttn.evaluation.panes import film, shown_panes
from sttn.evaluation.results import Results
from sttn.evaluation.store import Store

FOLDER = Path(__file__).parent
KEY_FILE, PAGE_FILE = "key.json", "ranking.html"
RATE = 12
"""Frames per second."""

WIDTH = 432
"""Columns of a pane."""


def draw(sources: Sequence[CaseSource], count: int, seed: int) -> list[CaseSource]:
    """The cases that a page is going to show, by lot: ``count`` of them, or all."""
    places = np.random.default_rng((seed, 0)).permutation(len(sources))[:count]
    return [sources[place] for place in places]


def require_methods(count: int) -> None:
    """Refuse what cannot be ranked.

    Raises:
        ValueError: fewer than two methods, or more than there are letters.
    """
    if not 2 <= count <= len(ascii_uppercase):
        raise ValueError(f"ranking wants 2 to 26 methods, got {count}")


def write_ranking(
    results: Results,
    sources: Sequence[CaseSource],
    folder: Path,
    output: Path,
    *,
    seed: int,
) -> None:
    """Write the page, and apart from it the key that says whose letter is whose.

    Args:
        results: Of a run by the methods that are to be ranked; all of its videos are shown.
        sources: Its cases.
        folder: The store with the completed frames.
        output: Folder that gets ``ranking.html`` and ``key.json``; only the first is for those
            who rank.
        seed: Of the letters.

    Raises:
        ValueError: as :func:`require_methods`.
    """
    require_methods(len(results.methods))
    rng, store = np.random.default_rng((seed, 1)), Store(folder)
    by_name = {source.name: source for source in sources}
    study = secrets.token_hex(4)
    trials: list[dict[str, Any]] = []
    key: dict[str, dict[str, str]] = {}
    for video in tqdm(results.videos, unit="clip", desc="ranking", disable=None):
        case = by_name[video.name].read()
        methods = [results.methods[place] for place in rng.permutation(len(results.methods))]
        letters = dict(zip(ascii_uppercase, methods, strict=False))
        panes = {"input": shown_panes(case, {})["hole"]}
        for letter, method in letters.items():
            completed = store.completed(video.keys[method], case)
            assert completed is not None, "the run has just completed it"
            panes[letter] = completed
        # A number, not the clip's name: nothing on the page leads to other pages of the same run.
        trial = str(len(trials) + 1)
        trials.append({"trial": trial, "film": film(panes, RATE, WIDTH).told()})
        key[trial] = letters
    write_key(output / KEY_FILE, study, key)
    page = (FOLDER / "ranking.html").read_text()
    told = json.dumps({"study": study, "trials": trials}, separators=(",", ":"))
    (output / PAGE_FILE).write_text(page.replace("{{data}}", told.replace("<", "\\u003c")))


def write_key(path: Path, study: str, letters: Mapping[str, Mapping[str, str]]) -> None:
    """Write which method each letter of each trial stands for."""
    path.write_text(json.dumps({"study": study, "letters": letters}, indent=1) + "\n")
