"""Runs are stopped, go on, and compute nothing twice; figures are what the metrics say."""

import csv
import json
import os
from contextlib import nullcontext
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from sttn.errors import LostProcessError
from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.evaluation.console import comparisons, summary_table, video_table
from sttn.evaluation.methods import Network, read_networks
from sttn.evaluation.metrics.fidelity import hole_psnr
from sttn.evaluation.results import write_csv, write_json
from sttn.evaluation.runs import Work, _pool, evaluate, score_case
from sttn.evaluation.scoring import Scorer, ScoringConfig
from sttn.evaluation.store import SOURCE, Store, sources
from sttn.inference import complete
from sttn.model import load_generator
from sttn.settings.weights import DEFAULT_WEIGHTS

CPU = torch.device("cpu")


@pytest.fixture
def networks(weights):
    return read_networks([weights], ["balanced"], CPU)


@pytest.fixture
def run(clips, networks, tmp_path):
    def go(**config):
        sources = find_cases(clips, ProtocolConfig(**config))
        store = tmp_path / "store"
        return evaluate(sources, networks, ["telea"], ScoringConfig(), store, {"footage": "clips"})

    return go


@pytest.fixture(scope="module")
def pool():
    with _pool(1) as beside:
        yield beside


@pytest.fixture
def started(pool, monkeypatch):
    """The process beside is there already: starting one takes longer than what is tested."""
    monkeypatch.setattr("sttn.evaluation.runs._pool", lambda _: nullcontext(pool))


def never(*_):
    raise AssertionError("this was computed before")


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_figures_are_those_of_the_engine(run, clips, weights, tmp_path):
    """Completed by the engine, scored by the metrics, told as JSON, CSV and text."""
    results = run()

    case = find_cases(clips, ProtocolConfig())[1].read()
    by_hand = hole_psnr(
        complete(case.frames, case.masks, load_generator(weights)), case.truth, case.masks
    )
    assert results.videos[1].mean("tiny", "hole_psnr") == pytest.approx(by_hand)
    assert results.methods == ["tiny", "telea"]
    assert {"psnr", "ssim65", "hole_ssim", "hole_warping", "hole_flicker"} <= set(results.metrics)
    assert "vfid" not in results.metrics
    summary = results.summary("tiny", "hole_psnr")
    assert summary.mean == pytest.approx(np.mean(results.per_video("tiny", "hole_psnr")))
    assert "dune" in video_table(results)
    assert "±" in summary_table(results)
    assert "too few clips" in comparisons(results)[0]

    write_json(results, tmp_path / "results.json")
    write_csv(results, tmp_path / "results.csv")

    told = json.loads((tmp_path / "results.json").read_text())
    assert told["summary"]["tiny"]["hole_psnr"]["mean"] == pytest.approx(summary.mean)
    assert "versions" in told["settings"]
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert float(rows[2]["hole_psnr"]) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_nothing_is_computed_twice_unless_it_changed(run, clips, monkeypatch):
    """What a stopped run had finished is there; a changed mask is completed anew."""
    first = run(pattern="bank")
    monkeypatch.setattr(Network, "completed", never)
    again = run(pattern="bank")

    assert again.videos == first.videos
    mask = cv2.imread(str(clips / "bank" / "stationary_144x96.png"))
    cv2.imwrite(str(clips / "bank" / "stationary_144x96.png"), mask[::-1])
    with pytest.raises(AssertionError, match="computed before"):
        run(pattern="bank")


