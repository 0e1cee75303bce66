"""EXR frames on disk between a host and the node: what Blender and Nuke have in common."""
