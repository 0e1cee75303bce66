"""Figures that compare a completed clip with the truth, or with itself over time."""
