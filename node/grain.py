"""Grain: measured in the plate around the mattes, laid over the fill, which comes without any.

Grain is what is left of flat blocks when their light is taken away, and what does not travel with
the picture from frame to frame. Its level, its correlation between pixels and between channels, and
how it depends on brightness are kept; see Newson et al., "A stochastic film grain model for
resolution-independent rendering", 2017, for why second-order statistics are most of what is seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from node.color import Float, looked_up

BLOCK = 16
"""Pixels along a block that grain is measured in."""
STEP = BLOCK // 2
"""Pixels from one block to the next."""
BLOCKS_PER_FRAME = 400
"""Blocks looked at in one frame at most."""
FEWEST_BLOCKS = 24
"""Blocks that a statement about grain needs."""
REACH = 5
"""Pixels over which grain may be correlated."""
ROUND = 128
"""Grain is made by multiples of so many pixels: fast to transform, and alike for many frames."""
LEVELS = 6
"""Steps of brightness that grain is told apart in."""
FINE = 1024
"""Steps of brightness between which its strength is told."""
MOST = 0.027
"""Standard deviation in code values above which it must be texture: seven steps of 8 bits."""
LEAST = 0.0015
"""Standard deviation in code values, 0.4 steps of 8 bits, below which a plate has no grain:
rounding to 8 bits alone makes 0.0011."""
SPREAD = 2.2
"""How far blocks of pure grain lie above the tenth part of them with the least variance."""
TAIL = 4.0
"""Logarithm of the variances' 10 % quantile over their 1 % quantile, in units of what chance alone
spreads variances of pure grain by: texture has no such sharp lower end."""
UNRELATED = 0.95
"""A block holds texture where it is more like the next frame, at any shift, than this share of
blocks are like an unrelated one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grain:
    """Second-order statistics of a plate's grain, in the working encoding."""

    kernel: Float
    """(3, 3, K, K): filters that make white noise of three channels into grain of variance 1."""
    levels: Float
    """(L,) rising code values."""
    deviations: Float
    """(L, 3) standard deviation of each channel at these levels, in code values."""

    def noise(self, height: int, width: int, seed: tuple[int, ...]) -> Float:
        """Grain of variance 1: (height, width, 3), the same for the same seed."""
        shape = -(-max(height, 1) // ROUND) * ROUND, -(-max(width, 1) // ROUND) * ROUND
        # Frames may be negative, seeds may not.
        rng = np.random.default_rng([number % 2**32 for number in seed])
        white = rng.standard_normal((3, *shape), dtype=np.float32)
        spectrum = np.fft.rfft2(white)
        # On a torus white noise stays white, so nothing is lost at the borders.
        mixed = np.einsum("cdyx,dyx->cyx", _filters(self, shape), spectrum)
        shaped = np.fft.irfft2(mixed, shape)
        return np.moveaxis(shaped[:, :height, :width], 0, -1).astype(np.float32)

    def laid(self, code: Float, seed: tuple[int, ...], amount: float | Float = 1.0) -> Float:
        """Code values (H, W, 3) with grain, as strong as the plate's at their brightness.

        Args:
            code: (H, W, 3).
            seed: The same gives the same grain.
            amount: Share of the plate's, alike for all or (H, W, 3).
        """
        noise = self.noise(code.shape[0], code.shape[1], seed)
        return (code + noise * self.strength(code) * np.float32(amount)).astype(np.float32)

    def strength(self, code: Float) -> Float:
        """Standard deviation of grain at code values (H, W, 3)."""
        darkest, brightest = self.levels[0], self.levels[-1]
        steps = np.float32(FINE / max(brightest - darkest, np.float32(1e-6)))
        return looked_up(self._strengths, ((code - darkest) * steps).clip(0, FINE).astype(np.int32))

    @cached_property
    def _strengths(self) -> Float:
        """(FINE + 1, 3), deviations at so many code values from the darkest to the brightest."""
        codes = np.linspace(self.levels[0], self.levels[-1], FINE + 1)
        each = [np.interp(codes, self.levels, self.deviations[:, c]) for c in range(3)]
        return np.stack(each, axis=-1).astype(np.float32)


@lru_cache(maxsize=2)  # successive frames want the same
def _filters(grain: Grain, shape: tuple[int, int]) -> NDArray[np.complexfloating]:
    """Of a grain's kernel on a torus of some height and width, the spectrum."""
    return np.fft.rfft2(grain.kernel, shape)


class GrainMeter:
    """Collects flat blocks of a plate and says what its grain is.

    Args:
        code_values: Makes (..., 3) in the working encoding of a plate's pixels (..., C): of the few
            blocks that are looked at, not of whole frames.
    """

    def __init__(self, code_values: Callable[[NDArray[Any]], Float]) -> None:
        self._code_values = code_values
        self._rng = np.random.default_rng(0)
        self._found: list[tuple[Float, Float, NDArray[np.bool_]]] = []

    def add(
        self, plate: NDArray[Any], following: NDArray[Any] | None, visible: NDArray[np.bool_]
    ) -> None:
        """Look at a frame.

        Args:
            plate: (H, W, C).
            following: The next frame, of which still and travelling texture is told; if there is.
            visible: (H, W), where both show the plate rather than what is to be removed.
        """
        blocks = _blocks([plate] if following is None else [plate, following], visible, self._rng)
        self._found.append(_residuals(*map(self._code_values, blocks), rng=self._rng))

    def measured(self) -> Grain | None:
        """The grain; None where there are too few blocks to tell, or no grain in them."""
        if sum(len(each[0]) for each in self._found) < FEWEST_BLOCKS:
            return None
        residuals, light, travelling = (
            np.concatenate(each) for each in zip(*self._found, strict=True)
        )
        variance = (residuals**2).mean(axis=(1, 2))
        brightness = light.mean(axis=-1)
        pure = _levels_of_grain(residuals, variance.mean(axis=-1), brightness, travelling)
        if not pure:
            return None
        deviations = np.sqrt([variance[chosen].mean(axis=0) for chosen in pure])
        if deviations.mean() < LEAST:
            return None
        correlation, loss = _unflattened(_correlation(residuals[np.concatenate(pure)]))
        return Grain(
            kernel=_kernel(correlation),
            levels=np.array([brightness[chosen].mean() for chosen in pure], np.float32),
            deviations=(deviations / np.sqrt(1 - loss)).astype(np.float32),
        )


def _levels_of_grain(
    residuals: Float, variance: Float, brightness: Float, travelling: NDArray[np.bool_]
) -> list[NDArray[np.intp]]:
    # Blocks of nothing but grain, by rising brightness; none where most levels show texture.
    edges = np.quantile(brightness, np.linspace(0, 1, LEVELS + 1))
    looked_at, pure = 0, []
    for low, high in pairwise(edges):
        here = np.flatnonzero((brightness >= low) & (brightness <= high))
        if len(here) < FEWEST_BLOCKS:
            continue
        looked_at += 1
        chosen = _of_grain(residuals, variance, travelling, here)
        if len(chosen) and variance[chosen].mean() <= MOST**2:
            pure.append(chosen)
    return _rising(pure, brightness) if 2 * len(pure) >= looked_at else []


def _of_grain(
    residuals: Float, variance: Float, travelling: NDArray[np.bool_], here: NDArray[np.intp]
) -> NDArray[np.intp]:
    # Which of the blocks of one brightness hold grain and nothing else; none where they disagree.
    lowest, low = np.quantile(variance[here], [0.01, 0.1])
    chosen = here[variance[here] <= SPREAD * low]
    still = chosen[~travelling[chosen]]
    if lowest <= 0 or 2 * len(still) < max(FEWEST_BLOCKS, len(chosen)):
        return here[:0]
    chance = np.sqrt(2 * (_correlation(residuals[still]) ** 2).sum() / (9 * BLOCK * BLOCK))
    return still if np.log(low / lowest) <= TAIL * chance else here[:0]


def _rising(pure: list[NDArray[np.intp]], brightness: Float) -> list[NDArray[np.intp]]:
    # Flat plates have many blocks of one brightness: a level of it is enough.
    kept: list[NDArray[np.intp]] = []
    for chosen in pure:
        if not kept or brightness[chosen].mean() > brightness[kept[-1]].mean():
            kept.append(chosen)
    return kept


def _blocks(
    images: Sequence[NDArray[Any]], visible: NDArray[np.bool_], rng: np.random.Generator
) -> list[NDArray[Any]]:
    # The same N visible blocks (N, BLOCK, BLOCK, C) of each image (H, W, C).
    if min(visible.shape) < BLOCK:
        return [np.zeros((0, BLOCK, BLOCK, image.shape[-1]), image.dtype) for image in images]
    tall, wide = (side // STEP for side in visible.shape)
    by_cell = visible[: tall * STEP, : wide * STEP].reshape(tall, STEP, wide, STEP)
    cells: NDArray[np.bool_] = np.logical_and.reduce(by_cell, axis=(1, 3))
    # A block is two steps long.
    rows, columns = np.nonzero(cells[:-1, :-1] & cells[:-1, 1:] & cells[1:, :-1] & cells[1:, 1:])
    if len(rows) > BLOCKS_PER_FRAME:
        kept = rng.choice(len(rows), BLOCKS_PER_FRAME, replace=False)
        rows, columns = rows[kept], columns[kept]

    def cut(image: NDArray[Any]) -> NDArray[Any]:
        views = sliding_window_view(image, (BLOCK, BLOCK), axis=(0, 1))[::STEP, ::STEP]
        return np.moveaxis(views[rows, columns], 1, -1)

    return [cut(image) for image in images]


def _residuals(
    blocks: Float, later: Float | None = None, *, rng: np.random.Generator
) -> tuple[Float, Float, NDArray[np.bool_]]:
    # Of N blocks: residuals (N, BLOCK, BLOCK, 3), mean light (N, 3), whether they hold texture.
    # Clipped blacks and whites hold no grain and would pass for a clean plate.
    inside = ((blocks > 0.005) & (blocks != 1)).mean(axis=(1, 2, 3)) > 0.9
    residual, light = _flattened(blocks[inside]), blocks[inside].mean(axis=(1, 2))
    if later is None or len(light) < 2:
        return residual, light, np.zeros(len(light), np.bool_)
    following = _flattened(later[inside])
    change = (residual - following) / np.float32(2**0.5)
    still = (change**2).mean(axis=(1, 2, 3)) < 0.7 * (residual**2).mean(axis=(1, 2, 3))
    likeness = _likeness(residual, following)
    by_chance = _likeness(residual, following[rng.permutation(len(following))])
    travelling = ~still & (likeness > np.quantile(by_chance, UNRELATED))
    return np.where(still[:, None, None, None], change, residual), light, travelling


def _basis() -> NDArray[np.float64]:
    # (3, BLOCK * BLOCK), orthonormal: light that rises steadily over a block.
    y, x = np.mgrid[-1 : 1 : BLOCK * 1j, -1 : 1 : BLOCK * 1j]
    powers = np.stack([np.ones_like(x), x, y]).reshape(3, -1)
    basis: NDArray[np.float64] = np.linalg.qr(powers.T)[0].T
    return basis


def _flattened(blocks: Float) -> Float:
    flat = blocks.reshape(len(blocks), BLOCK * BLOCK, 3).astype(np.float64)
    basis = _basis()
    light = basis.T @ (basis @ flat)
    residual: Float = (flat - light).astype(np.float32).reshape(blocks.shape)
    return residual


def _likeness(first: Float, second: Float) -> Float:
    # Largest correlation coefficient of two blocks over all (cyclic) shifts.
    first, second = first.mean(-1), second.mean(-1)
    product = np.fft.rfft2(first) * np.fft.rfft2(second).conj()
    both = np.fft.irfft2(product, (BLOCK, BLOCK)).max(axis=(1, 2))
    norm = np.sqrt((first**2).sum(axis=(1, 2)) * (second**2).sum(axis=(1, 2)))
    return np.asarray(both / np.maximum(norm, 1e-12), np.float32)


def _correlation(residuals: Float) -> NDArray[np.float64]:
    # (3, 3, 2 REACH + 1, 2 REACH + 1): correlation of channel c with channel d, so far away.
    size = 2 * BLOCK
    spectrum = np.fft.rfft2(np.moveaxis(residuals, -1, 1), (size, size))
    products = np.einsum("ncyx,ndyx->cdyx", spectrum, spectrum.conj(), optimize=True)
    lags = np.arange(-REACH, REACH + 1)
    sums = np.fft.irfft2(products, (size, size))[..., lags[:, None], lags]
    pairs = (BLOCK - np.abs(lags))[:, None] * (BLOCK - np.abs(lags))
    covariance = sums / (pairs * len(residuals))
    deviation = np.sqrt(np.einsum("ccyx->cyx", covariance)[:, REACH, REACH])
    correlation: NDArray[np.float64] = covariance / (
        deviation[:, None, None, None] * deviation[None, :, None, None]
    )
    return correlation


def _unflattened(seen: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    # Flattening takes a share of grain with it, the more the coarser grain is. What it takes hardly
    # varies within reach, so it is missing from all correlations alike; share and correlation
    # depend on one another and settle in a few rounds.
    correlation, lost = seen, 0.0
    between = seen[..., REACH, REACH][..., None, None]
    for _ in range(8):
        lost = _lost_by_flattening(correlation)
        correlation = seen * (1 - lost) + between * lost
    return correlation, lost


def _lost_by_flattening(correlation: NDArray[np.float64]) -> float:
    mean: NDArray[np.float64] = np.einsum("ccyx->yx", correlation) / 3
    y, x = np.divmod(np.arange(BLOCK * BLOCK), BLOCK)
    apart = (y[:, None] - y, x[:, None] - x)
    near = (np.abs(apart[0]) <= REACH) & (np.abs(apart[1]) <= REACH)
    covariance = np.where(
        near,
        mean[np.clip(apart[0], -REACH, REACH) + REACH, np.clip(apart[1], -REACH, REACH) + REACH],
        0,
    )
    basis = _basis()
    lost = np.trace(basis @ covariance @ basis.T) / (BLOCK * BLOCK)
    return float(np.clip(lost, 0, 0.5))


def _kernel(correlation: NDArray[np.float64]) -> Float:
    # The filter whose spectrum, times its conjugate, is the grain's: a root of Hermitian matrices.
    size = 32
    taper = np.cos(np.pi / 2 * np.arange(-REACH, REACH + 1) / (REACH + 1))
    lags = np.arange(-REACH, REACH + 1)
    torus = np.zeros((3, 3, size, size))
    torus[..., lags[:, None], lags] = correlation * taper[:, None] * taper
    power = np.moveaxis(np.fft.fft2(torus), (0, 1), (-2, -1))
    values, vectors = np.linalg.eigh((power + np.conj(np.swapaxes(power, -1, -2))) / 2)
    root = (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.conj(
        np.swapaxes(vectors, -1, -2)
    )
    kernel = np.fft.fftshift(np.fft.ifft2(np.moveaxis(root, (-2, -1), (0, 1))).real, axes=(2, 3))
    kernel /= np.sqrt((kernel**2).sum(axis=(1, 2, 3), keepdims=True))
    return kernel.astype(np.float32)
