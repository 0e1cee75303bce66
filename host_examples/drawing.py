"""Node trees as SVG, for the hosts' pages: drawn from the trees themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN = 150, 44, 20


@dataclass(frozen=True, kw_only=True)
class Box:
    """One node."""

    label: str
    kind: str
    x: float
    """Left edge."""
    y: float
    """Upper edge, downwards."""
    inputs: Sequence[str]
    """Names of the nodes that flow into it."""


def draw(boxes: Mapping[str, Box], caption: str) -> str:
    """An SVG of the tree.

    Args:
        boxes: Nodes by name.
        caption: One line below it.
    """
    left = min(box.x for box in boxes.values()) - MARGIN
    top = min(box.y for box in boxes.values()) - MARGIN
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN - left
    height = max(box.y for box in boxes.values()) + HEIGHT + 2 * MARGIN - top
    lines = [
        _link(boxes[source], box)
        for box in boxes.values()
        for source in dict.fromkeys(box.inputs)
        if source in boxes
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="{left:g} {top:g} {width:g} {height:g}" font-family="sans-serif" '
            'font-size="12">',
            f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="#222"/>',
            *lines,
            *(_node(box) for box in boxes.values()),
            f'<text x="{left + MARGIN:g}" y="{top + height - 10:g}" fill="#aaa">'
            f"{escape(caption)}</text>",
            "</svg>\n",
        ]
    )


def _node(box: Box) -> str:
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{WIDTH}" height="{HEIGHT}" rx="5" '
        'fill="#3b3f45" stroke="#777"/>'
        f'<text x="{box.x + 8:g}" y="{box.y + 18:g}" fill="#eee">{escape(box.label)}</text>'
        f'<text x="{box.x + 8:g}" y="{box.y + 35:g}" fill="#9ab" font-size="10">'
        f"{escape(box.kind)}</text>"
    )


def _link(source: Box, target: Box) -> str:
    if target.x > source.x:
        start = (source.x + WIDTH, source.y + HEIGHT / 2)
        end = (target.x, target.y + HEIGHT / 2)
        bend = (start[0] + 25, start[1], end[0] - 25, end[1])
    else:
        start = (source.x + WIDTH / 2, source.y + HEIGHT)
        end = (target.x + WIDTH / 2, target.y)
        bend = (start[0], start[1] + 20, end[0], end[1] - 20)
    points = " ".join(f"{each:g}" for each in (*bend, *end))
    return (
        f'<path d="M {start[0]:g} {start[1]:g} C {points}" fill="none" stroke="#c9a24a" '
        'stroke-width="1.5"/>'
    )
