"""A result lies exactly over its pixels, and what is read is what the layer holds."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from any_images import KINDS, any_image, any_transforms
from napari.layers import Image, Labels

from napari_cliper.plugin.layers.image_layers import (
    OUTPUT_KEY,
    ImageChoice,
    axis_name,
    check_whole,
    image_shape,
    is_output,
    labels_shape,
    map_transforms,
    place,
    transforms,
)
from napari_cliper.segmentation import InvalidInputError

pytestmark = pytest.mark.one_binding

REGIONS = {"whole": None, "region": (slice(4, 17), slice(9, 28))}


def any_plane(layer):
    return tuple(size - 1 for size in image_shape(layer)[:-2])


# napari's own warning where a tilted stack is shown, which is the point of this test
@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing is being requested:UserWarning")
def test_labels_lie_exactly_over_their_pixels(subtests):
    for kind in KINDS:
        for region in REGIONS.values():
            for seed in range(4):
                with subtests.test(kind=kind, region=region, seed=seed):
                    ndim = any_image(kind, seed).ndim
                    units = ("s", "mm", "um", "nm")[-ndim:]
                    labels = ("t", "z", "y", "x")[-ndim:]
                    image = any_image(
                        kind, seed, units=units, axis_labels=labels, **any_transforms(ndim, seed)
                    )
                    choice = ImageChoice(image, "image", any_plane(image), region)
                    layer = Labels(np.zeros(labels_shape(choice), np.uint8), **transforms(choice))

                    first = np.zeros(ndim)
                    if region is not None:
                        first[-2:] = [part.start for part in region]
                    for index in np.random.default_rng(seed).uniform(-3, 40, size=(5, ndim)):
                        np.testing.assert_allclose(
                            layer.data_to_world(index),
                            image.data_to_world(index + first),
                            rtol=1e-9,
                            atol=1e-9,
                        )
                    assert layer.units == image.units
                    assert layer.axis_labels == image.axis_labels

                    pixels = choice.read()
                    layer.data[place(choice)] = 1
                    assert np.count_nonzero(layer.data) == pixels.shape[0] * pixels.shape[1]


def test_a_moved_image_takes_later_results_along():
    image = any_image("grey", 0)
    choice = ImageChoice(image, "image", (), REGIONS["region"])
    image.rotate, image.scale = 30, (2, 3)
    layer = Labels(np.zeros(labels_shape(choice), np.uint8), **transforms(choice))
    np.testing.assert_allclose(layer.data_to_world((0, 0)), image.data_to_world((4, 9)))


def test_transforms_share_nothing_with_the_image():
    image = any_image("stack", 0, scale=(3, 2, 2))
    layer = Labels(np.zeros((5, 20, 30), np.uint8), **transforms(ImageChoice(image, "", (0,))))
    layer.scale, layer.translate, layer.affine = (1, 1, 1), (9, 9, 9), np.diag([2, 2, 2, 1])
    assert tuple(image.scale) == (3, 2, 2)
    assert not np.any(image.translate)
    np.testing.assert_array_equal(image.affine.affine_matrix, np.eye(4))


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_planes_of_a_stack_share_one_shape(region):
    image = any_image("rgb stack", 0)
    shapes = {labels_shape(ImageChoice(image, "", (z,), region)) for z in range(5)}
    assert shapes == {(5, 20, 30) if region is None else (5, 13, 19)}
    assert place(ImageChoice(image, "", (3,), region)) == (3, slice(None), slice(None))


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("kind", ["grey", "rgb stack"])
def test_a_map_of_another_size_ends_where_its_pixels_end(kind, region):
    turned = {
        "grey": {"scale": (0.5, 3), "rotate": 25, "shear": [0.3], "affine": np.diag([2, 3, 1])},
        "rgb stack": {"scale": (4, 0.5, 3), "translate": (7, -8, 9)},
    }[kind]
    image = any_image(kind, 0, **turned)
    choice = ImageChoice(image, "", any_plane(image), region)
    rows, columns = (20, 30) if region is None else (13, 19)
    top, left = (0, 0) if region is None else (4, 9)
    shape = (7, 5)
    first = (0,) * len(choice.plane)
    layer = Image(np.zeros((1,) * len(first) + shape), **map_transforms(choice, shape))
    for (row, column), (y, x) in {
        (-0.5, -0.5): (top - 0.5, left - 0.5),
        (6.5, 4.5): (top + rows - 0.5, left + columns - 0.5),
        (6.5, -0.5): (top + rows - 0.5, left - 0.5),
    }.items():
        np.testing.assert_allclose(
            layer.data_to_world((*first, row, column)), image.data_to_world((*choice.plane, y, x))
        )


# ------------------------------------------------------------------ reading


def test_read_gives_the_pixels_of_the_plane_and_region(subtests):
    for kind, dtype in [
        *((kind, "uint8") for kind in KINDS),
        *(("stack", dtype) for dtype in (">u2", "int32", "float16", "float64", "bool")),
        ("rgb stack", "float32"),
    ]:
        for region in REGIONS.values():
            with subtests.test(kind=kind, dtype=dtype, region=region):
                image = any_image(kind, 0)
                image = Image(image.data.astype(dtype), rgb=image.rgb)
                plane = any_plane(image)
                rows, columns = region or (slice(None), slice(None))
                pixels = ImageChoice(image, "", plane, region).read()
                np.testing.assert_array_equal(pixels, image.data[plane][rows, columns])
                assert pixels.dtype == np.dtype(dtype)


def test_read_is_a_copy_also_of_lazy_data():
    held = np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8)
    lazy = da.from_array(held, chunks=(1, 20, 30))
    for data in (held, lazy, [held, held[:, ::2, ::2]], [lazy, lazy[:, ::2, ::2]]):
        before = held.copy()
        choice = ImageChoice(Image(data, multiscale=isinstance(data, list)), "", (1,))
        pixels = choice.read()
        assert not np.shares_memory(pixels, held)
        np.testing.assert_array_equal(pixels, held[1])
        pixels[:] = 7
        np.testing.assert_array_equal(held, before)


def test_a_pyramid_is_read_at_full_resolution():
    full = np.random.default_rng(0).random((64, 96))
    image = Image([full, full[::2, ::2], full[::4, ::4]], multiscale=True)
    choice = ImageChoice(image, "", (), (slice(8, 40), slice(0, 96)))
    np.testing.assert_array_equal(choice.read(), full[8:40])
    assert labels_shape(choice) == (32, 96)
    assert labels_shape(ImageChoice(image, "")) == (64, 96)


def test_other_data_later_do_not_change_a_choice():
    image = any_image("grey", 0)
    choice, before = ImageChoice(image, ""), image.data.copy()
    image.data = np.zeros((50, 60), np.uint8)
    np.testing.assert_array_equal(choice.read(), before)
    assert labels_shape(choice) == (20, 30)


def test_read_works_in_a_thread():
    image, got = any_image("rgb stack", 0), []
    thread = threading.Thread(target=lambda: got.append(ImageChoice(image, "", (2,)).read()))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(got[0], image.data[2])


def test_key():
    first, second = any_image("stack", 0), any_image("stack", 0)
    key = ImageChoice(first, "a", (1,), REGIONS["region"]).key
    assert key == ImageChoice(first, "renamed", (1,), REGIONS["region"]).key
    assert len({key, ImageChoice(first, "a", (1,), REGIONS["region"]).key}) == 1
    for other in (
        ImageChoice(second, "a", (1,), REGIONS["region"]),
        ImageChoice(first, "a", (2,), REGIONS["region"]),
        ImageChoice(first, "a", (1,)),
        ImageChoice(first, "a", (1,), (slice(4, 17), slice(9, 27))),
    ):
        assert key != other.key


def test_own_outputs_are_known():
    assert is_output(Labels(np.zeros((9, 9), np.uint8), metadata={OUTPUT_KEY: {}}))
    assert not is_output(Image(np.zeros((9, 9)), metadata={"other": 1}))


# ------------------------------------------------------------------ axes and sizes


def test_axis_names():
    assert axis_name(any_image("stack", 0), 0) == "plane"
    assert axis_name(Image(np.zeros((2, 3, 4, 5))), 0) == "axis -4"
    assert axis_name(any_image("stack", 0, axis_labels=("depth", "y", "x")), 0) == "depth"


def test_the_smallest_image():
    check_whole(Image(np.zeros((8, 8))))
    with pytest.raises(InvalidInputError, match="tiny has 7 x 40 pixels"):
        check_whole(Image(np.zeros((7, 40)), name="tiny"))
