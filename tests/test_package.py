"""What a facility installs holds everything that is needed to work."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_stubs_weights_and_credits(tmp_path):
    """Stubs are generated at build time; the model card travels with the weights."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), ROOT],
        check=True,
    )

    (wheel,) = tmp_path.glob("sttn_inpaint-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "server/protocol/inpaint_pb2.py",
        "server/protocol/inpaint_pb2.pyi",
        "server/protocol/inpaint_pb2_grpc.py",
        "server/protocol/inpaint.proto",
        "sttn/weights/sttn_medium.safetensors",
        "sttn/weights/MODEL_CARD.md",
        "node/effect.py",
        "sttn/evaluation/report/page.html",
        "sttn/evaluation/ranking/ranking.html",
        "host_examples/standalone/__main__.py",
    ):
        assert wanted in names
    assert not any(name.startswith("tests/") for name in names)
