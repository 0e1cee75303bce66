"""Real pixels first: what a hole hides is fetched from frames in which it shows."""

from sttn.propagation.fusion import Fusion, load_fusion
from sttn.propagation.stage import Fill, Propagation

__all__ = ["Fill", "Fusion", "Propagation", "load_fusion"]