@pytest.mark.slow
def test_an_interruption_loses_nothing_that_was_finished(run, monkeypatch, request):
    """Ctrl-C in the second clip: the first one's frames are kept."""
    completed = Network.completed
    done = []

    def interrupted(self, case, advance):
        if done:
            raise KeyboardInterrupt
        done.append(case.name)
        return completed(self, case, advance)

    monkeypatch.setattr(Network, "completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    request.getfixturevalue("started")
    again = []
    monkeypatch.setattr(
        Network, "completed", lambda *given: again.append(given[1].name) or completed(*given)
    )
    run()

    assert done == ["bank"]
    assert again == ["dune", "hill"]


@pytest.mark.slow
def test_a_process_beside_that_is_ended_is_one_line():
    """Killed for want of memory: whoever comes back in the morning reads what to do, and that what
    was computed is there.
    """
    with (
        pytest.raises(LostProcessError, match="goes on, best with fewer --processes"),
        _pool(1) as p,
    ):
        p.submit(os._exit, 1).result()


@pytest.mark.parametrize(
    ("computes", "stands_on"),
    [
        ("inference", ["texture/search.py", "propagation/traces.py", "settings/schedule.py"]),
        ("evaluation/baselines", ["model/region.py", "propagation/flow.py"]),
        ("evaluation/scoring.py", ["training/perceptual.py", "evaluation/metrics/vfid.py"]),
    ],
)
def test_a_changed_line_anywhere_below_is_computed_anew(computes, stands_on):
    """Whoever works on texture never looks at frames that the old code made."""
    found = [str(path.relative_to(SOURCE)) for path in sources(computes)]

    assert set(stands_on) <= set(found)


@pytest.mark.parametrize(
    ("name", "said"), [("telea", "2 methods are called telea"), ("truth", "truth is no name")]
)
def test_methods_of_one_name_are_refused(networks, tmp_path, name, said):
    """One row's figures would silently stand in the other's place; weights called truth.safetensors
    would look perfect on the page.
    """
    (network,) = networks
    with pytest.raises(ValueError, match=said):
        evaluate(
            [], [replace(network, name=name)], ["telea"], ScoringConfig(), tmp_path / "store", {}
        )

    assert not (tmp_path / "store").exists()


def test_figures_of_different_precisions_are_kept_apart(clips):
    """A run in bfloat16 must not find what float32 gave; the pixels are close all the same."""
    case = find_cases(clips, ProtocolConfig(limit=3))[0].read()
    full, half = (
        read_networks([DEFAULT_WEIGHTS], ["released"], CPU, dtype)[0]
        for dtype in (torch.float32, torch.bfloat16)
    )

    completed = [network.completed(case, lambda: None) for network in (full, half)]

    assert full.identity != half.identity
    assert full.identity == read_networks([DEFAULT_WEIGHTS], ["released"], CPU)[0].identity
    apart = np.abs(np.subtract(*completed, dtype=np.int16))[case.masks]
    assert 0 < apart.mean() < 1


def test_without_a_truth_only_steadiness_is_measured(clips, tmp_path):
    """Nobody knows what was behind the object."""
    source = find_cases(clips, ProtocolConfig(protocol="removal", width=144, height=96))[0]

    video = score_case(
        Work(
            source=source,
            networks={},
            baselines=("telea",),
            scoring=ScoringConfig(),
            folder=tmp_path,
        )
    )

    assert set(video.figures["telea"]) == {"frames", "warping", "hole_warping"}
    assert video.mean("telea", "hole_warping") > 0


def test_what_is_left_outside_the_matte_counts_in_whole_frames_only(clips, tmp_path):
    """A shadow beside a matte is delivered with the plate; the fill is not to blame."""
    clean = find_cases(clips, ProtocolConfig())[0].read()
    shadow = clean.frames.copy()
    shadow[:, 64:70, 55:85] //= 2
    shadow[clean.masks] = 0
    shot = replace(clean, frames=shadow)
    scorer, store = Scorer(ScoringConfig()), Store(tmp_path)
    figures = {}
    for name, case in (("clean", clean), ("shot", shot)):
        store.keep_completed("ab", case, clean.truth)
        completed = store.completed("ab", case)
        np.testing.assert_array_equal(completed[~case.masks], case.frames[~case.masks])
        figures[name] = scorer.score(case, completed, scorer.known(case))

    inside = [key for key in figures["clean"] if key.startswith("hole_")]
    assert len(inside) == 5
    assert all(figures["shot"][key] == figures["clean"][key] for key in inside)
    for key in ("psnr", "ssim", "ssim65"):
        assert np.mean(figures["shot"][key]) < np.mean(figures["clean"][key])
    assert np.mean(figures["shot"]["warping"]) > np.mean(figures["clean"]["warping"])


def test_what_is_kept_comes_back_bit_for_bit(clips, tmp_path):
    """Only holes are kept; the rest is the plate's."""
    case = find_cases(clips, ProtocolConfig())[0].read()
    rng = np.random.default_rng(0)
    completed = case.truth.copy()
    completed[case.masks] = rng.integers(0, 256, (case.masks.sum(), 3))
    store = Store(tmp_path)

    store.keep_completed("ab", case, completed)

    np.testing.assert_array_equal(store.completed("ab", case), completed)
    assert store.completed("cd", case) is None
    assert store.figures("ab") is None


def test_weights_of_one_name_are_told_apart(weights, tmp_path):
    """Every training run calls its weights generator.safetensors."""
    paths = [tmp_path / run / "generator.safetensors" for run in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(weights.read_bytes())

    networks = read_networks(paths, ["fast", "thorough"], CPU)

    assert [network.name for network in networks] == [
        "a/generator fast",
        "a/generator thorough",
        "b/generator fast",
        "b/generator thorough",
    ]
    assert len({network.identity for network in networks}) == 2
    with pytest.raises(ValueError, match="twice"):
        read_networks([paths[0], paths[0]], ["fast"], CPU)
