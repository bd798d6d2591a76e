"""Channels shown together: the formula of napari's additive blending, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.segmentation import Channel, Composite, InvalidInputError
from napari_cliper.segmentation.features.preprocessing import to_rgb
from napari_cliper.segmentation.features.tiled_image import tiled_image
from napari_cliper.segmentation.tiles import Window

BLACK, BLUE, GREEN, RED = (0.0, 0, 0), (0.0, 0, 1), (0.0, 1, 0), (1.0, 0, 0)


def test_values_are_scaled_coloured_and_added():
    low, high = np.full((8, 8), 100, np.uint16), np.full((8, 8), 1000, np.uint16)
    low[0, 0], high[0, 0] = 50, 200
    channels = (
        Channel("a", (BLACK, GREEN), (0, 200)),
        Channel("b", (BLACK, BLUE), (0, 1000), gamma=2, opacity=0.5),
        Channel("c", (BLACK, GREEN, RED), (0, 1000)),
    )
    found = Composite([low, high, low], channels)[...]
    assert found.dtype == np.uint8
    # a: 0.5 green; b: 1 ** 2 * 0.5 blue; c: 0.1 of the way, 0.2 green
    np.testing.assert_array_equal(found[4, 4], np.rint([0, 0.7 * 255, 0.5 * 255]))
    np.testing.assert_allclose(found[0, 0], [0, 0.35 * 255, 0.02 * 255], atol=0.5)
    # what is beyond white is clipped
    bright = Composite([high] * 2, [Channel("x", (BLACK, RED), (0, 10))] * 2)
    assert bright[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("count", [2, 5])
def test_parts_and_tiles_are_those_of_the_whole(count):
    rng = np.random.default_rng(count)
    planes = [rng.integers(0, 4000, (3, 40, 48), np.uint16) for _ in range(count)]
    looks = [
        Channel(f"c{i}", (BLACK, tuple(rng.random(3))), (100, 3000 + i), 1 + i / 4, 1 - i / 9)
        for i in range(count)
    ]
    stack = Composite(planes, looks)
    assert stack.shape == (3, 40, 48, 3)
    whole = np.asarray(stack)
    np.testing.assert_array_equal(stack[1, 5:30], whole[1, 5:30])
    plane = stack.read(1)
    rgb = to_rgb(plane)
    np.testing.assert_array_equal(rgb.pixels, whole[1])
    assert [one["name"] for one in rgb.contrast["channels"]] == [one.name for one in looks]
    tiles = tiled_image(plane)
    np.testing.assert_array_equal(tiles.region(Window(3, 4, 20, 30)), whole[1, 3:20, 4:30])
    assert (tiles.contrast, tiles.notes) == (rgb.contrast, rgb.notes)


def test_what_cannot_be_combined_is_refused_with_the_channel():
    plane = np.zeros((8, 8))
    plane[2, 2] = np.nan
    look = Channel("DAPI", (BLACK, BLUE), (0, 1))
    with pytest.raises(InvalidInputError, match="DAPI has pixels that are NaN"):
        to_rgb(Composite([plane], [look]))
    with pytest.raises(InvalidInputError, match="8 x 8, 9 x 8"):
        Composite([plane, np.zeros((9, 8))], [look, look])
    for wrong in ({"limits": (2, 1)}, {"gamma": 0}, {"opacity": 2}, {"colours": (BLACK,)}):
        with pytest.raises(InvalidInputError):
            Channel(**{"name": "x", "colours": (BLACK, RED), "limits": (0, 1), **wrong})
    with pytest.raises(InvalidInputError, match="DAPI"):  # nothing is above black
        to_rgb(Composite([np.zeros((8, 8))], [look]))


def test_gamma_of_a_grey_image():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 8, 0)
    shown = to_rgb(ramp, (0, 255), 0.5)
    np.testing.assert_array_equal(
        shown.pixels[0, :, 0], np.rint(255 * (np.arange(256) / 255) ** 0.5)
    )
    assert shown.contrast["gamma"] == 0.5
    assert "gamma 0.5" in shown.notes[0]
    np.testing.assert_array_equal(
        tiled_image(ramp, (0, 255), 0.5).region(Window(0, 0, 8, 256)), shown.pixels
    )
