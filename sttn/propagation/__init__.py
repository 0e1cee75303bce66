"""Real pixels first: what a hole hides is fetched from frames in which it shows."""

from sttn.propagation.fusion import FUSION_WEIGHTS, Fusion, load_fusion
from sttn.propagation.stage import Fill, Propagation

__all__ = ["FUSION_WEIGHTS", "Fill", "Fusion", "Propagation", "load_fusion"]
