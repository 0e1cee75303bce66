"""An artist looks a param up on the page of their host."""

import re
from pathlib import Path

import pytest

from node.effect import describe_in_context

FOLDER = Path(__file__).parents[2] / "host_examples"
SETTLED = {
    "blender": {"matte_channel", "color_space", "ocio_config", "on_missing"},
    "nuke": {"on_missing"},
}
OWN_WORDS = {("nuke", "matte_channel")}
"""A channel is picked there, not typed."""


@pytest.mark.parametrize("host", SETTLED)
def test_every_param_is_on_the_page_in_the_nodes_own_words(host):
    """A hint that changes has to change there too."""
    page = (FOLDER / host / "README.md").read_text().lower()

    for spec in describe_in_context().params:
        row = re.search(rf"^\| {spec.label.lower()} \| .* \| (.*) \|$", page, re.MULTILINE)
        assert (row is None) == (spec.name in SETTLED[host]), spec.name
        if row is not None and (host, spec.name) not in OWN_WORDS:
            # What is so in this host only comes after it.
            assert row[1].startswith(spec.hint.lower())


@pytest.mark.parametrize("folder", [*SETTLED, "training_shots"])
def test_what_the_page_shows_and_links_is_there(folder):
    """No broken picture."""
    page = (FOLDER / folder / "README.md").read_text()

    linked = [each for each in re.findall(r"\]\(([^)]+)\)", page) if "://" not in each]
    assert any(each.endswith((".png", ".svg", ".jpg")) for each in linked)
    for each in linked:
        assert (FOLDER / folder / each).is_file(), each
