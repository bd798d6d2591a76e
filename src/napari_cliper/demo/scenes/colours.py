"""Colours of a scene: float32 arrays of red, green and blue, 0 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Plane = NDArray[np.floating[Any]]  # float32 at run time; NumPy's type hints are less specific
Colour = tuple[float, float, float]


def mix(colours: Sequence[Colour | Plane], jitter: float, rng: np.random.Generator) -> Plane:
    """Draw a random mixture of colours with random brightness and jitter."""
    share = rng.dirichlet([0.8] * len(colours))
    mixed = share @ np.asarray(colours) * rng.uniform(0.9, 1.1)
    return np.asarray(np.clip(mixed + rng.normal(0.0, jitter, 3), 0.0, 1.0), np.float32)
