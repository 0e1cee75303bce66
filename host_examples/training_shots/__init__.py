"""Renders shots to train on with Blender: a moving camera, real parallax, things that walk past."""
