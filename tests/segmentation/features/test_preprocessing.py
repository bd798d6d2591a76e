"""Any array becomes RGB, or is refused with what to do about it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import ndimage

from napari_cliper.segmentation import InvalidInputError
from napari_cliper.segmentation.features.preprocessing import (
    normalised,
    padded,
    resized,
    squashed,
    to_rgb,
)
from napari_cliper.segmentation.working_size import kept_ratio_shape, patch_aligned_shape

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def with_value(value):
    image = GREY / 255
    image[3, 4] = value
    return image


@pytest.mark.parametrize(
    ("image", "value", "advice"),
    [
        (np.zeros((0, 5)), "0 x 5", "empty"),
        (np.zeros((0, 5, 3)), "0 x 5 x 3", "empty"),
        (np.zeros((1, 1)), "1 x 1", "needs at least 8"),
        (np.arange(50.0)[None], "1 x 50", "needs at least 8"),
        (np.arange(50.0)[:, None], "50 x 1", "needs at least 8"),
        (np.float64(3), "a single value", "A single plane is needed"),
        (np.arange(9.0), "9", "A single plane is needed"),
        (np.zeros((20, 30, 2)), "20 x 30 x 2", "Choose one of them or combine them to RGB"),
        (np.zeros((20, 30, 5)), "20 x 30 x 5", "Choose one plane of the stack"),
        (np.zeros((3, 20, 30)), "3 x 20 x 30", "move the channels to the last axis"),
        (np.zeros((4, 20, 30, 3)), "4 x 20 x 30 x 3", "Choose one plane of the stack"),
        (GREY.astype(complex), "complex128", "Convert it to integers or floats"),
        (GREY.astype(object), "object", "Convert it to integers or floats"),
        (GREY.astype(str), "<U3", "Convert it to integers or floats"),
        (with_value(np.nan), "1 of 600 pixels", "numpy.nan_to_num"),
        (with_value(np.inf), "1 of 600 pixels", "numpy.nan_to_num"),
        (np.full((20, 30), -np.inf), "600 of 600 pixels", "numpy.nan_to_num"),
        (np.full((20, 30), 7, np.uint16), "the value 7:", "nothing to segment"),
        (np.full((20, 30, 3), 0.25), "the value 0.25:", "nothing to segment"),
        (np.ones((20, 30), bool), "the value True:", "nothing to segment"),
        (np.tile(np.uint8([200, 0, 9]), (20, 30, 1)), "(200, 0, 9)", "nothing to segment"),
        (np.dstack([np.full((20, 30, 3), 9, np.uint8), GREY]), "the value 9:", "nothing to"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_image_that_cannot_be_segmented(image, value, advice):
    with pytest.raises(InvalidInputError, match=re.escape(advice)) as caught:
        to_rgb(image)
    assert value in str(caught.value)


def test_eight_bit_rgb_is_taken_as_it_is():
    found = to_rgb(RGB)
    np.testing.assert_array_equal(found.pixels, RGB)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("image", "as_good_as", "note"),
    [
        (GREY[..., None] // 2, GREY // 2, "percentiles"),
        (GREY.astype(np.uint16), GREY, "percentiles"),
        (GREY.astype(np.float32) * 8 - 100, GREY, "percentiles"),
        (np.dstack([RGB, GREY]), RGB, "alpha"),
        (GREY > 99, (GREY > 99) * np.uint8(255), "white (True) and black (False)"),
        (RGB / 255, RGB, ""),
        ((RGB / 255).astype(np.float32), RGB, ""),
        (np.asfortranarray(RGB)[::-1], RGB[::-1].copy(), ""),
        (RGB.astype(">u2") * 257, RGB.astype(np.uint16) * 257, "stretched"),
        (RGB.astype(np.float32) * 10 - 300, RGB.astype(np.int32) * 10 - 300, "stretched"),
    ],
    ids=[
        "one channel",
        "grey 16 bit",
        "grey float",
        "alpha",
        "mask",
        "float",
        "float32",
        "strided",
        ">u2",
        "range",
    ],
)
def test_two_forms_of_the_same_image(image, as_good_as, note):
    found = to_rgb(image)
    np.testing.assert_array_equal(found.pixels, to_rgb(as_good_as).pixels)
    assert found.pixels.flags.c_contiguous
    assert any(note in one for one in found.notes) if note else found.notes == ()


@pytest.mark.parametrize("factor", [1, 16, 257])
def test_sixteen_bit_is_stretched_between_its_percentiles(factor):
    image = RNG.integers(100, 200, (40, 50)).astype(np.uint16) * factor
    image[0, 0] = 65535  # a hot pixel does not darken the rest
    found = to_rgb(image)
    black, white = np.percentile(image, (0.1, 99.9))
    expected = np.clip((image - black) / (white - black), 0, 1) * 255
    np.testing.assert_allclose(found.pixels[..., 0], expected, atol=0.5 + 1e-6)
    (note,) = found.notes
    assert note.startswith(f"uint16 values {black:g} to {white:g} (percentiles 0.1 and 99.9)")
    assert found.contrast == {
        "black": pytest.approx(black),
        "white": pytest.approx(white),
        "source": "percentiles 0.1 and 99.9",
    }
    assert found.pixels[..., 0].std() > 20


def test_dark_eight_bit_grey_is_stretched_and_colours_are_not():
    """A fluorescence image whose cells are a few grey levels above the background."""
    image = RNG.normal(4, 0.6, (80, 80)).clip(0, 255).astype(np.uint8)
    image[20:40, 20:40] += 12
    image[0, 0] = 255  # a hot pixel
    found = to_rgb(image)
    cell, ground = found.pixels[20:40, 20:40, 0], found.pixels[50:, 50:, 0]
    assert cell.mean() - ground.mean() > 130
    assert found.notes
    colours = to_rgb(np.dstack([image] * 3))
    np.testing.assert_array_equal(colours.pixels[..., 0], image)
    assert (colours.notes, colours.contrast) == ((), None)


def test_contrast_limits_go_before_percentiles_for_grey_alone():
    for dtype in (np.uint8, np.uint16, np.int32, np.float32):
        image = GREY.astype(dtype)
        found = to_rgb(image, (50, 150))
        expected = np.clip((GREY - 50.0) / 100, 0, 1) * 255
        np.testing.assert_allclose(found.pixels[..., 0], expected, atol=0.5 + 1e-6)
        assert "values 50 to 150 (contrast limits)" in found.notes[0]
        assert found.contrast == {"black": 50, "white": 150, "source": "contrast limits"}
    np.testing.assert_array_equal(to_rgb(RGB, (50, 150)).pixels, RGB)
    np.testing.assert_array_equal(to_rgb(GREY, (0, 255)).pixels[..., 0], GREY)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ((300, 400), "Set the contrast limits to the range of the image"),
        ((-9, -5), "Set the contrast limits to the range of the image"),
        ((5, 5), "two increasing numbers"),
        ((9, 2), "two increasing numbers"),
        ((0, np.nan), "two increasing numbers"),
        ((0, np.inf), "two increasing numbers"),
    ],
)
def test_contrast_limits_that_leave_nothing_to_see(limits, words):
    with pytest.raises(InvalidInputError, match=words):
        to_rgb(GREY, limits)


def test_stretching_treats_channels_alike():
    image = RGB.astype(np.float32) * 4
    image[..., 2] /= 100
    assert to_rgb(image).pixels[..., 2].max() < 10 < to_rgb(image).pixels[..., 1].max()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int64])
def test_few_bright_pixels_of_an_empty_field_stay_visible(dtype):
    image = np.zeros((100, 100), dtype)
    image[50, 50] = 100  # beyond the percentile, which is 0
    pixels = to_rgb(image).pixels[..., 0]
    assert (pixels[50, 50], pixels.sum()) == (255, 255)


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("scale", [1, 1 / 255, 257], ids=["uint8", "float", "uint16"])
def test_colour_order_is_kept(channel, scale):
    image = np.zeros((16, 16, 3))
    image[4:12, 4:12, channel] = 255 * scale
    image = image if scale < 1 else image.astype(np.uint8 if scale == 1 else np.uint16)
    pixels = to_rgb(image).pixels
    assert np.flatnonzero(pixels.any(axis=(0, 1))).tolist() == [channel]
    planes = normalised(pixels, (0, 0, 0), (1, 1, 1))[0]
    assert planes.amax(dim=(1, 2)).argmax() == channel
    for resampling in ("bicubic", "bilinear"):
        assert resized(pixels, (32, 24), resampling).max(axis=(0, 1)).argmax() == channel


@pytest.mark.parametrize("writeable", [True, False])
def test_result_is_no_view_of_the_given_image(writeable):
    image = RGB.copy()
    image.flags.writeable = writeable
    pixels = to_rgb(image).pixels
    assert not np.shares_memory(pixels, image)
    normalised(pixels, (0, 0, 0), (1, 1, 1))  # torch warns of read-only arrays
    resized(pixels, (10, 10), "bilinear")


def test_given_image_is_not_changed():
    for image in (RGB, RGB / 255, RGB.astype(np.uint16) * 9, GREY > 9, np.dstack([RGB, GREY])):
        image = image.copy()
        before = image.copy()
        pixels = to_rgb(image).pixels
        normalised(pixels, (0, 0, 0), (1, 1, 1)).zero_()
        squashed(pixels, 8).zero_()
        np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("shape", "side", "patch", "expected"),
    [
        ((100, 100), 336, 16, (336, 336)),
        ((375, 500), 336, 16, (336, 448)),
        ((500, 375), 336, 14, (448, 336)),
        ((100, 161), 64, 16, (64, 96)),  # 103.04 / 16 = 6.44
        ((100, 163), 64, 16, (64, 112)),  # 104.32 / 16 = 6.52
        ((10, 10), 40, 16, (48, 48)),  # halves go up
        ((8, 8), 32, 96, (96, 96)),  # never without a patch
    ],
)
def test_size_in_whole_patches(shape, side, patch, expected):
    assert patch_aligned_shape(shape, side, patch) == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((100, 200), (336, 672)), ((375, 500), (336, 448)), ((100, 10_000), (20, 2048)),
     ((9, 90_000), (1, 2048))],
)  # fmt: skip
def test_size_with_the_ratio_kept(shape, expected):
    assert kept_ratio_shape(shape, 336) == expected


def test_enlarging_shifts_nothing():
    image = np.zeros((20, 30, 3), np.uint8)
    image[5:9, 18:24] = 200
    centre = np.array(ndimage.center_of_mass(image[..., 0])) + 0.5
    for resampling in ("bicubic", "bilinear"):
        large = resized(image, (80, 120), resampling)
        assert large.dtype == np.uint8
        found = np.array(ndimage.center_of_mass(large[..., 0].astype(float))) + 0.5
        np.testing.assert_allclose(found, centre * 4, atol=0.1)


def test_normalised_as_clip_wants_it():
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = ((RGB / 255 - mean) / std).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(normalised(RGB, mean, std), expected, atol=1e-6)


def test_squashed_takes_the_nearest_pixel():
    rows, columns = (np.arange(50) * np.array([[20], [30]]) / 50).astype(int)
    expected = (RGB[rows][:, columns] / 127.5 - 1).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(squashed(RGB, 50), expected, atol=1e-6)


@pytest.mark.parametrize("multiple", [1, 8, 16, 56])
def test_padded_with_zeros_around(multiple):
    planes = normalised(RGB, (0, 0, 0), (1, 1, 1)) + 1
    found, (top, left) = padded(planes, multiple)
    height, width = found.shape[-2:]
    assert height % multiple == width % multiple == 0
    assert 0 <= height - 20 < multiple
    assert 0 <= width - 30 < multiple
    assert abs(2 * top - (height - 20)) <= 1  # as much above as below
    assert abs(2 * left - (width - 30)) <= 1
    np.testing.assert_array_equal(found[..., top : top + 20, left : left + 30], planes)
    assert found.sum() == pytest.approx(planes.sum().item(), rel=1e-6)
