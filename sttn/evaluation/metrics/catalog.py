"""Every metric by its key: what it is called, in which unit, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One column of a table."""

    key: str
    title: str
    unit: str
    digits: int
    """Decimals shown."""
    higher_is_better: bool
    of_pairs: bool = False
    """Whether a figure is about a frame and the next one."""


def _both(metric: Metric) -> tuple[Metric, Metric]:
    """A metric over the whole frame and inside the hole."""
    hole = Metric(**{**vars(metric), "key": f"hole_{metric.key}"})
    return metric, hole


METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        *_both(Metric(key="psnr", title="PSNR", unit="dB", digits=2, higher_is_better=True)),
        *_both(Metric(key="ssim65", title="SSIM, 65", unit="%", digits=2, higher_is_better=True)),
        *_both(Metric(key="ssim", title="SSIM", unit="%", digits=2, higher_is_better=True)),
        *_both(Metric(key="lpips", title="LPIPS", unit="", digits=4, higher_is_better=False)),
        *_both(
            Metric(
                key="warping",
                title="E_warp",
                unit="%",
                digits=4,
                higher_is_better=False,
                of_pairs=True,
            )
        ),
        Metric(
            key="hole_flicker",
            title="flicker",
            unit="steps",
            digits=2,
            higher_is_better=False,
            of_pairs=True,
        ),
        *_both(Metric(key="vfid", title="VFID", unit="", digits=3, higher_is_better=False)),
    )
}
"""Keys that begin with ``hole_`` are figures inside the hole."""
