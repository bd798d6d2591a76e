"""An image for models that are loaded."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 90, (60, 90, 3), np.uint8)
    picture[20:45, 20:70] += 120
    return picture
