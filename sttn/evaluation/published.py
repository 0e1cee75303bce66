"""Figures that papers publish, for orientation: their masks are not ours."""

from dataclasses import dataclass

NOT_THE_SAME_MASKS = (
    "other masks (STTN's were never released) and other weights for E_warp's flow: "
    "not to be compared figure by figure"
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of a table: 432x240, stationary masks, whole frames."""

    name: str
    psnr: float
    """dB."""
    ssim: float
    """Window of 65 pixels, in %."""
    warping: float | None = None
    """E_warp with FlowNet2, in %."""
    vfid: float | None = None


DAVIS = (
    Published(name="VINet", psnr=28.96, ssim=94.11, warping=0.1785, vfid=0.199),
    Published(name="DFVI", psnr=28.81, ssim=94.04, warping=0.1880, vfid=0.187),
    Published(name="LGTSM", psnr=28.57, ssim=94.09, warping=0.2566, vfid=0.170),
    Published(name="CAP", psnr=30.28, ssim=95.21, warping=0.1824, vfid=0.182),
    Published(name="STTN", psnr=30.67, ssim=95.60, warping=0.1779, vfid=0.149),
)
"""Table 1 of the paper."""

YOUTUBE_VOS = (
    Published(name="VINet", psnr=29.20, ssim=94.34, warping=0.1490, vfid=0.072),
    Published(name="DFVI", psnr=29.16, ssim=94.29, warping=0.1509, vfid=0.066),
    Published(name="LGTSM", psnr=29.74, ssim=95.04, warping=0.1859, vfid=0.070),
    Published(name="CAP", psnr=31.58, ssim=96.07, warping=0.1470, vfid=0.071),
    Published(name="STTN", psnr=32.34, ssim=96.55, warping=0.1451, vfid=0.053),
)
"""Table 1 of the paper."""

LATER = (
    Published(name="FuseFormer", psnr=32.54, ssim=97.00, vfid=0.138),
    Published(name="E2FGVI", psnr=33.01, ssim=97.21, vfid=0.116),
    Published(name="ProPainter", psnr=34.47, ssim=97.76, vfid=0.098),
)
"""Later methods on DAVIS, as their papers have them."""
