"""What an artist may set, in no host's own words; hosts build their controls from it."""

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from server.protocol.channel import require_address
from server.protocol.codec import MAX_RADIUS, MAX_STRIDE

OutputMode = Literal["clean plate", "fill only", "matte used", "made up"]
Kind = Literal["bool", "int", "float", "string", "choice"]


MOST_FRAMES = 1_000_000
"""Half a day; a longer range is a slip of the pen, and would be looked for frame by frame."""


class Range(NamedTuple):
    """Smallest and largest value of a number, both allowed."""

    minimum: float
    maximum: float


class Late(NamedTuple):
    """Marks a param that an analysis does not depend on: what was completed stays good."""


@dataclass(frozen=True, kw_only=True)
class Params:
    """Settings of one node."""

    server: Annotated[str, Late()] = ""
    """Address of a running sttn-server, HOST:PORT or unix:/PATH; empty leaves it to the host."""
    frames: str = ""
    """First and last frame, 1001-1048; empty takes the plate's first to its last, on twos where its
    numbers are."""
    handles: Annotated[int, Range(0, 1000)] = 10
    """Frames before and after the range that the network may copy from; they are not written."""
    matte_channel: str = ""
    """Channel that holds the matte, such as A or matte.A; empty takes alpha, else the first."""
    matte_invert: bool = False
    """Replace where the matte is 0 instead of where it is 1."""
    matte_grow: Annotated[int, Range(-200, 200)] = 0
    """Pixels of the plate by which the matte grows, or shrinks if negative."""
    matte_feather: Annotated[int, Range(0, 200)] = 0
    """Pixels of the plate over which the matte's edge fades out, outside the matte."""
    hole_grow: Annotated[int, Range(0, 48)] = 3
    """Pixels of the model raster by which the network's hole is larger than the matte, so that no
    trace of the object is copied; the composite still follows the matte."""
    model_pixels: Annotated[int, Range(48 * 48, 4096 * 2160)] = 432 * 240
    """Pixels per frame and region that are worked on: with more, what other frames show gets
    sharper, and all slower. The network fills the rest at about the raster it was trained at,
    432x240."""
    surroundings: Annotated[float, Range(0, 4)] = 0.5
    """How far the network looks beyond the matte, as a share of the matte's longer side."""
    model: str = ""
    """Weights that the server holds, by name; empty takes its default."""
    neighbor_radius: Annotated[int, Range(0, MAX_RADIUS)] = 0
    """Frames before and after the one being filled that the network looks at closely; 0 leaves it
    to the server's preset."""
    reference_stride: Annotated[int, Range(0, MAX_STRIDE)] = 0
    """Frames between those of the whole shot that it copies from; 0 leaves it to the preset."""
    propagate: bool = True
    """Take what the matte hides from frames that show it, and let the network fill the rest only;
    off leaves everything to the network."""
    texture: bool = True
    """Give what no frame shows texture of its surroundings; off leaves it soft, as the network
    paints it."""
    part_at_cuts: bool = True
    """Complete what lies between two cuts on its own, so that nothing is copied from another
    picture; off where a shot was taken for two, as after a wild pan."""
    detail: Annotated[float, Range(0, 1), Late()] = 1.0
    """Share of the plate's fine detail, too fine for the model raster, that a fill larger than
    the raster gets from the frames it was taken from."""
    crop_to_matte: bool = True
    """Show the network the mattes' surroundings only; off shows it whole frames, shrunk."""
    color_space: str = ""
    """The plate's color space by its name in the OCIO config; empty takes scene-linear Rec.709 for
    float plates and sRGB for integer ones, whatever the config."""
    ocio_config: str = ""
    """OCIO config that names the color space: a file or ocio://NAME; empty takes $OCIO, else the
    built-in ACES studio one."""
    working_space: str = ""
    """Scene-linear space whose primaries the network sees, such as ACEScg for wide-gamut plates;
    empty takes Rec.709."""
    premultiplied: bool = False
    """The plate's colors are multiplied by its alpha."""
    grain: Annotated[float, Range(0, 2), Late()] = 1.0
    """Share of the plate's own grain that the fill gets; a plate without any adds none."""
    output_mode: Annotated[OutputMode, Late()] = "clean plate"
    """Clean plate; the fill alone, premultiplied by the matte, for an over in scene-linear light;
    the matte as it was used; or what of it is made up, because no frame shows what is behind."""
    on_missing: Literal["error", "hold"] = "error"
    """A frame that is not there stops the job, or the nearest one stands in for it."""
    mix: Annotated[float, Range(0, 1), Late()] = 1.0
    """How much of the result shows: 0 is the plate, 1 the clean plate."""

    def __post_init__(self) -> None:
        for spec in param_specs():
            spec.require(getattr(self, spec.name))
        if self.server:
            require_address(self.server)

    def chosen_frames(self, available: Sequence[int]) -> list[int]:
        """The frames that ``frames`` names, first and last included.

        Where it is empty, those from the first to the last that are available, by the largest step
        that leaves none of them out: on twos is as good as on ones, and a gap is a gap.

        Raises:
            ValueError: not a range, an empty one, or one that no shot is as long as.

        >>> Params(frames="7-9").chosen_frames([1, 2])
        [7, 8, 9]
        >>> Params().chosen_frames([1, 2, 4]), Params().chosen_frames([1, 3, 7])
        ([1, 2, 3, 4], [1, 3, 5, 7])
        """
        chosen = self._named_frames() if self.frames else _filled(available)
        if len(chosen) > MOST_FRAMES:
            raise ValueError(
                f"frames {chosen[0]}-{chosen[-1]} are more than {MOST_FRAMES}; is it a slip?"
            )
        return list(chosen)

    def _named_frames(self) -> range:
        match = re.fullmatch(r"\s*(-?\d+)(?:\s*-\s*(-?\d+))?\s*", self.frames)
        if match is None:
            raise ValueError(f"frames {self.frames!r} is not a range; write 1001-1048")
        first = int(match[1])
        last = int(match[2]) if match[2] is not None else first
        if last < first:
            raise ValueError(f"frames {self.frames} is empty: {last} comes before {first}")
        return range(first, last + 1)


