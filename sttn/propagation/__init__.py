"""Real pixels first: what a hole hides is fetched from frames in which it shows."""

from sttn.propagation.fills import ORIGINS, Anchor, Fill
from sttn.propagation.fusion import Fusion, load_fusion
from sttn.propagation.shelf import Shelf
from sttn.propagation.stage import Propagation

__all__ = ["ORIGINS", "Anchor", "Fill", "Fusion", "Propagation", "Shelf", "load_fusion"]
