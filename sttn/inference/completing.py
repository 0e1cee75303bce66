"""Completes clips of any length: what lies between two cuts after the other, in order.

Real pixels come first: what other frames show of a hole is fetched from them. What none shows is
made up once in several frames, by the network and with texture, and carried along; the network
fills what is left.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sttn.errors import CancelledError, InvalidClipError
from sttn.inference.clip import Clip, Origins, Pixels
from sttn.inference.cuts import stretches
from sttn.inference.engine import Engine
from sttn.inference.holes import Holes
from sttn.inference.picture import picture_of, whole_frame
from sttn.inference.plans import gathered, plans_of
from sttn.inference.preparing import Prepared
from sttn.inference.steadying import steadied
from sttn.inference.store import FeatureStore
from sttn.model import Generator
from sttn.model.region import Region
from sttn.propagation import Propagation, Shelf, load_fusion
from sttn.settings.computing import MemoryBudget
from sttn.settings.schedule import WindowConfig
from sttn.settings.weights import FUSION_WEIGHTS

Told = Callable[[int, Origins], None]
"""Takes in where the real pixels of a frame come from, by its index."""


def never() -> bool:
    """The answer of a caller that does not cancel."""
    return False


def complete(
    frames: Pixels,
    masks: NDArray[np.bool_],
    generator: Generator,
    window: WindowConfig | None = None,
    *,
    clean: Collection[int] = (),
    handles: Collection[int] = (),
) -> Pixels:
    """Fill the holes of a clip.

    Args:
        frames: (T, H, W, 3) uint8, or float32 in [0, 1]; H and W multiples of 48.
        masks: (T, H, W) bool, True inside the hole.
        generator: The network, on the device and in the precision that shall compute; not float16,
            in which what attention must not see has no finite score.
        window: How the clip is cut; the default suits most shots.
        clean: Indices of clean frames, see :func:`completed_frames`.
        handles: Indices of handles, likewise.

    Returns:
        (T, H, W, 3) of the type of ``frames``, without clean frames and handles; outside the
        holes bit for bit ``frames``.

    Raises:
        InvalidClipError: shapes or types do not fit.
        ValueError: the generator is in float16.
        OutOfMemoryError: not even one window, or what is offered for one hole, fits into memory.
    """
    completed = completed_frames(frames, masks, generator, window, clean=clean, handles=handles)
    return np.stack([frame for _, frame in completed])


def completed_frames(
    frames: Sequence[Pixels] | Pixels,
    masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    generator: Generator,
    window: WindowConfig | None = None,
    *,
    clean: Collection[int] = (),
    handles: Collection[int] = (),
    batch: int = 1,
    budget: MemoryBudget | None = None,
    fusion: Path | str = FUSION_WEIGHTS,
    origins: Told | None = None,
    cuts: Callable[[list[int]], None] | None = None,
    prepared: Prepared | None = None,
    cancelled: Callable[[], bool] = never,
) -> Iterator[tuple[int, Pixels]]:
    """Fill the holes of a clip, handing over each frame as soon as it is final.

    Frames and masks are read by index when they are needed, so they may live on disk.

    Args:
        frames: T frames (H, W, 3), read by index; as in :func:`complete`.
        masks: T masks (H, W) bool, True inside the hole.
        generator: The network, on the device and in the precision that shall compute; not float16,
            in which what attention must not see has no finite score.
        window: How the clip is cut.
        clean: Indices of clean frames: painted by an artist, without a hole. Every window copies
            from them, wherever they lie in the clip; they are not returned.
        handles: Indices of frames that are context only and not returned.
        batch: Windows computed at once, halved whenever memory runs out.
        budget: Memory for the features of frames that later windows need.
        fusion: Weights of the network that decides which real pixels to believe.
        origins: Told, before a frame is handed over, where its real pixels come from; not told of
            frames without any.
        cuts: Told, before the first frame is handed over, the indices of the frames that cuts were
            found before; not told where there is none.
        prepared: Told, while real pixels are looked for, the share in [0, 1] that is done of it,
            which runs ahead of the frames that are handed over. It grows; it may end below 1, for
            not all motion that could be asked for is.
        cancelled: Asked before every batch of windows, and often while real pixels are waited for
            and texture is made.

    Yields:
        Index and completed frame, in order of the index.

    Raises:
        InvalidClipError: shapes, types, values or indices do not fit, or ``batch`` is below 1.
        ValueError: the generator is in float16.
        CancelledError: ``cancelled`` answered True.
        CheckpointError: ``fusion`` cannot be used.
        OutOfMemoryError: not even one window, or what is offered for one hole, fits into memory.
    """
    if batch < 1:
        raise InvalidClipError(f"batch must be at least 1, got {batch}")
    clip = Clip(frames, masks, frozenset(clean), frozenset(handles))
    config = window or WindowConfig()
    parameter = next(generator.parameters())
    device, precision = parameter.device, parameter.dtype
    if precision == torch.float16:
        raise ValueError("the generator is in float16; give it in float32 or bfloat16")
    limits = budget or MemoryBudget()
    propagation: Callable[..., Propagation] | None = None
    if config.propagate:
        propagation = partial(
            Propagation,
            fusion=load_fusion(device, precision, fusion),
            shelf=Shelf(limits.real_pixels_gigabytes * 1e9),
        )
    parts = _parts(clip, config, cancelled)
    if cuts is not None and len(parts) > 1:
        cuts([min(set(scene) - clip.clean) for scene in parts[1:]])
    for scene in parts:
        if set(scene).isdisjoint(clip.returned):
            continue
        indices = [*scene, *sorted(clip.clean.difference(scene))]
        store = FeatureStore(device, limits)
        told = None if origins is None else partial(_told_of_clip, origins, indices)
        share = partial(_share_of_clip, prepared, scene, len(clip))
        try:
            part = clip.part(indices)
            if propagation is not None:
                part = part.filled_beside()
            engine = Engine(part, generator, config, store, batch)
            # The network copies from what is painted anywhere; nothing moves there from here.
            alone = part.part(range(len(scene)))
            fills = _completed(engine, alone, config, batch, propagation, told, share, cancelled)
            for place, completed in fills:
                yield indices[place], completed
        finally:
            store.close()


def _parts(clip: Clip, config: WindowConfig, cancelled: Callable[[], bool]) -> list[list[int]]:
    """Indices of the frames that are completed together."""
    if not config.part_at_cuts:
        return [list(range(len(clip)))]
    # Bars look alike on both sides of a cut.
    return stretches(clip.within(picture_of(clip, cancelled).region), cancelled)


def _completed(
    engine: Engine,
    scene: Clip,
    config: WindowConfig,
    batch: int,
    propagation: Callable[..., Propagation] | None,
    origins: Told | None,
    prepared: Prepared,
    cancelled: Callable[[], bool],
) -> Iterator[tuple[int, Pixels]]:
    """What lies between two cuts: the picture, and the bars around it laid beside.

    The engine's clip begins with the scene; behind it come clean frames of other scenes.
    """
    picture = whole_frame(scene) if propagation is None else picture_of(scene, cancelled)

    def alone(index: int, part: Region) -> NDArray[np.float32]:
        return engine.alone(index, picture.placed(part))

    def asked(index: int) -> Region | None:
        part = holes.asked(index)
        return None if part is None else picture.placed(part)

    def told(index: int, fetched: Origins) -> None:
        if origins is not None and index in scene.returned:
            origins(index, picture.origins(fetched))

    def filled() -> Iterator[tuple[int, Pixels]]:
        tell = None if origins is None else told
        for plans in gathered(plans_of(engine.clip, config, asked), batch):
            if cancelled():
                raise CancelledError("cancelled by the caller")
            # What lies before these windows gets no further share.
            final = plans[0].window.neighbors[0]
            failure: Exception | None = None
            if engine.computes_aside:  # while these frames are put together
                engine.settle(final)
                try:
                    engine.run(plans)
                except Exception as error:  # told once they are handed over
                    failure = error
            yield from engine.finished(final, holes, tell)
            if failure is not None:
                raise failure
            if not engine.computes_aside:
                engine.run(plans)
        yield from engine.finished(len(scene), holes, tell)

    inside = scene.within(picture.even)
    holes = Holes(inside, propagation, alone if config.texture else None, cancelled, prepared)
    try:
        fills = filled() if propagation is None else steadied(filled(), inside)
        for index, completed in fills:
            yield index, picture.laid(scene, index, completed)
    finally:
        holes.close()


def _share_of_clip(tell: Prepared | None, scene: Sequence[int], count: int, share: float) -> None:
    """Tell of a scene's share what it makes of the clip's, whose scenes follow one another."""
    if tell is not None:
        tell((scene[0] + share * len(scene)) / count)


def _told_of_clip(tell: Told, indices: Sequence[int], place: int, origins: Origins) -> None:
    """Tell of a part's frame by what its frames are called in the clip."""
    of_clip, fetched = origins.copy(), origins[..., 0] >= 0
    of_clip[fetched, 0] = np.array(indices)[origins[fetched, 0].astype(np.int64)]
    tell(indices[place], of_clip)