def _filled(frames: Sequence[int]) -> range:
    if not frames:
        return range(0)
    step = gcd(*(frame - frames[0] for frame in frames))
    return range(frames[0], frames[-1] + 1, step or 1)


@dataclass(frozen=True, kw_only=True)
class ParamSpec:
    """One param as a host shows it."""

    name: str
    label: str
    kind: Kind
    default: Any
    hint: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    late: bool = False
    """Changing it needs no new analysis."""

    def require(self, value: object) -> None:
        """Refuse a value that cannot work.

        Raises:
            ValueError: naming param, value and what it may be.
        """
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.kind in ("int", "float") and (
            not number or (self.kind == "int" and not isinstance(value, int))
        ):
            raise ValueError(f"{self.name} must be a number of type {self.kind}, got {value!r}")
        if self.minimum is not None and not value >= self.minimum:  # type: ignore[operator]
            raise ValueError(f"{self.name} must be at least {self.minimum:g}, got {value}")
        if self.maximum is not None and not value <= self.maximum:  # type: ignore[operator]
            raise ValueError(f"{self.name} must be at most {self.maximum:g}, got {value}")
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}")
        if self.kind == "string" and not isinstance(value, str):
            raise ValueError(f"{self.name} must be text, got {value!r}")


@cache
def param_specs() -> tuple[ParamSpec, ...]:
    """Every field of :class:`Params`, in order, with what is written beside it."""
    hints = _texts()
    types = get_type_hints(Params, include_extras=True)
    return tuple(
        _spec(field.name, types[field.name], field.default, hints[field.name])
        for field in dataclasses.fields(Params)
    )


def _spec(name: str, annotation: object, default: object, hint: str) -> ParamSpec:
    plain, *marks = get_args(annotation) if get_origin(annotation) is Annotated else [annotation]
    choices = get_args(plain) if get_origin(plain) is Literal else ()
    kinds: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "string"}
    limits = next((mark for mark in marks if isinstance(mark, Range)), None)
    return ParamSpec(
        name=name,
        label=name.replace("_", " ").capitalize(),
        kind="choice" if choices else kinds[plain],
        default=default,
        hint=hint,
        minimum=limits.minimum if limits else None,
        maximum=limits.maximum if limits else None,
        choices=choices,
        late=any(isinstance(mark, Late) for mark in marks),
    )


def _texts() -> dict[str, str]:
    # The line under each field is its only documentation.
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(Params))).body
    assert isinstance(definition, ast.ClassDef)
    told = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr)
            assert isinstance(text.value, ast.Constant)
            told[field.target.id] = " ".join(str(text.value.value).split())
    return told
