"""What the network has to beat."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sttn.evaluation.baselines.nearest import nearest_visible
from sttn.evaluation.baselines.propagation import propagate
from sttn.evaluation.baselines.still import navier_stokes, telea
from sttn.footage import Image

Baseline = Callable[[Image, NDArray[np.bool_]], Image]
"""Frames (T, H, W, 3) and masks (T, H, W), True inside the hole, to completed frames."""

BaselineName = Literal["telea", "navier-stokes", "nearest-visible", "propagation"]
"""Names of :data:`BASELINES`."""

BASELINES: dict[BaselineName, Baseline] = {
    "telea": telea,
    "navier-stokes": navier_stokes,
    "nearest-visible": nearest_visible,
    "propagation": propagate,
}
"""By the name that tables and pages show."""
