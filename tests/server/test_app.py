"""What an operator's flags come to."""

import grpc
import numpy as np
import pytest

from server.app import load_engine
from server.config import ServerConfig
from server.errors import status_code
from sttn.errors import OutOfMemoryError


def test_presets_and_devices_are_told_and_used(tmp_path):
    """The line a server prints is what it computes with."""
    engine, about = load_engine(ServerConfig(preset="fast", device="cpu", precision="float32"))

    for told in ("sttn_small.safetensors", "device cpu", "precision float32", "preset fast"):
        assert told in about
    frames = np.zeros((2, 48, 48, 3), np.float32)
    masks = np.ones((2, 48, 48), np.bool_)
    done = list(engine(frames, masks, cancelled=lambda: False))
    assert [index for index, _ in done] == [0, 1]


def test_running_out_of_memory_is_told_apart_from_bugs():
    """A client may come back with a smaller raster."""
    assert status_code(OutOfMemoryError("too large")) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_preset_that_does_not_exist_is_refused():
    """A typo in a unit file is caught at the start."""
    with pytest.raises(ValueError, match="preset must be one of thorough, balanced, fast"):
        ServerConfig(preset="quick")  # type: ignore[arg-type]
