"""Lengths in the units of image files."""

from __future__ import annotations

import pytest

from napari_cliper.labels.units import micrometres


def test_pixel_sizes_in_micrometres():
    cases = [
        ((0.5, 0.5), ("micrometer", "micrometer"), 0.5),
        ((0.5, 0.5), ("um", "µm"), 0.5),
        ((500, 500), ("nm", "nanometer"), 0.5),
        ((1, 4), ("mm", "mm"), 2000),  # a square of the same area
        ((1, 1), ("inch", "inch"), 25400),
        ((1, 1), ("pixel", "pixel"), None),
        ((1, 1), ("um", "pixel"), None),
        ((1, 1), ("second", "second"), None),
        ((0, 1), ("um", "um"), None),
        ((float("nan"), 1), ("um", "um"), None),
    ]
    for sizes, units, expected in cases:
        assert micrometres(sizes, units) == pytest.approx(expected), (sizes, units)
