"""Texture for what no frame shows."""

from sttn.texture.synthesis import Synthesis, synthesized

__all__ = ["Synthesis", "synthesized"]
