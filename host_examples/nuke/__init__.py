"""Nuke's side: a menu entry and a Group around the node.

Everything that Nuke itself imports keeps to Python 3.7, which Nuke 13 has; what needs more is
imported where it is used, and only by a Nuke that can.
"""
