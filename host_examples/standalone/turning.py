"""How pictures that are stored lying or upside down are shown: movies and photographs say it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray


class Turn(NamedTuple):
    """What players do with stored rows and columns: swap them, then reverse some."""

    is_transposed: bool = False
    reverses_rows: bool = False
    reverses_columns: bool = False

    def shown(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(H, W, ...) as players show it, of stored pixels; a view."""
        return self._reversed(pixels.swapaxes(0, 1) if self.is_transposed else pixels)

    def stored(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(H, W, ...) as it is stored, of pixels as players show them; a view."""
        straight = self._reversed(pixels)
        return straight.swapaxes(0, 1) if self.is_transposed else straight

    def _reversed(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return pixels[:: -1 if self.reverses_rows else 1, :: -1 if self.reverses_columns else 1]


UPRIGHT = Turn()


def turn_of_matrix(matrix: Sequence[int]) -> Turn:
    """What the display matrix of a movie says.

    Args:
        matrix: Nine numbers, row by row, as ISO/IEC 14496-12, 6.2.2, has them: (x, y) is shown at
            (a x + c y, b x + d y), of a, b and a third, c, d and a third. One that does not turn by
            right angles turns nothing.
    """
    a, b, _, c, d, *_ = matrix
    if a and d and not b and not c:
        return Turn(False, d < 0, a < 0)
    if b and c and not a and not d:
        return Turn(True, b < 0, c < 0)
    return UPRIGHT


def turn_of_orientation(orientation: int) -> Turn:
    """What the tag Orientation of a photograph says, 1 to 8 (TIFF 6.0, page 36; Exif)."""
    return {
        2: Turn(False, False, True),
        3: Turn(False, True, True),
        4: Turn(False, True, False),
        5: Turn(True, False, False),
        6: Turn(True, False, True),
        7: Turn(True, True, True),
        8: Turn(True, True, False),
    }.get(orientation, UPRIGHT)
