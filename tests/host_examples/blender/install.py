"""Runs inside Blender: ``python install.py EXTENSION.zip`` installs it as an artist would."""

import sys

import bpy

bpy.ops.extensions.package_install_files(
    filepath=sys.argv[1], repo="user_default", enable_on_install=True
)
assert hasattr(bpy.types, "STTN_PT_inpaint")
