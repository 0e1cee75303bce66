"""Real runs, small: they learn, stop, go on, and are shared by processes."""

import json
import os
import resource
import signal
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sttn.errors import CheckpointError, DeviceError, FootageError, SavingError, TrainingError
from sttn.model import Generator, ModelConfig, load_generator
from sttn.training import trainer
from sttn.training.command import main
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.losses import (
    adversarial_loss,
    discriminator_loss,
    hole_loss,
    laid_over,
    valid_loss,
)
from sttn.training.presets import FOLDER, read_preset
from sttn.training.processes import Processes, joined
from sttn.training.recipes import Recipes, SampleConfig
from sttn.training.rendering import render
from sttn.training.schedules import learning_rate
from sttn.training.state import TrainingState, checkpoints
from sttn.training.trainer import Step, train
from sttn.training.validation import Validation
from tests.sttn.training.runs import log

CPU = torch.device("cpu")
pytestmark = pytest.mark.slow


def same_weights(one: Path, other: Path) -> None:
    for name, tensor in load_generator(one).state_dict().items():
        torch.testing.assert_close(load_generator(other).state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("adversarial_weight", [0.0, 0.01])
def test_a_run_stopped_and_resumed_ends_with_the_same_weights(
    tmp_path, corpus, tiny, adversarial_weight
):
    """A killed night on the farm costs nothing but its last minutes."""
    tiny = replace(
        tiny, adversarial_weight=adversarial_weight, reuse=3 if adversarial_weight else 1
    )
    whole = train(tiny, corpus, tmp_path / "whole", CPU)

    train(replace(tiny, steps=4), corpus, tmp_path / "parts", CPU)
    parts = train(tiny, corpus, tmp_path / "parts", CPU)

    same_weights(whole, parts)
    for loss in (
        "hole",
        "valid",
        *(["discriminator", "adversarial"] if adversarial_weight else []),
    ):
        assert len(log(tmp_path / "parts", loss)) == 6
        assert log(tmp_path / "parts", loss) == log(tmp_path / "whole", loss)


def test_training_learns_and_tells(tmp_path, corpus, tiny):
    """Both losses fall; the folder holds what people look at."""
    config = replace(
        tiny,
        sample=replace(tiny.sample, scene_share=0.0),  # harder than a minute can show
        steps=120,
        learning_rate=3e-3,
        decay_steps=20,
        validate_every=20,
    )

    train(config, corpus, tmp_path, CPU)

    for loss in ("hole", "valid"):
        first, last = (
            np.mean(part) for part in (log(tmp_path, loss)[:9], log(tmp_path, loss)[-20:])
        )
        assert last < 0.85 * first
    early, *_, late = log(tmp_path, "validation_psnr")
    assert late > early + 0.2
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 120
    for picture in ("curve.png", "validation.png"):
        assert cv2.imread(str(tmp_path / picture)).std() > 1
    assert list(tmp_path.glob("events.out.tfevents.*"))


@pytest.mark.parametrize("drawn", [[False, True], [False]])
def test_validation_does_not_count_clips_without_a_hole(corpus, tiny, drawn):
    """Annotations in which the object has left the frame would count 100 dB each."""
    shapes = [np.full((5, 48, 48), covered) for covered in drawn]
    config = replace(tiny, sample=replace(tiny.sample, object_share=1.0))
    validation = Validation(config, replace(corpus, objects=shapes), CPU)

    psnr, picture = validation.look(TrainingState(config, CPU).generator)

    assert psnr < 30 if any(drawn) else np.isnan(psnr)
    assert picture.shape == (8 * 48, 3 * 48, 3)


def test_one_clip_can_be_learned_by_heart(tmp_path):
    """Nothing stands between the network and the truth: above 35 dB inside the hole."""
    flat = cv2.resize(
        np.random.default_rng(3).integers(60, 200, (3, 3, 3), dtype=np.uint8),
        (48, 48),
        interpolation=cv2.INTER_CUBIC,
    )
    config = TrainingConfig(
        model=ModelConfig(channels=32, blocks=1, patch_divisors=(3, 12)),
        sample=SampleConfig(width=48, height=48, frames=2, movie_share=1.0, traces_share=0.0),
        steps=400,
        warmup_steps=20,
        decay_steps=280,
        batch=4,
        learning_rate=4e-3,
        adversarial_weight=0.0,
        average=0.0,
        validate_every=400,
    )

    train(config, Corpus(photographs=[], movies=[np.stack([flat] * 3)]), tmp_path, CPU)

    assert log(tmp_path, "validation_psnr")[-1] > 35


def test_each_loss_teaches_its_own_network_only(corpus, tiny):
    """One look of the discriminator serves Eq. (8) and (9); neither leaks into the other."""
    config = replace(tiny, adversarial_weight=0.5, gradient_norm=0.0, batch=1)
    state = TrainingState(config, CPU)
    generator, judge = deepcopy(state.generator), deepcopy(state.discriminator)
    recipe = Recipes(corpus, config.sample, seed=1, count=1)[0]

    Step(config, state, CPU, Processes())([render([recipe], corpus, CPU)])

    truth, given, mask = render([recipe], corpus, CPU)
    completed = generator(given * (1 - mask), mask)
    seen = laid_over(completed, truth, mask)
    judging = discriminator_loss(judge(truth), judge(seen.detach()))
    judge_alone = torch.autograd.grad(judging, judge.parameters())
    total = hole_loss(completed, truth, mask) + valid_loss(completed, truth, mask)
    total = total + 0.5 * adversarial_loss(judge.eval()(seen))
    generator_alone = torch.autograd.grad(total, generator.parameters())
    for network, alone in ((state.discriminator, judge_alone), (state.generator, generator_alone)):
        for parameter, gradient in zip(network.parameters(), alone, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)


def test_a_step_that_can_be_recorded_is_the_same_step(corpus, tiny):
    """What a GPU repeats without being asked is what a CPU does, also where it must do nothing."""
    config = replace(tiny, adversarial_weight=0.01)
    recipes = Recipes(corpus, config.sample, seed=1, count=8)
    batches = [render([recipes[n], recipes[n + 1]], corpus, CPU) for n in (0, 2)]
    states = [TrainingState(config, CPU) for _ in range(2)]
    asked, recordable = (Step(config, state, CPU, Processes()) for state in states)
    recordable._recorded = lambda clips: recordable._made([clips])
    holed = batches[0]._replace(truth=torch.full_like(batches[0].truth, torch.nan))

    for clips in (batches[0], holed, batches[1]):
        for figures in zip(*(step([clips]).items() for step in (asked, recordable)), strict=True):
            np.testing.assert_equal(*figures)

    for one, other in zip(*(state.generator.parameters() for state in states), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert [state.rejected for state in states] == [1, 1]
    assert states[1].optimizers[0].state_dict()["state"][0]["step"] == 2


def test_bfloat16_learns_what_float32_learns(tmp_path, corpus, tiny):
    """Half the memory traffic, the same curve within rounding; losses and weights stay float32."""
    # One clip, since CPUs without bfloat16 take 4 s for each; slowly, so that roundings stay small.
    tiny = replace(tiny, adversarial_weight=0.01, batch=1, steps=4, learning_rate=2e-4)
    for half in (False, True):
        train(replace(tiny, bfloat16=half), corpus, tmp_path / str(half), CPU)

    for loss in ("hole", "valid", "discriminator"):
        exact, rounded = (log(tmp_path / str(half), loss) for half in (False, True))
        assert rounded != exact
        np.testing.assert_allclose(rounded, exact, rtol=0.01)
    content = torch.load(checkpoints(tmp_path / "True")[-1], weights_only=True)
    assert {tensor.dtype for tensor in content["generator"].values()} == {torch.float32}


def test_accumulated_rounds_are_one_batch(tmp_path, corpus, tiny):
    """A small card trains what a large one does."""
    tiny = replace(tiny, average=0.0, batch=4, learning_rate=1e-4)

    for rounds in (1, 2):
        train(replace(tiny, accumulate=rounds), corpus, tmp_path / str(rounds), CPU)

    np.testing.assert_allclose(log(tmp_path / "1"), log(tmp_path / "2"), rtol=1e-3)


def test_two_processes_train_as_one_does(tmp_path, monkeypatch):
    """torchrun on two devices gives the same loss curve within rounding."""
    images = tmp_path / "corpus"
    images.mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(
        str(images / "a.png"), cv2.resize(rng.integers(0, 255, (9, 9, 3), np.uint8), (90, 90))
    )
    command = [str(images), "--config", "tiny", "--steps", "6"]
    command += ["--device", "cpu", "--validate-every", "0", "--decay-steps", "0", "--output"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]

    monkeypatch.setattr("sys.argv", ["sttn-train", *command, str(tmp_path / "one")])
    main()
    done = subprocess.run(
        [*launch, "-m", "sttn.training", *command, str(tmp_path / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for loss in ("hole", "valid", "discriminator"):
        np.testing.assert_allclose(
            log(tmp_path / "one", loss), log(tmp_path / "two", loss), rtol=5e-3
        )


def test_batches_that_cannot_be_shared_are_refused(tmp_path, corpus, tiny):
    """No clip is dropped in silence."""
    with pytest.raises(ValueError, match="give a multiple of 6"):
        train(
            replace(tiny, batch=4, accumulate=2),
            corpus,
            tmp_path,
            CPU,
            processes=Processes(count=3),
        )


def test_processes_with_different_material_are_refused(tmp_path, corpus, tiny):
    """Machines whose copies of a corpus differ would learn what nobody can repeat, and may crash
    days later.
    """

    class OneOfTwo(Processes):
        def all(self, told):
            return [told, *super().all(("1 photographs, 0 panoramas and 2 movies", "another"))]

    with pytest.raises(
        FootageError, match=r"0 of the run holds 1 pho.* 1 mov.* process 1 holds 1 pho"
    ):
        train(tiny, corpus, tmp_path, CPU, processes=OneOfTwo())


def test_steps_without_a_finite_gradient_are_skipped_and_end_the_run(
    tmp_path, corpus, tiny, monkeypatch
):
    """The weights stay whole, and the last batch can be looked at."""
    poisoned = trainer.hole_loss
    monkeypatch.setattr(trainer, "hole_loss", lambda *args: poisoned(*args) * torch.nan)
    before = TrainingState(tiny, CPU).generator.state_dict()

    with pytest.raises(TrainingError, match=r"3 steps had no finite gradient.*rejected.json"):
        train(replace(tiny, rejected_limit=2, checkpoint_minutes=0), corpus, tmp_path, CPU)

    assert json.loads((tmp_path / "rejected.json").read_text())
    torch.testing.assert_close(
        load_generator(tmp_path / "generator.safetensors").state_dict(),
        dict(before),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    "other", [{"channels": 32}, {"mask_attention": False}, {"patch_divisors": (1, 2, 4, 6)}]
)
def test_a_run_of_another_network_is_not_overwritten(tmp_path, tiny, other):
    """Two experiments in one folder are refused, also where the weights of one fit the other."""
    TrainingState(tiny, CPU).save(tmp_path)

    with pytest.raises(
        CheckpointError, match=r"checkpoint-00000000\.pt belongs to .*another --out"
    ):
        TrainingState(replace(tiny, model=replace(tiny.model, **other)), CPU).resume(tmp_path, CPU)


def test_a_resumed_run_obeys_the_settings_it_is_given(tmp_path, corpus, tiny):
    """What config.json says is what the optimizer does; its momentum is kept."""
    train(replace(tiny, steps=2), corpus, tmp_path, CPU)
    state = TrainingState(replace(tiny, beta1=0.1), CPU)

    state.resume(tmp_path, CPU)

    kept = state.optimizers[0].state_dict()
    assert kept["param_groups"][0]["betas"] == (0.1, tiny.beta2)
    assert kept["state"][0]["step"] == 2


@pytest.mark.parametrize("content", [b"text", b"", None])
def test_a_damaged_checkpoint_is_named(tmp_path, tiny, content):
    """One line that says how the night's work is gone on with."""
    path = tmp_path / "checkpoint-00000007.pt"
    if content is None:
        torch.save({"step": 7}, path)
    else:
        path.write_bytes(content)

    with pytest.raises(
        CheckpointError, match=r"00007\.pt is damaged.*give another --output, or remove"
    ):
        TrainingState(tiny, CPU).resume(tmp_path, CPU)


def test_a_run_may_start_from_weights(tmp_path, corpus, tiny):
    """Fine-tuning begins where pre-training ended."""
    torch.manual_seed(5)
    trained = Generator(tiny.model)

    weights = train(
        replace(tiny, steps=2, learning_rate=1e-9), corpus, tmp_path, CPU, start=trained
    )

    read = load_generator(weights)
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], tensor, rtol=1e-2, atol=1e-3)
    assert read.trained_pixels == tiny.sample.width * tiny.sample.height


def test_only_the_newest_checkpoints_stay(tmp_path, corpus, tiny):
    """A long run does not fill the disk."""
    train(replace(tiny, checkpoint_minutes=0, checkpoints_kept=2), corpus, tmp_path, CPU)

    assert [path.name for path in checkpoints(tmp_path)] == [
        "checkpoint-00000005.pt",
        "checkpoint-00000006.pt",
    ]
    assert not list(tmp_path.glob("*.part"))


def test_a_second_ctrl_c_does_not_lose_what_the_first_one_saves(
    tmp_path, corpus, tiny, monkeypatch
):
    """Large networks take seconds to save, and people press twice."""
    save = TrainingState.save

    def interrupted(state: TrainingState, folder: Path) -> Path:
        os.kill(os.getpid(), signal.SIGINT)
        return save(state, folder)

    monkeypatch.setattr(TrainingState, "save", interrupted)

    train(replace(tiny, steps=2), corpus, tmp_path, CPU)

    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-00000002.pt"]
    assert (tmp_path / "generator.safetensors").is_file()


def test_a_log_that_a_full_disk_cut_off_is_gone_on_with(tmp_path, corpus, tiny, caplog):
    """A night's run goes on once there is room again; what is no figures is told and left out."""
    train(replace(tiny, steps=2), corpus, tmp_path, CPU)
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(b'3\n\xff\n{"step": 3, "ho')

    train(replace(tiny, steps=3), corpus, tmp_path, CPU)

    assert len(log(tmp_path)) == 3
    assert all(0 < share < 1 for share in log(tmp_path, "waiting_share"))
    assert f"left out: line 5 of {tmp_path / 'log.jsonl'}" in caplog.text


def test_a_full_disk_ends_no_run_before_its_end(tmp_path, corpus, tiny, caplog):
    """A night's run, of which all was lost: steps go on while somebody makes room. What cannot be
    saved at the end is told with its path, and nothing half-written lies around.
    """
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2200, allowed[1]))
    longer = replace(tiny, steps=24, checkpoint_minutes=0)
    try:
        with pytest.raises(SavingError, match=r"cannot write .*checkpoint-00000024\.pt: File too"):
            train(longer, corpus, tmp_path, CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert "step 23 is not wholly saved, the run goes on: cannot write" in caplog.text
    assert caplog.text.count("is not complete: [Errno 27]") == 1
    assert not list(tmp_path.glob("*.part"))
    for unfinished in ("checkpoint-00000003.part", "checkpoint-00000004.pt.part"):
        (tmp_path / unfinished).touch()

    train(tiny, corpus, tmp_path, CPU)

    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-00000006.pt"]
    assert not list(tmp_path.glob("*.part"))


def test_learning_rates_are_those_of_the_paper_and_of_the_release():
    """Section D, and what the released code does instead."""
    warm = TrainingConfig(steps=100, decay_steps=40, warmup_steps=10, learning_rate=1.0)
    paper = TrainingConfig(steps=500_000, schedule="paper", learning_rate=1e-4)
    released = replace(paper, schedule="released")

    assert [learning_rate(warm, step) for step in (0, 30, 80)] == pytest.approx([0.1, 1.0, 0.525])
    assert learning_rate(warm, 99) < 0.06
    steps = (0, 149_999, 150_000, 299_999, 300_000)
    assert [learning_rate(paper, step) for step in steps] == pytest.approx(
        [1e-4, 1e-4, 1e-5, 1e-5, 1e-6]
    )
    assert [learning_rate(released, step) for step in steps] == pytest.approx(
        [1e-4, 1e-4, 1e-4, 1e-4, 1e-5]
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_presets_are_valid(path):
    """A preset is found by its name alone."""
    assert read_preset(Path(path.stem)) == read_preset(path)


@pytest.mark.parametrize("path", ["nowhere/davis.toml", "davis.tml"])
def test_a_mistyped_path_is_no_preset(path):
    """Days of training would follow other settings than those that were written down."""
    with pytest.raises(ValueError, match=f"no settings at {path}; presets are davis, tiny"):
        read_preset(Path(path))


def test_youtube_vos_is_trained_as_the_paper_says():
    """Section D: batch 8, five frames of 432x240, Adam at 1e-4, weights 1, 1 and 0.01; Section 3.3:
    holes of random shapes. No clipping of gradients is named, and frames are resized whole.
    """
    config = read_preset(Path("youtube-vos"))
    tuned = read_preset(Path("davis"))

    assert (config.batch, config.learning_rate, config.schedule) == (8, 1e-4, "paper")
    assert (config.sample.width, config.sample.height, config.sample.frames) == (432, 240, 5)
    weights = (config.hole_weight, config.valid_weight, config.adversarial_weight)
    assert weights == (1, 1, 0.01)
    assert (config.gradient_norm, config.sample.object_share) == (0, 0)
    assert config.sample.whole_frames
    assert config.sample.timeline == 0
    assert config.sample.hole_height == (0.3334, 1)
    assert tuned.sample == config.sample
    assert replace(tuned, steps=config.steps) == config


def test_gradients_are_shortened_or_left_as_they_are(corpus, tiny):
    """0 switches it off, as it does elsewhere; a negative length is refused."""
    recipe = Recipes(corpus, tiny.sample, seed=1, count=1)[0]
    norms = []
    for longest in (0.0, 1e-3):
        config = replace(tiny, gradient_norm=longest, batch=1)
        state = TrainingState(config, CPU)
        Step(config, state, CPU, Processes())([render([recipe], corpus, CPU)])
        parts = [parameter.grad.norm() for parameter in state.generator.parameters()]
        norms.append(float(torch.stack(parts).norm()))

    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-3, rel=0.01)
    with pytest.raises(ValueError, match="gradient_norm must be at least 0"):
        replace(tiny, gradient_norm=-1.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stepz = 3", "stepz"),
        ("steps = 'many'", "steps"),
        ("steps = ", "Invalid value"),
        ("steps = 0", "steps must be"),
        ("vgg = 3", "vgg"),
        ("beta1 = [0.5]", "beta1"),
        ("beta1 = '0'", "beta1"),
        ("beta1 = true", "beta1"),
        ("[sample]\nhole_height = 0.5", "sample.hole_height"),
        ("[sample]\nhole_height = [0.5]", "sample.hole_height"),
        ("[model]\npatch_divisors = [1, 'a']", "model.patch_divisors"),
        ("model = 3", "model"),
        ("learning_rate = nan", "learning_rate must be above 0"),
        ("style_weight = nan", "style_weight must be at least 0"),
        ("seed = -1", "seed must be at least 0"),
        ("\xff", "utf-8"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, text, told):
    """The message names the file and the setting."""
    (tmp_path / "run.toml").write_text(text, "latin-1")

    with pytest.raises(ValueError, match=rf"run\.toml: .*{told}"):
        read_preset(tmp_path / "run.toml")


def test_whole_numbers_are_numbers(tmp_path):
    """People write beta1 = 0, and heights from 0.5 to 1."""
    (tmp_path / "run.toml").write_text("beta1 = 0\n[sample]\nhole_height = [0.5, 1]")

    config = read_preset(tmp_path / "run.toml")

    assert (config.beta1, config.sample.hole_height) == (0.0, (0.5, 1.0))
    assert isinstance(config.beta1, float)


def test_more_processes_than_gpus_are_told(monkeypatch):
    """Whoever gives torchrun too large a number reads how many GPUs there are."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)

    with pytest.raises(DeviceError, match="has 1 CUDA devices, so not cuda:1"):
        joined(torch.device("cuda")).__enter__()
