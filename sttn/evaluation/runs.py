"""Completing and scoring, side by side: networks here, baselines and figures in other processes."""

import importlib.metadata
import multiprocessing
import os
import platform
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from sttn.errors import LostProcessError
from sttn.evaluation.baselines import BaselineName
from sttn.evaluation.cases import HOLE, TRUTH, Case, CaseSource
from sttn.evaluation.methods import (
    Network,
    baseline_identity,
    completed_by_baseline,
    completion_key,
)
from sttn.evaluation.results import Results, VideoResult
from sttn.evaluation.scoring import Scorer, ScoringConfig
from sttn.evaluation.store import Store, digest


@dataclass(frozen=True, kw_only=True)
class Work:
    """What another process needs to score one case."""

    source: CaseSource
    networks: dict[str, str]
    """Identities by name; their completed frames are in the store."""
    baselines: tuple[BaselineName, ...]
    scoring: ScoringConfig
    folder: Path
    """Of the store."""


def evaluate(
    sources: Sequence[CaseSource],
    networks: Sequence[Network],
    baselines: Sequence[BaselineName],
    scoring: ScoringConfig,
    folder: Path,
    settings: dict[str, Any],
    *,
    processes: int = 1,
) -> Results:
    """Complete every case by every method and score it; what the folder already holds is kept.

    Args:
        sources: The cases.
        networks: Completed in this process, one after the other.
        baselines: Names in :data:`~sttn.evaluation.baselines.BASELINES`.
        scoring: Which metrics.
        folder: Keeps completed frames and figures, so that a stopped run can go on.
        settings: Told in the report, beside versions and the methods' digests.
        processes: Others that compute baselines and figures.

    Returns:
        The figures, videos in the order of ``sources``.

    Raises:
        FootageError: a case cannot be read.
        LostProcessError: one of the processes was ended from outside.
        ValueError: no processes, no method, two of one name, or one called like what is no method.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    if not networks and not baselines:
        raise ValueError("nothing to measure; give weights or baselines")
    names = Counter([*(network.name for network in networks), *baselines])
    name, count = names.most_common(1)[0]
    if count > 1:
        raise ValueError(f"{count} methods are called {name}; rename its weights, or give it once")
    for taken in (TRUTH, HOLE):
        if taken in names:
            raise ValueError(f"{taken} is no name for a method, a page has it; rename its weights")
    store = Store(folder)
    identities = {network.name: network.identity for network in networks}
    waiting: list[Future[VideoResult]] = []
    with (
        _pool(processes) as pool,
        tqdm(total=len(sources), unit="clip", desc="scoring", disable=None, position=1) as scored,
    ):
        for source in tqdm(sources, unit="clip", desc="completing", disable=None):
            case = source.read()
            for network in networks:
                _complete(case, network, store)
            work = Work(
                source=source,
                networks=identities,
                baselines=tuple(baselines),
                scoring=scoring,
                folder=folder,
            )
            future = pool.submit(score_case, work)
            future.add_done_callback(lambda _: scored.update())
            waiting.append(future)
            _raise_early(waiting)
        videos = [future.result() for future in waiting]
    return Results(
        networks=[network.name for network in networks],
        baselines=list(baselines),
        settings={**settings, "methods": identities, "versions": _versions()},
        videos=videos,
    )


def _versions() -> dict[str, str]:
    return {
        "sttn-inpaint": importlib.metadata.version("sttn-inpaint"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _complete(case: Case, network: Network, store: Store) -> None:
    key = completion_key(network.identity, case)
    if store.completed(key, case) is not None:
        return
    bar = tqdm(total=len(case.frames), unit="frame", leave=False, disable=None, position=2)
    with bar:
        bar.set_description(f"{network.name} on {case.name}")
        store.keep_completed(key, case, network.completed(case, bar.update))


def _raise_early(futures: Sequence[Future[VideoResult]]) -> None:
    """What failed beside should not wait for the last clip to be completed."""
    for future in futures:
        if future.done():
            future.result()


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned, because a fork of a process that has run torch or OpenCV may hang."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_calm)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise LostProcessError(
            "a process that computes beside was ended, as for want of memory; what was computed "
            "stays, and the same command goes on, best with fewer --processes"
        ) from error
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _calm() -> None:
    """One thread each; an interruption is the first process' to handle, and its end is theirs."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's processes wait for work forever, also from a process that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a pool's process has one"
    parent.join()
    os._exit(1)


def score_case(work: Work) -> VideoResult:
    """Compute what is missing of one case: its baselines, then all figures."""
    store, case, scorer = Store(work.folder), work.source.read(), _scorer(work.scoring)
    keys, figures, known = {}, {}, None
    for name, identity in work.networks.items():
        keys[name] = completion_key(identity, case)
    for baseline in work.baselines:
        keys[baseline] = completion_key(baseline_identity(baseline), case)
        if store.completed(keys[baseline], case) is None:
            store.keep_completed(keys[baseline], case, completed_by_baseline(baseline, case))
    content = digest(case.truth, case.masks, case.frames)
    for name, key in keys.items():
        place = digest(scorer.identity, content, key)
        found = store.figures(place)
        if found is None:
            known = known or scorer.known(case)
            completed = store.completed(key, case)
            assert completed is not None, "completed above, or before this was asked for"
            found = scorer.score(case, completed, known)
            store.keep_figures(place, found)
        figures[name] = found
    return VideoResult(
        name=case.name,
        frames=len(case.frames),
        hole_share=float(case.masks.mean()),
        keys=keys,
        figures=figures,
    )


@cache
def _scorer(config: ScoringConfig) -> Scorer:
    """Networks of metrics are read once per process."""
    return Scorer(config)
