r"""The Group: what is inside it, and how finished frames come to show.

::

    Source --+-----------------------------> 0
             |                                Show --> Output
             +----------------> Finished --> 1
             |     Result ----/
             +--> Colors --+--> PlateCopy --> PlateWindow --> PlateExport
    Matte  ----------------|--/ (the matte's channel, as a layer of the plate)
    HoldOut ---------------+--> HoldOutCopy --> HoldOutWindow --> HoldOutExport

``Colors`` keeps the plate's rgba, so that no other layer is exported. Matte and HoldOut are copied
into it, so that they are exported in the plate's format, whatever theirs. ``Show`` is switched by
the frame number, to 1 where frames are finished. ``Finished`` takes red, green, blue and alpha from
the Read ``Result`` and every other channel from Source.
"""

from __future__ import annotations

import nuke

from host_examples.nuke.knobs import add_knobs

LABEL = "STTN_Inpaint"
MATTE_LAYER = "sttn"
MATTE_CHANNEL = "sttn.matte"


def create() -> nuke.Group:
    """A new Group, with the one selected node as Source; beside what is selected if several are."""
    selected = nuke.selectedNodes()
    nuke.Layer(MATTE_LAYER, [MATTE_CHANNEL])
    group = nuke.createNode("Group", inpanel=False)
    assert isinstance(group, nuke.Group)
    group.setName(LABEL, uncollide=True)
    add_knobs(group)
    group["label"].setValue("[value state]")
    group["knobChanged"].setValue(
        "from host_examples.nuke import process; process.knob_changed(nuke.thisNode(), "
        "nuke.thisKnob())"
    )
    with group:
        source = nuke.nodes.Input(name="Source")
        matte = nuke.nodes.Input(name="Matte")
        held_out = nuke.nodes.Input(name="HoldOut")
        colors = nuke.nodes.Remove(
            name="Colors", inputs=[source], operation="keep", channels="rgba"
        )
        _export_branch("Plate", colors, matte, MATTE_CHANNEL)
        _export_branch("HoldOut", colors, held_out, "rgba.alpha")
        finished = nuke.nodes.Copy(name="Finished", inputs=[source, source])
        finished["channels"].setValue("rgba")
        show = nuke.nodes.Switch(name="Show", inputs=[source, finished])
        nuke.nodes.Output(name="Output", inputs=[show])
    if len(selected) == 1:
        group.setInput(0, selected[0])
    return group


def _export_branch(name: str, image: nuke.Node, matte: nuke.Node, channel: str) -> None:
    # An image with the picked channel of a matte in it, cropped to one window, to a Write.
    merged = nuke.nodes.Copy(name=f"{name}Copy", inputs=[image, matte])
    merged["to0"].setValue(channel)
    window = nuke.nodes.Crop(name=f"{name}Window", inputs=[merged], reformat=False)
    write = nuke.nodes.Write(name=f"{name}Export", inputs=[window])
    # Off, so that nobody renders it by rendering everything; the type comes first, since the
    # knobs after it belong to the type.
    for knob, value in (
        ("file_type", "exr"),
        ("datatype", "32 bit float"),
        ("compression", "Zip (16 scanlines)"),
        ("channels", "all"),
        ("raw", True),
        ("autocrop", False),
        ("create_directories", True),
        ("disable", True),
    ):
        write[knob].setValue(value)


def inside(group: nuke.Group, name: str) -> nuke.Node:
    """A node of the group.

    Raises:
        ValueError: the group was edited.
    """
    node = group.node(name)
    if node is None:
        raise ValueError(f"{group.name()} has no {name} inside; make a new node")
    return node


def prepare_export(group: nuke.Group, name: str, pattern: str) -> nuke.Node:
    """A Write, set to the group's knobs; main thread only.

    Args:
        group: Made by :func:`create`.
        name: ``Plate``, with the matte, or ``HoldOut``.
        pattern: Where its files go, with ``####``.
    """
    merged, window = inside(group, f"{name}Copy"), inside(group, f"{name}Window")
    merged["from0"].setValue(group["channel"].value())
    if name == "Plate":
        has_matte = group.input(1) is not None
        merged.setInput(1, inside(group, "Matte" if has_matte else "Source"))
    source, beyond = inside(group, "Source").format(), int(group["overscan"].value())
    box = (-beyond, -beyond, source.width() + beyond, source.height() + beyond)
    for index, value in enumerate(box):
        window["box"].setValue(value, index)
    write = inside(group, f"{name}Export")
    write["file"].setValue(pattern)
    return write


def show_results(group: nuke.Group, pattern: str, finished: list[int]) -> None:
    """Show finished frames, the plate everywhere else; main thread only.

    Args:
        group: Made by :func:`create`.
        pattern: Files of the results, with ``####``.
        finished: Frames that are written, in rising order without gaps.

    Raises:
        ValueError: the group was edited.
    """
    first, last = finished[0], finished[-1]
    over, show = inside(group, "Finished"), inside(group, "Show")
    with group:
        read = group.node("Result")
        if read is None:
            read = nuke.nodes.Read(name="Result")
            # A result that was deleted stops a render with its name: nothing turns black.
            read["on_error"].setValue("error")
            over.setInput(1, read)
        read["file"].setValue(pattern)
        read["raw"].setValue(True)
        for knob, frame in _range(first, last):
            read[knob].setValue(frame)
    show["which"].setExpression(f"frame>={first} && frame<={last}")


def _range(first: int, last: int) -> tuple[tuple[str, int], ...]:
    return (("first", first), ("last", last), ("origfirst", first), ("origlast", last))
