"""The shot we rendered ourselves, with the truth behind the object, and the main job on it."""
