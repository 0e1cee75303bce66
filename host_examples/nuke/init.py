"""Nuke runs this at its start, with and without a UI: makes ``host_examples`` importable."""

from __future__ import annotations

import os
import sys

import nuke

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if ROOT not in sys.path:
    # Last: the names in it are common words, and whatever a studio has goes first.
    sys.path.append(ROOT)


def _group_made() -> None:
    from host_examples.nuke import process

    process.made(nuke.thisNode())


nuke.addOnCreate(_group_made, nodeClass="Group")
