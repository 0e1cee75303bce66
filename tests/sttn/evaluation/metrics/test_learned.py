"""Metrics whose networks are given by path: shapes, formulas and refusals, on made-up weights."""

import numpy as np
import pytest
import torch

from sttn.errors import CheckpointError
from sttn.evaluation.flow import RaftFlow
from sttn.evaluation.metrics.i3d import I3d, i3d_layers
from sttn.evaluation.metrics.lpips import Lpips
from sttn.evaluation.metrics.vfid import VideoFeatures, frechet_distance
from sttn.evaluation.scoring import ScoringConfig
from sttn.training.perceptual import WIDTHS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files with the published names and shapes of VGG-16, LPIPS and I3D, random inside."""
    folder = tmp_path_factory.mktemp("networks")
    generator = torch.Generator().manual_seed(0)
    vgg, place, channels = {}, 0, 3
    for stage in WIDTHS:
        for width in stage:
            vgg[f"features.{place}.weight"] = (
                torch.randn(width, channels, 3, 3, generator=generator) / (9 * channels) ** 0.5
            )
            vgg[f"features.{place}.bias"] = torch.zeros(width)
            place, channels = place + 2, width
        place += 1
    torch.save(vgg, folder / "vgg16.pth")
    lin = {
        f"lin{stage}.model.1.weight": torch.ones(1, widths[-1], 1, 1)
        for stage, widths in enumerate(WIDTHS)
    }
    torch.save(lin, folder / "vgg.pth")
    return folder


@pytest.fixture(scope="module")
def i3d(files):
    """A file of I3D's tensors, and the logits that VFID does not look at."""
    torch.manual_seed(0)
    tensors = i3d_layers().state_dict()
    tensors["logits.conv3d.weight"] = torch.zeros(400, 1024, 1, 1, 1)
    torch.save(tensors, files / "rgb_imagenet.pt")
    return files / "rgb_imagenet.pt"


@pytest.mark.slow
def test_lpips_of_equals_is_nothing_and_sees_where(files):
    """A change outside the hole counts for the frame and hardly for the hole."""
    lpips = Lpips(files / "vgg16.pth", files / "vgg.pth")
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    changed = truth.copy()
    changed[:, :40] = 0
    near, far = np.zeros((2, 64, 96), np.bool_)
    near[:, :40], far[:, 80:] = True, True

    same, by_change = lpips(truth, truth, near), lpips(changed, truth, near)
    away = lpips(changed, truth, far)

    assert same == (0, 0)
    assert by_change.whole == pytest.approx(away.whole)
    assert by_change.hole > by_change.whole > away.hole


def test_lpips_refuses_what_does_not_fit(files):
    """The two files are easily swapped."""
    with pytest.raises(CheckpointError, match="no weights of LPIPS"):
        Lpips(files / "vgg16.pth", files / "vgg16.pth")


@pytest.mark.slow
def test_i3d_turns_clips_into_vectors(i3d):
    """Names and shapes are those of the published conversion; short clips are lengthened."""
    features = VideoFeatures(i3d)
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    masks = np.zeros((5, 48, 64), np.bool_)
    masks[:, 10:20, 10:20] = True

    whole, hole = features(clip), features(clip, masks)

    assert whole.shape == hole.shape == (1024,)
    assert not np.allclose(whole, hole)
    names = set(torch.load(i3d, weights_only=True))
    for known in (
        "Conv3d_1a_7x7.conv3d.weight",
        "Conv3d_2c_3x3.bn.running_mean",
        "Mixed_4f.b2b.conv3d.weight",
        "Mixed_5c.b3b.bn.bias",
    ):
        assert known in names


def test_i3d_refuses_what_does_not_fit(files):
    """A clear message instead of a figure of a random network."""
    with pytest.raises(CheckpointError, match="no RGB I3D"):
        I3d(files / "vgg.pth")


def test_frechet_distance_of_known_normals():
    """Between N(0, 1) and N(3, 4): 3^2 + (1 - 2)^2; from fewer vectors than dimensions too."""
    rng = np.random.default_rng(0)
    one = rng.normal(0, 1, (500, 1))
    one = ((one - one.mean()) / one.std(ddof=1)).astype(np.float32)
    few = rng.normal(0, 1, (4, 64)).astype(np.float32)

    assert frechet_distance(one, 3 + 2 * one) == pytest.approx(10, rel=1e-5)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-4)
    assert frechet_distance(few, few + 1) == pytest.approx(64, rel=1e-4)


def test_weights_that_are_missing_are_refused_before_anything_runs(tmp_path):
    """Not after an hour of completing."""
    with pytest.raises(ValueError, match="no weights for i3d at"):
        ScoringConfig(i3d=tmp_path / "nowhere.pt")
    with pytest.raises(ValueError, match="wants both vgg"):
        ScoringConfig(vgg=tmp_path / "vgg16.pth")


@pytest.mark.slow
def test_raft_runs_where_torchvision_does(tmp_path):
    """Its own names and sizes; frames of any size."""
    try:
        from torchvision.models.optical_flow import raft_large
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no torchvision that fits this torch: {error}")
    torch.manual_seed(0)
    torch.save(raft_large(weights=None).state_dict(), tmp_path / "raft.pth")
    frame = np.zeros((130, 150, 3), np.uint8)

    flow = RaftFlow(tmp_path / "raft.pth")(frame, frame)

    assert flow.shape == (130, 150, 2)
    assert np.isfinite(flow).all()


def test_raft_without_its_weights_is_refused(files):
    """Or without torchvision."""
    with pytest.raises(CheckpointError, match=r"no RAFT of torchvision|needs a torchvision"):
        RaftFlow(files / "vgg.pth")
