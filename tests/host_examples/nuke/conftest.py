"""A Nuke session that is not Nuke, and our package imported into it."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_nuke.py")


@pytest.fixture(scope="session")
def fake_nuke():
    """The stand-in's module."""
    spec = importlib.util.spec_from_file_location("fake_nuke", FAKE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def nuke(fake_nuke, monkeypatch, tmp_path):
    """A session, of which this test is the main thread."""
    session = fake_nuke.FakeNuke()
    monkeypatch.setitem(sys.modules, "nuke", session)
    monkeypatch.setenv("NUKE_TEMP_DIR", str(tmp_path))
    _forget()
    yield session
    _forget()


def _forget():
    for name in [each for each in sys.modules if each.startswith("host_examples.nuke")]:
        del sys.modules[name]


@pytest.fixture
def process(nuke):
    """What the buttons call."""
    return importlib.import_module("host_examples.nuke.process")


@pytest.fixture
def group(nuke):
    """Our node, with a plate and a matte connected."""
    made = importlib.import_module("host_examples.nuke.group").create()
    made.setInput(0, nuke.nodes.Read(name="Plate"))
    made.setInput(1, nuke.nodes.Read(name="Garbage"))
    return made
