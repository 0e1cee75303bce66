"""Fig. 7 again: people rank without knowing whose is whose, and a command sums it."""

import csv
import json

import pytest
import torch

from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.evaluation.methods import read_networks
from sttn.evaluation.ranking.answers import FIELDS, ranks_table, sum_answers
from sttn.evaluation.ranking.page import KEY_FILE, PAGE_FILE, draw, write_key, write_ranking
from sttn.evaluation.runs import evaluate
from sttn.evaluation.scoring import ScoringConfig

KEY = {"1": {"A": "ours", "B": "telea"}, "2": {"A": "telea", "B": "ours"}}


@pytest.fixture
def study(tmp_path):
    write_key(tmp_path / KEY_FILE, "s1", KEY)
    return tmp_path


def answers(path, rows, study="s1"):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([FIELDS, *([study, *row] for row in rows)])
    return path


def test_answers_are_summed_by_method(study):
    """Letters mean something else on every clip."""
    first = answers(
        study / "1.csv",
        [["ann", 1, "A", 1], ["ann", 1, "B", 2], ["ann", 2, "A", 2], ["ann", 2, "B", 1]],
    )
    second = answers(
        study / "2.csv",
        [["bob", 1, "A", 2], ["bob", 1, "B", 1], ["bob", 2, "A", 2], ["bob", 2, "B", 1]],
    )

    ranks = sum_answers(study, [first, second])

    assert [one.method for one in ranks] == ["ours", "telea"]
    assert ranks[0].shares == (0.75, 0.25)
    assert ranks[0].mean.mean == pytest.approx(1.25)
    assert "2 volunteers" in ranks_table(ranks)


@pytest.mark.parametrize(
    ("rows", "other", "said"),
    [
        ([["ann", 1, "A", 1]], "s1", "did not give every rank"),
        ([["ann", 1, "A", 1], ["ann", 1, "B", 1]], "s1", "did not give every rank"),
        ([["ann", 1, "A", 1], ["ann", 1, "A", 2]], "s1", "twice"),
        ([["ann", 9, "A", 1]], "s1", "there is no A in clip 9"),
        ([["ann", 1, "A", "x"]], "s1", "is no rank"),
        ([["ann", 1, "A", 1], ["ann", 1, "B", 2]], "s2", "another page"),
        ([], "s1", "holds no answers"),
    ],
)
def test_answers_that_do_not_fit_are_refused(study, rows, other, said):
    """A mixed-up file must not change a figure."""
    with pytest.raises(ValueError, match=said):
        sum_answers(study, [answers(study / "a.csv", rows, other)])


def test_clips_are_drawn_before_anything_is_computed(clips):
    """Of a set of hundreds ten are completed, the same ones whenever a stopped run goes on."""
    sources = find_cases(clips, ProtocolConfig())

    some = {tuple(source.name for source in draw(sources, 2, seed)) for seed in range(40)}

    assert draw(sources, 2, 3) == draw(sources, 2, 3)
    assert len(some) == 6
    assert len(draw(sources, 10, 0)) == 3


@pytest.mark.slow
def test_a_volunteer_ranks_blind(clips, weights, tmp_path, page):
    """From the page to the sum; nothing on the page tells whose a film is."""
    sources = draw(find_cases(clips, ProtocolConfig()), 2, seed=1)
    networks = read_networks([weights], ["balanced"], torch.device("cpu"))
    store, output = tmp_path / "store", tmp_path / "study"
    output.mkdir()
    results = evaluate(sources, networks, ["telea"], ScoringConfig(), store, {})
    write_ranking(results, sources, store, output, seed=1)
    content = (output / PAGE_FILE).read_text()

    page.goto((output / PAGE_FILE).as_uri())
    page.locator("#volunteer").fill("ann, the first")
    with page.expect_download() as download:
        for _ in range(2):
            assert page.locator("#next").is_disabled()
            page.get_by_role("button", name="A is number 2").click()
            page.get_by_role("button", name="B is number 2").click()
            page.get_by_role("button", name="A is number 1").click()
            page.locator("#next").click()
    download.value.save_as(tmp_path / "ann.csv")

    for name in ("tiny", "telea", "bank", "dune", "hill"):
        assert name not in content
    key = json.loads((output / KEY_FILE).read_text())["letters"]
    firsts = [key[trial]["A"] for trial in ("1", "2")]
    ranks = {one.method: one for one in sum_answers(output, [tmp_path / "ann.csv"])}
    assert ranks["tiny"].shares[0] == firsts.count("tiny") / 2
    assert ranks["telea"].mean.count == 1
