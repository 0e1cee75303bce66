"""What a host hands to the node: frames by number, and the part of them that is worked on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""(H, W, 3) RGB as the host stores it: uint8, uint16, float16 or float32, top row first."""

Matte = NDArray[np.float32]
"""(H, W), 1 = replace, 0 = keep."""


class Clip(Protocol):
    """Frames that can be fetched by their number on the host's timeline, in any order."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist, in rising order."""

    def read(self, frame: int) -> NDArray[Any]:
        """Pixels (H, W, 3) of a plate, or (H, W) float32 of a matte.

        Raises:
            ClipError: the frame cannot be read.
        """


@dataclass(frozen=True, kw_only=True)
class Region:
    """A box of pixels: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The part (height, width, ...) of an image, as a view."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def united(self, other: "Region") -> "Region":
        """The smallest box around both."""
        return Region(
            left=min(self.left, other.left),
            top=min(self.top, other.top),
            right=max(self.right, other.right),
            bottom=max(self.bottom, other.bottom),
        )


def covered_region(matte: Matte) -> Region | None:
    """The smallest box around every pixel above 0; None where there is none."""
    rows, columns = (np.flatnonzero((matte > 0).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return Region(
        left=int(columns[0]),
        top=int(rows[0]),
        right=int(columns[-1]) + 1,
        bottom=int(rows[-1]) + 1,
    )
