"""What the node is, in OpenFX's terms: what a host reads before it makes an instance."""

from dataclasses import dataclass
from typing import Literal

from node.errors import HostError
from node.params import ParamSpec, param_specs

Context = Literal["General", "Filter"]

RGB = ("RGB", "RGBA")
"""Components of color clips; alpha passes through untouched."""


@dataclass(frozen=True, kw_only=True)
class HostDescription:
    """What a host says about itself."""

    name: str
    """What to call it in a message."""
    temporal_clip_access: bool
    """Whether an effect may fetch frames other than the one being rendered."""


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """One input or output."""

    name: str
    components: tuple[str, ...]
    hint: str
    optional: bool = False
    temporal_clip_access: bool = True


@dataclass(frozen=True, kw_only=True)
class EffectDescription:
    """What holds in every context."""

    identifier: str
    label: str
    group: str
    contexts: tuple[Context, ...]
    temporal_clip_access: bool
    hint: str


@dataclass(frozen=True, kw_only=True)
class ContextDescription:
    """Clips and params in one context."""

    context: Context
    clips: tuple[ClipSpec, ...]
    params: tuple[ParamSpec, ...]


def describe() -> EffectDescription:
    """OpenFX ``Describe``."""
    return EffectDescription(
        identifier="sttn.inpaint",
        label="STTN Inpaint",
        group="Paint",
        contexts=("General", "Filter"),
        temporal_clip_access=True,
        hint="Removes what the matte covers, by looking for what is behind it in all other frames.",
    )


def describe_in_context(context: Context = "General") -> ContextDescription:
    """OpenFX ``DescribeInContext``: in ``Filter`` the matte is the source's alpha.

    Raises:
        HostError: a context that the node does not have.
    """
    if context not in describe().contexts:
        known = ", ".join(describe().contexts)
        raise HostError(f"there is no context {context!r}; the node has {known}")
    source = ClipSpec(name="Source", components=RGB, hint="The plate.")
    if context == "Filter":
        source = ClipSpec(name="Source", components=("RGBA",), hint="The plate; alpha = matte.")
    # A matte declared as an alpha clip failed in a real host: any color clip will do.
    data = ("Alpha", *RGB)
    inputs = [
        ClipSpec(name="Matte", components=data, hint="1 = replace, 0 = keep; data, not color."),
        ClipSpec(
            name="CleanFrames",
            components=RGB,
            optional=True,
            hint="Frames that you painted: shown as they are and copied from.",
        ),
        ClipSpec(
            name="HoldOut",
            components=data,
            optional=True,
            hint="1 = never changed and never copied from.",
        ),
    ]
    output = ClipSpec(name="Output", components=("Alpha", *RGB), hint="As output_mode says.")
    middle = inputs if context == "General" else []
    return ContextDescription(
        context=context, clips=(source, *middle, output), params=param_specs()
    )


def require_temporal_access(host: HostDescription) -> None:
    """Refuse a host that would answer requests for other frames with the current one.

    Raises:
        HostError: naming the host.
    """
    if not host.temporal_clip_access:
        raise HostError(
            f"{host.name} gives an effect the current frame only; {describe().label} needs the "
            "whole shot. Export plate and matte and run sttn-inpaint on them"
        )
