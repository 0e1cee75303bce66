"""Nuke runs this at its start, with and without a UI: makes ``host_examples`` importable."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if ROOT not in sys.path:
    # Last: the names in it are common words, and whatever a studio has goes first.
    sys.path.append(ROOT)
