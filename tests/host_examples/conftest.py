"""Blenders to test in: real ones, each in an environment of its own.

``make test`` builds the environments; STTN_BPY names others (paths of their Pythons, separated by
colons). Without any the tests skip.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pythons() -> list[Path]:
    given = os.environ.get("STTN_BPY")
    found = (
        [Path(path) for path in given.split(":")]
        if given
        else sorted(ROOT.glob(".venv-bpy*/bin/python"))
    )
    return [path for path in found if path.exists()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "bpy_python" in metafunc.fixturenames:
        found = pythons()
        none = pytest.param(
            None,
            marks=pytest.mark.skip(
                "no Blender: 'make test' makes .venv-bpy, or name Pythons with bpy in STTN_BPY"
            ),
        )
        metafunc.parametrize(
            "bpy_python",
            found or [none],
            ids=lambda path: path.parents[1].name if path else "none",
            scope="session",
        )
