"""What an artist may set, in no host's own words."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Params:
    """Settings of one node."""

    color_space: str | None = None
    """The plate's color space, by its name in the OCIO config; None chooses by pixel type."""
    matte_grow: int = 3
    """Pixels of the model raster by which the hole is larger than the matte, so that no trace of
    the object is left at its edge; the composite still follows the matte."""
    model_pixels: int = 432 * 240
    """Pixels per frame that the network works on; more is sharper, slower and larger."""
    surroundings: float = 0.5
    """How far the network looks beyond the matte, as a share of the matted area's longer side."""

    def __post_init__(self) -> None:
        if self.matte_grow < 0:
            raise ValueError(f"matte_grow must be at least 0, got {self.matte_grow}")
        if self.model_pixels < 48 * 48:
            raise ValueError(f"model_pixels must be at least 2304, got {self.model_pixels}")
        if self.surroundings < 0:
            raise ValueError(f"surroundings must be at least 0, got {self.surroundings}")
