"""Measuring completed clips against the truth."""
