"""Nothing mixes devices: shown without a GPU, by tensors that say they lie on one."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map, tree_map_only

from sttn.inference import (
    PRESETS,
    MemoryBudget,
    WindowConfig,
    complete,
    completed_frames,
    holes,
)
from sttn.inference.engine import Engine
from sttn.model import Generator, ModelConfig
from sttn.model.attention import (
    SHORTEST_PIECE,
    SUMMED_AT_ONCE,
    _pieces,
    attend,
    from_patches,
    to_patches,
)
from sttn.propagation.fusion import read_once
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.processes import Processes
from sttn.training.recipes import Recipes, SampleConfig
from sttn.training.rendering import render
from sttn.training.state import TrainingState
from sttn.training.trainer import Step

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")

MOVING = ("aten::_to_copy", "aten::to", "aten::copy_")
"""Operations that take tensors from one device to the other."""

WAITING = "aten::_local_scalar_dense"
"""The operation that a CPU waits for."""

PLACING = ("aten::index", "aten::index_put_")
"""Operations on a GPU's tensor that take places from the CPU too."""


class OnGpu(torch.Tensor):
    """A tensor that says it lies on a GPU, and holds one that does not.

    For autograd it lies on "meta", the one other device that every build of PyTorch has.
    """

    device, is_cuda, is_meta = GPU, True, False

    @staticmethod
    def __new__(cls, held):
        like = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        like |= {"dtype": held.dtype, "device": "meta"}
        with torch.inference_mode(False):
            tensor = torch.Tensor._make_wrapper_subclass(cls, held.shape, **like)
        tensor.held = held
        return tensor

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return done(operation, args, kwargs or {})

    def tolist(self):
        return self.cpu().tolist()

    def __repr__(self, **_):
        return f"on cuda:0 {self.held!r}"


class Pretence(TorchDispatchMode):
    """Has every operation of a thread looked at, also those that only name a device."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return done(operation, args, kwargs or {})


class AnyGenerator(torch.Generator):
    """Random numbers for any device."""

    def __new__(cls, device=CPU):
        return super().__new__(cls)


class Given:
    """What an operation is given."""

    def __init__(self, args, kwargs):
        self.on_gpu, self.on_cpu, self.named = {}, {}, []
        self.held = tree_map(self._held, (args, kwargs))

    def _held(self, leaf):
        """The same for the CPU."""
        if isinstance(leaf, torch.device):
            self.named.append(leaf.type)
            return CPU
        held = getattr(leaf, "held", leaf)
        if isinstance(leaf, torch.Tensor):
            (self.on_gpu if isinstance(leaf, OnGpu) else self.on_cpu)[id(held)] = leaf
        return held

    @property
    def for_gpu(self):
        """Whether the result lies on the GPU."""
        return self.named[0] != "cpu" if self.named else bool(self.on_gpu)

    @property
    def is_moved(self):
        return bool(self.named) and self.for_gpu != bool(self.on_gpu)


def done(operation, args, kwargs):
    """An operation's result, where all that it is given lies on one device; else an error."""
    name, given = operation._schema.name, Given(args, kwargs)
    waits = name == WAITING or (name in MOVING and given.is_moved)
    if waits and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(f"{name} cannot be recorded")
    if given.on_gpu and name not in MOVING:
        placing = name in PLACING and isinstance(args[0], OnGpu)
        on_cpu = list(args[2:3]) if placing else list(given.on_cpu.values())
        for tensor in on_cpu:
            if tensor.ndim and not isinstance(tensor, OnGpu):  # a single number may lie anywhere
                raise RuntimeError(f"{name} of tensors on cuda:0 and, {tensor.shape}, on cpu")
    result = operation(*given.held[0], **given.held[1])
    if name in MOVING and given.is_moved:
        result = result.clone()  # devices share no memory
    known = given.on_cpu | given.on_gpu

    def placed(tensor):
        if id(tensor) in known:
            return known[id(tensor)]
        return OnGpu(tensor) if given.for_gpu else tensor

    return tree_map_only(torch.Tensor, placed, result)


