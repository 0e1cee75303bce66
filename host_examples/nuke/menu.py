"""Nuke runs this when its UI starts: the entry in the Nodes menu."""

import nuke

nuke.menu("Nodes").addMenu("STTN").addCommand(
    "STTN Inpaint", "from host_examples.nuke import group; group.create().showControlPanel()"
)
