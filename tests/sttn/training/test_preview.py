"""Researchers look at clips before they train on them for days."""

import sys

import cv2
import numpy as np
import pytest
import torch

from sttn.training.command import main
from sttn.training.corpus import Corpus
from sttn.training.preview import preview
from sttn.training.recipes import Recipes, SampleConfig
from sttn.training.rendering import render

SAMPLE = SampleConfig(width=96, height=48, frames=3, movie_share=0.5)


def test_a_preview_shows_what_training_is_going_to_see(corpus):
    """The run's own clips, holes gray, told by kind."""
    seen = preview(corpus, SAMPLE, 4, seed=7)

    assert seen.picture.shape == (4 * 48, 3 * 96, 3)
    recipe = Recipes(corpus, SAMPLE, seed=7, count=4)[2]
    _, given, mask = render([recipe], corpus, torch.device("cpu"))
    expected = ((given[0, 1] + 1) * 127.5).permute(1, 2, 0).numpy()
    expected = np.where(mask[0, 1, 0, ..., None] > 0, 127.5, expected)
    np.testing.assert_allclose(seen.picture[96:144, 96:192], expected, atol=1)
    assert seen.made_of.total() == 4
    assert min(seen.hole_shares) > 0
    assert "movies" in str(seen)


def test_a_preview_shows_the_first_clips_of_a_run_that_sees_clips_again(tmp_path, monkeypatch):
    """Which are others than without: `reuse` of a run's TOML file counts here too."""
    (tmp_path / "corpus").mkdir()
    photograph = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "corpus/a.png"), photograph[..., ::-1])
    (tmp_path / "run.toml").write_text("reuse = 3\n[sample]\nwidth = 96\nheight = 48\nframes = 3")
    command = ["sttn-train", "show", str(tmp_path / "corpus"), "--output", str(tmp_path / "a.png")]
    command += ["--clips", "2", "--config", str(tmp_path / "run.toml")]
    monkeypatch.setattr(sys, "argv", command)

    main()

    corpus = Corpus(photographs=[photograph], movies=[])
    expected = preview(corpus, SAMPLE, 2, seed=0, reuse=3).picture
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], expected)
    assert not np.array_equal(expected, preview(corpus, SAMPLE, 2, seed=0).picture)


def test_long_clips_are_shown_from_their_first_to_their_last_frame(corpus):
    """A row stays readable."""
    seen = preview(corpus, SampleConfig(width=48, height=48, frames=12), 1, seed=0)

    assert seen.picture.shape == (48, 5 * 48, 3)


def test_the_command_writes_a_picture(tmp_path, monkeypatch, capsys):
    """`sttn-train show`, as the README has it."""
    (tmp_path / "corpus").mkdir()
    photograph = np.random.default_rng(0).integers(0, 256, (120, 160, 3))
    cv2.imwrite(str(tmp_path / "corpus/a.png"), photograph)
    output = tmp_path / "clips.png"
    command = ["sttn-train", "show", str(tmp_path / "corpus"), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", [*command, "--clips", "2"])

    main()

    assert cv2.imread(str(output)).shape == (2 * 96, 5 * 192, 3)
    assert "holes cover" in capsys.readouterr().out
    flags = ["--clips", "1", "--config", "tiny", "--sample.frames", "4"]
    monkeypatch.setattr(sys, "argv", [*command, *flags])
    main()
    assert cv2.imread(str(output)).shape == (48, 4 * 48, 3)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--clips", "0"], "clips must be at least 1, got 0"),
        (["--seed", "-1"], "seed must be at least 0, got -1"),
        (["--output", "clips.gif"], "clips.gif must end in one of .png"),
        (["--sample.width", "100"], "width must be a multiple of 48, got 100"),
    ],
)
def test_what_cannot_be_drawn_costs_one_line(tmp_path, monkeypatch, capsys, flags, told):
    """Exit code 2, nothing written."""
    command = ["sttn-train", "show", str(tmp_path), "--output", str(tmp_path / "clips.png")]
    monkeypatch.setattr(sys, "argv", [*command, *flags])

    with pytest.raises(SystemExit) as stopped:
        main()

    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert stopped.value.code == 2
    assert told in said
    assert not list(tmp_path.iterdir())
