"""Weights that this package ships; the model card beside them tells how they were made."""

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "weights"

DEFAULT_WEIGHTS = _FOLDER / "sttn_medium.safetensors"
"""The generator's."""

FUSION_WEIGHTS = _FOLDER / "fusion.safetensors"
"""Those of the network that decides which real pixels to believe."""
