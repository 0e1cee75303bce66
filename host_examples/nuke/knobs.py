"""Params as knobs, made from ``params.json``: the node's own description, written by params.py.

Nuke 13 and 14 cannot import the node, whose Python is newer than theirs, but they can read a file.
"""

from __future__ import annotations

import json
import os
from typing import Any, cast

import nuke

PARAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "params.json")
TAB = "sttn"
HIDDEN = frozenset({"matte_channel", "on_missing"})
"""What the export settles: a channel of the Matte input is picked, and no frame is missing."""
COMMAND_HINT = (
    "How to start the side process, which does the work where server is empty and in a Nuke that "
    "cannot run the node itself: sttn-inpaint with its whole path, where it is not on PATH."
)
OWN_WORDS = {"server": "A side process starts one for the job."}
"""What is so in Nuke, after the node's own words."""


def shown_params() -> list[dict[str, Any]]:
    """What an artist sets here: name, label, kind, default, hint, minimum, maximum, choices."""
    with open(PARAMS, encoding="utf-8") as file:
        specs: list[dict[str, Any]] = json.load(file)
    return [spec for spec in specs if spec["name"] not in HIDDEN]


def set_params(node: nuke.Node) -> dict[str, Any]:
    """What the artist set, by the param's name; a node older than a param has its default."""
    kinds = {"bool": bool, "int": int, "float": float, "string": str, "choice": str}
    knobs = ((spec, node.knob(spec["name"])) for spec in shown_params())
    return {
        spec["name"]: kinds[spec["kind"]](spec["default"] if knob is None else knob.value())
        for spec, knob in knobs
    }


def set_path(node: nuke.Node, name: str) -> str:
    """What a File knob says, its TCL evaluated; ``####`` stays a pattern, as ``%04d``."""
    return str(cast("nuke.File_Knob", node[name]).getEvaluatedValue() or "")


def is_inpaint(node: nuke.Node) -> bool:
    """Whether a node is one of ours; studios have Groups with knobs of the same names."""
    return node.knob(TAB) is not None


def add_knobs(node: nuke.Node) -> None:
    """State and buttons first, then every param."""
    node.addKnob(nuke.Tab_Knob(TAB, "STTN Inpaint"))
    for name, label, hint in (
        ("state", "state", "What the node is at; it stays when the script is saved."),
        ("message", "message", "What happened last, and what to do about it."),
    ):
        knob = nuke.String_Knob(name, label)
        knob.setTooltip(hint)
        knob.setEnabled(False)
        node.addKnob(knob)
    node["state"].setValue("IDLE")
    for name, label, call in (("process", "Process", "process"), ("cancel", "Cancel", "cancel")):
        script = f"from host_examples.nuke import process; process.{call}(nuke.thisNode())"
        node.addKnob(nuke.PyScript_Knob(name, label, script))
    channel = nuke.Channel_Knob("channel", "matte channel")
    channel.setTooltip("Channel of the Matte input, or of Source where nothing is connected to it.")
    channel.setValue("rgba.alpha")
    node.addKnob(channel)
    for spec in shown_params():
        node.addKnob(_knob(spec))
    node.addKnob(nuke.Tab_Knob("files", "Files"))
    painted = nuke.File_Knob("clean_frames", "clean frames")
    painted.setTooltip(
        "Frames that you painted, as name.####.exr: copied from, and shown under the matte as they "
        "are. Working-space values (raw), the format's size."
    )
    node.addKnob(painted)
    folder = nuke.File_Knob("folder", "folder")
    folder.setTooltip(
        "Where exported frames and results go; empty takes sttn in Nuke's temporary folder "
        "(NUKE_TEMP_DIR), which other machines do not see."
    )
    node.addKnob(folder)
    overscan = nuke.Int_Knob("overscan", "overscan")
    overscan.setTooltip("Pixels beyond the format that are sent and kept, on every side.")
    node.addKnob(overscan)
    command = nuke.File_Knob("command", "sttn-inpaint")
    command.setTooltip(COMMAND_HINT)
    command.setValue("sttn-inpaint")
    node.addKnob(command)


def _knob(spec: dict[str, Any]) -> nuke.Knob:
    name, label, kind = spec["name"], spec["label"].lower(), spec["kind"]
    knob: nuke.Knob
    if kind == "choice":
        knob = nuke.Enumeration_Knob(name, label, list(spec["choices"]))
    elif kind == "string":
        knob = nuke.String_Knob(name, label)
    elif kind == "bool":
        knob = nuke.Boolean_Knob(name, label)
    elif kind == "int":
        knob = nuke.Int_Knob(name, label)
    else:
        slider = nuke.Double_Knob(name, label)
        slider.setRange(spec["minimum"], spec["maximum"])
        knob = slider
    knob.setFlag(nuke.STARTLINE)
    knob.setTooltip(" ".join([spec["hint"], *filter(None, [OWN_WORDS.get(name)])]))
    knob.setValue(spec["default"])
    return knob