@pytest.fixture(autouse=True)
def pretence(monkeypatch):
    made = torch.tensor
    monkeypatch.setattr(
        torch, "tensor", lambda data, device=CPU, **how: made(data, **how).to(device)
    )
    monkeypatch.setattr(torch, "Generator", AnyGenerator)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    there = SimpleNamespace(synchronize=lambda: None)
    stream = SimpleNamespace(device=GPU, record_event=lambda: there, wait_stream=lambda _: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
    looking = partial(ThreadPoolExecutor, initializer=lambda: Pretence().__enter__())
    monkeypatch.setattr(holes, "ThreadPoolExecutor", looking)
    with Pretence():
        yield
    read_once.cache_clear()


def picture(*size):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_mixing_is_noticed():
    """What these tests say is worth no more than that."""
    there, here = torch.ones(3, device=GPU), torch.ones(3)

    with pytest.raises(RuntimeError, match="aten::add of tensors on cuda:0 and"):
        there + here

    assert (there + here.to(GPU)).device == GPU
    assert (there + torch.tensor(1.0)).tolist() == [2, 2, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("propagate", "count"), [(True, 3), (False, 13)])
def test_clips_are_completed(propagate, count):
    """Real pixels, the network, texture; features in host memory."""
    network = Generator(ModelConfig(channels=16, blocks=2)).eval()
    frames, masks = picture(1, 48, 48).repeat(count, axis=0), np.zeros((count, 48, 48), np.bool_)
    masks[:, 14:30, 14:30] = True
    window = replace(PRESETS["balanced"], propagate=propagate, reference_stride=4)
    how = {"batch": 2, "budget": MemoryBudget(device_gigabytes=0)}

    on_cpu, on_gpu = (
        [frame for _, frame in completed_frames(frames, masks, network.to(place), window, **how)]
        for place in (CPU, GPU)
    )

    np.testing.assert_allclose(on_gpu, on_cpu, atol=1)


def test_a_window_is_computed_without_waiting_for_the_gpu(monkeypatch):
    """Frames are put together meanwhile; what waits for one number waits for the window before."""
    network = Generator(ModelConfig(channels=16, blocks=1)).to(GPU).eval()
    frames, masks = picture(1, 48, 48).repeat(14, axis=0), np.zeros((14, 48, 48), np.bool_)
    masks[:, 20:30, 20:30] = True
    window = replace(PRESETS["balanced"], propagate=False, part_at_cuts=False)
    run, running, waited = Engine.run, [], []

    def noticed(engine, plans):
        running.append(engine)
        run(engine, plans)
        running.pop()

    def moved(self, operation, types, args=(), kwargs=None):
        if running and operation._schema.name in MOVING and Given(args, kwargs or {}).is_moved:
            waited.extend([operation] if not (kwargs or {}).get("non_blocking") else [])
        return done(operation, args, kwargs or {})

    monkeypatch.setattr(Engine, "run", noticed)
    monkeypatch.setattr(Pretence, "__torch_dispatch__", moved)

    assert len(list(completed_frames(frames, masks, network, window))) == 14
    assert not waited


@pytest.mark.parametrize("channels", [2, 3, 4, 8])
@pytest.mark.parametrize("first", [1, 8])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("patch", [(6, 12), (2, 3)])
def test_patches_are_cut_as_a_cpu_cuts_them(channels, first, kind, patch):
    """A head of any width: its channels are copied as longer numbers, where they fill some."""
    here = torch.randn(2, 3, 6, 12, 16).to(kind)
    there = here.to(GPU)

    parts = [each.requires_grad_()[..., first : first + channels] for each in (here, there)]
    cut = [to_patches(part, *patch) for part in parts]
    pieced = [from_patches(patches, 3, (6, 12), patch) for patches in cut]
    for whole in pieced:
        whole.square().sum().backward()

    for one, other in (cut, pieced, (here.grad, there.grad)):
        torch.testing.assert_close(other.cpu(), one, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_few_large_patches_of_several_windows_are_multiplied_in_pieces(kind):
    """The head whose patch is the whole frame: as exact as its type, and shared out."""
    query, key, value = (torch.randn(2, 5, 20736).to(kind) for _ in range(3))
    there = [tensor.to(GPU) for tensor in (query, key, value)]

    found = attend(*there, None).cpu()

    expected = attend(*(tensor.double() for tensor in (query, key, value)), None)
    apart = {torch.float32: 1e-4, torch.float64: 1e-11, torch.bfloat16: 0.1}[kind]
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=apart)
    assert _pieces(*there[:2]) == 48


@pytest.mark.parametrize(
    ("windows", "patches", "length", "pieces"),
    [
        (1, 3, 414720, 1),
        (2, 129, 414720, 1),
        (2, 3, 511, 1),
        (2, 3, 414720, 135),
        (24, 3, 414720, 15),
    ],
)
def test_dot_products_are_cut_into_long_pieces(windows, patches, length, pieces):
    """Enough for a GPU's cores, and in float32 none longer than is summed in one go."""
    query = torch.empty(windows, patches, length, device=GPU)

    assert _pieces(query, query) == pieces
    assert length % pieces == 0
    assert pieces == 1 or SHORTEST_PIECE <= length // pieces <= SUMMED_AT_ONCE


def test_other_devices_are_waited_for(monkeypatch):
    """Whoever calls from Python may have one that PyTorch knows and this project does not."""
    monkeypatch.setattr(OnGpu, "device", torch.device("xpu", 0))
    monkeypatch.setattr(OnGpu, "is_cuda", False)
    monkeypatch.setattr(torch.xpu, "_lazy_init", lambda: None)
    network = Generator(ModelConfig(channels=16, blocks=1)).eval()
    frames, masks = picture(7, 48, 48), np.zeros((7, 48, 48), np.bool_)
    masks[:, 20:30, 20:30] = True
    window = WindowConfig(propagate=False, part_at_cuts=False)

    there, here = (
        complete(frames, masks, network.to(place), window) for place in (OnGpu.device, CPU)
    )

    np.testing.assert_allclose(there, here, atol=1)


@pytest.mark.slow
def test_steps_are_made_and_can_be_recorded(monkeypatch, vgg):
    """Both networks learn, of clips of every kind, by every loss; and nothing of a step but the
    first, which prepares, waits for the GPU, or a run would end when its steps are recorded.
    """
    sample = SampleConfig(width=48, height=48, frames=2, traces_share=1, panorama_share=0.4)
    size = {"model": ModelConfig(channels=16, blocks=1), "sample": sample}
    compared = {"vgg": vgg, "perceptual_weight": 0.1, "style_weight": 1.0}
    config = TrainingConfig(**size, **compared, batch=4, steps=1, decay_steps=0, warmup_steps=1)
    stills = {"photographs": [picture(64, 96)], "panoramas": [picture(32, 64).astype(np.float16)]}
    material = Corpus(movies=[picture(9, 64, 96)], **stills)
    drawn = [Recipes(material, sample, seed=0, count=12)[index] for index in range(12)]
    kinds = {type(recipe.background): recipe for recipe in drawn}
    assert len(kinds) == 4
    clips = render(list(kinds.values()), material, GPU)

    step = Step(config, TrainingState(config, GPU), GPU, Processes(device=GPU))

    figures = step([clips])

    assert np.isfinite(list(figures.values())).all()
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    step._made([clips])
