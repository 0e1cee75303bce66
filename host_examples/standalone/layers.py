"""Which channels of a file are the plate, or a matte."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from host_examples.standalone.image_files import Part, Picture
from node.errors import ClipError


@dataclass(frozen=True)
class Layer:
    """Colors among a file's channels."""

    name: str
    """What stands before their names, or the name of their part; empty for plain R, G and B."""
    part: int
    colors: list[int]
    """Positions of R, G and B; one position thrice where a file is gray."""
    alpha: int | None
    """Position of their alpha, else of the part's own."""


def plate_layer(picture: Picture, wanted: str = "", *, optional: bool = False) -> Layer:
    """The layer that is the plate.

    Args:
        picture: A file.
        wanted: ``beauty`` for beauty.R or beauty.red, or for R in the part beauty. Empty takes the
            first part's R, G and B, else the only layer, else the first channels that there are.
        optional: Whether a file without such a layer is taken as if none were wanted.

    Raises:
        ClipError: none of that name, several to choose from, or two colors without the third.
    """
    by_prefix = list(_layers(picture))
    names = ", ".join(layer.name for _, layer in by_prefix if layer.name) or "no layers with names"
    if wanted:
        for _, layer in by_prefix:
            if layer.name == wanted:
                return layer
    plain = [layer for prefix, layer in by_prefix if not prefix]
    several = not plain and len(by_prefix) > 1
    if wanted and (several or not optional):
        raise ClipError(f"{picture.path} has no layer {wanted}; it has {names}")
    if several:
        raise ClipError(f"{picture.path} has {names}; name one with --layer, or write one")
    if by_prefix:
        return plain[0] if plain else by_prefix[0][1]
    first = picture.parts[0]
    _require_no_pair(picture, first.names)
    colors = [0, 1, 2] if len(first.names) >= 3 else [0, 0, 0]
    return Layer("", 0, colors, _position(first.names, "", _ALPHA))


def matte_channel(picture: Picture, wanted: str = "", layer: str = "") -> tuple[Part, int]:
    """Part and position of the channel that is a matte.

    Args:
        picture: A file.
        wanted: As :meth:`Picture.find` takes it. Empty takes the alpha of what would be the plate,
            else its first color.
        layer: The plate's, which counts where the file has it.

    Raises:
        ClipError: none of that name, or several to choose from.
    """
    if wanted:
        return picture.find(wanted)
    found = plate_layer(picture, layer, optional=True)
    return picture.parts[found.part], found.colors[0] if found.alpha is None else found.alpha


_COLORS = (("R", "r", "red"), ("G", "g", "green"), ("B", "b", "blue"))
_ALPHA = ("A", "a", "alpha")


def _layers(picture: Picture) -> Iterator[tuple[str, Layer]]:
    # With what stands before their channels' names.
    for index, part in enumerate(picture.parts):
        for prefix in sorted({name.rpartition(".")[0] for name in part.names}):
            colors = [_position(part.names, prefix, ways) for ways in _COLORS]
            known = [position for position in colors if position is not None]
            if len(known) == 3:
                alpha = _position(part.names, prefix, _ALPHA)
                if alpha is None:
                    alpha = _position(part.names, "", _ALPHA)
                yield prefix, Layer(prefix or _name_of(part), index, known, alpha)


def _require_no_pair(picture: Picture, names: Sequence[str]) -> None:
    # As gray it would be filled in one color, and keep the object in the other.
    prefix = names[0].rpartition(".")[0]
    known = {ways[0]: _position(names, prefix, ways) for ways in _COLORS}
    missing = [color for color, position in known.items() if position is None]
    if len(missing) == 1:
        raise ClipError(
            f"{picture.path} has no {missing[0]} beside {', '.join(names)}; write R, G and B, or "
            "one of them alone"
        )


def _position(names: Sequence[str], prefix: str, ways: Sequence[str]) -> int | None:
    full = [f"{prefix}.{way}" if prefix else way for way in ways]
    return next((names.index(name) for name in full if name in names), None)


def _name_of(part: Part) -> str:
    return str(part.spec.getattribute("name") or "")
