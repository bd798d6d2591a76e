"""A result lies exactly over its pixels, and what is read is what the layer holds."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes

from napari_cliper.plugin.layers.image_layers import (
    MIN_SIDE,
    OUTPUT_KEY,
    ImageChoice,
    axis_name,
    check_whole,
    current_plane,
    image_shape,
    is_output,
    labels_shape,
    map_transforms,
    place,
    rectangle_region,
    transforms,
    visible_region,
)
from napari_cliper.segmentation import InvalidInputError
from napari_cliper.segmentation.features.preprocessing import MIN_SIDE as ENGINE_MIN_SIDE

# shape, rgb
pytestmark = pytest.mark.one_binding

KINDS = {
    "grey": ((20, 30), False),
    "rgb": ((20, 30, 3), True),
    "rgba": ((20, 30, 4), True),
    "stack": ((5, 20, 30), False),
    "rgb stack": ((5, 20, 30, 3), True),
    "time and depth": ((2, 5, 20, 30), False),
}
REGIONS = {"whole": None, "region": (slice(4, 17), slice(9, 28))}


def any_image(kind, seed, **keywords):
    shape, rgb = KINDS[kind]
    pixels = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    return Image(pixels, rgb=rgb, **keywords)


def any_transforms(ndim, seed):
    """Scale, translation, rotation, shear and affine, all of them at once."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(ndim, ndim)))
    affine = np.eye(ndim + 1)
    affine[:-1, :-1] += rng.normal(scale=0.3, size=(ndim, ndim))
    affine[:-1, -1] = rng.normal(scale=20, size=ndim)
    shear = rng.normal(scale=0.4, size=ndim * (ndim - 1) // 2)
    if seed % 2:  # a lower triangular matrix is allowed as well
        shear = np.tril(rng.normal(scale=0.4, size=(ndim, ndim)), -1) + np.eye(ndim)
    return {
        "scale": rng.uniform(0.1, 5, ndim) * rng.choice([-1, 1], ndim),
        "translate": rng.normal(scale=50, size=ndim),
        "rotate": rotation,
        "shear": shear,
        "affine": affine,
    }


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


# ------------------------------------------------------------------ planes


@pytest.mark.parametrize("seed", range(3))
def test_the_current_plane_is_the_one_that_napari_shows(seed):
    rng = np.random.default_rng(seed)
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 40, 20, 30)), scale=(1, 0.7, 1, 1))  # more axes, another range
    image = any_image("stack", seed, scale=(2.5, 1, 1), translate=(3.2, 5, 5))
    viewer.add_layer(image)
    planes = set()
    for depth in rng.uniform(3, 13, 10):
        viewer.dims.point = (1, depth, 9, 9)
        (z,) = current_plane(viewer, image)
        assert image.get_value((1, depth, 9, 9), world=True) == image.data[z, 4, 4]
        planes.add(z)
    assert len(planes) > 2
    assert current_plane(viewer, any_image("grey", 0)) == ()


def test_the_current_plane_across_units():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 20, 30)), units="um")
    image = Image(np.zeros((5, 20, 30)), scale=(0.01, 0.001, 0.001), units="mm")
    viewer.add_layer(image)
    viewer.dims.point = (29.7, 0, 0)
    assert viewer.dims.units is not None
    factor = 1 if str(viewer.dims.units[0]) == "micrometer" else 1000
    assert current_plane(viewer, image) == (round(29.7 * factor / 10),)


def test_no_current_plane():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 20, 30)))
    image = any_image("stack", 0, name="cells", axis_labels=("z", "y", "x"))
    viewer.add_layer(image)
    viewer.dims.point = (17, 0, 0)
    with pytest.raises(InvalidInputError, match=r"is at z 17, but cells goes from 0 to 4"):
        current_plane(viewer, image)
    viewer.dims.point = (2, 0, 0)
    viewer.dims.ndisplay = 3
    with pytest.raises(InvalidInputError, match="no current plane"):
        current_plane(viewer, image)
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    with pytest.raises(InvalidInputError, match="no current plane"):
        current_plane(viewer, image)
    viewer.dims.order = (0, 2, 1)  # only transposed: the slider is still that of z
    assert current_plane(viewer, image) == (2,)


def test_axis_names():
    assert axis_name(any_image("stack", 0), 0) == "plane"
    assert axis_name(Image(np.zeros((2, 3, 4, 5))), 0) == "axis -4"
    assert axis_name(any_image("stack", 0, axis_labels=("depth", "y", "x")), 0) == "depth"


# ------------------------------------------------------------------ rectangles


def box(top, left, bottom, right):
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)], dtype=float)


def drawn(image, rectangle, **keywords):
    """A viewer with a rectangle that is given in pixels of the image."""
    shapes = Shapes(**keywords, ndim=2)
    world = [image.data_to_world(corner) for corner in rectangle]
    shapes.add_rectangles(np.array([shapes.world_to_data(corner) for corner in world]))
    viewer = ViewerModel()
    viewer.add_layer(image)
    viewer.add_layer(shapes)
    return viewer, shapes


@pytest.mark.parametrize("seed", range(6))
def test_a_rectangle_is_found_through_both_transforms(seed):
    image = any_image("grey", seed, **any_transforms(2, seed))
    own = {"scale": (0.3, 2), "translate": (seed, -seed), "rotate": 15 * seed}
    viewer, shapes = drawn(image, box(3, 6, 14, 21), **own)
    assert rectangle_region(viewer, image, shapes) == (slice(3, 15), slice(6, 22))


def test_pixels_belong_to_a_rectangle_by_their_centres():
    image = any_image("grey", 0)
    viewer, shapes = drawn(image, box(2.6, 5.4, 14.4, 20.6))
    assert rectangle_region(viewer, image, shapes) == (slice(3, 15), slice(6, 21))


def test_a_rotated_rectangle_takes_its_bounding_box():
    image = any_image("grey", 0)
    viewer, shapes = drawn(image, np.array([(9, 5), (3, 12), (9, 19), (15, 12)], dtype=float))
    assert rectangle_region(viewer, image, shapes) == (slice(3, 16), slice(5, 20))


def test_a_rectangle_is_clipped_to_the_image():
    image = any_image("rgb", 0)
    viewer, shapes = drawn(image, box(-50, 12, 400, 900))
    assert rectangle_region(viewer, image, shapes) == (slice(0, 20), slice(12, 30))


def test_a_rectangle_in_other_units():
    image = Image(np.zeros((200, 300)), scale=(0.5, 0.5), units="um")
    shapes = Shapes(box(0.01, 0.02, 0.03, 0.05), shape_type="rectangle", units="mm")
    viewer = ViewerModel()
    viewer.add_layer(image)
    viewer.add_layer(shapes)
    assert rectangle_region(viewer, image, shapes) == (slice(20, 61), slice(40, 101))


def test_a_rectangle_on_a_stack_and_in_a_layer_of_more_axes():
    image = any_image("stack", 0, scale=(3, 2, 2), translate=(50, 0, 0))
    flat = Shapes(2 * box(3, 6, 14, 21), shape_type="rectangle")
    deep = Shapes(np.insert(2 * box(3, 6, 14, 21), 0, 56, axis=1), shape_type="rectangle", ndim=3)
    for shapes in (flat, deep):
        viewer = ViewerModel()
        viewer.add_layer(image)
        viewer.add_layer(shapes)
        assert rectangle_region(viewer, image, shapes) == (slice(3, 15), slice(6, 22))


def test_the_selected_rectangle_goes_before_the_one_drawn_last():
    image = any_image("grey", 0)
    viewer, shapes = drawn(image, box(0, 0, 9, 9))
    shapes.add_rectangles(box(5, 5, 18, 18))
    shapes.add_ellipses(box(0, 0, 19, 29))
    shapes.selected_data = set()
    assert rectangle_region(viewer, image, shapes) == (slice(5, 19), slice(5, 19))
    shapes.selected_data = {0, 2}
    assert rectangle_region(viewer, image, shapes) == (slice(0, 10), slice(0, 10))
    shapes.selected_data = {2}
    assert rectangle_region(viewer, image, shapes) == (slice(5, 19), slice(5, 19))


@pytest.mark.parametrize(
    ("rectangle", "words"),
    [
        (box(100, 100, 130, 130), "outside cells"),
        (box(-30, 0, -0.6, 30), "outside cells"),
        (box(2, 2, 4, 25), "3 x 24 pixels; each side needs at least 8"),
        (box(2, 2, 2.2, 25), "1 x 24 pixels"),
        (box(2.2, 2, 2.4, 25), "0 x 24 pixels"),
        (box(15, 2, 40, 25), "5 x 24 pixels"),
    ],
)
def test_a_rectangle_of_too_little(rectangle, words):
    image = any_image("grey", 0, name="cells")
    viewer, shapes = drawn(image, rectangle)
    with pytest.raises(InvalidInputError, match=words):
        rectangle_region(viewer, image, shapes)
    shapes.selected_data = {0}
    shapes.remove_selected()
    with pytest.raises(InvalidInputError, match="contains no rectangle"):
        rectangle_region(viewer, image, shapes)


def test_the_smallest_image_is_that_of_the_engine():
    assert MIN_SIDE == ENGINE_MIN_SIDE
    check_whole(Image(np.zeros((8, 8))))
    with pytest.raises(InvalidInputError, match="tiny has 7 x 40 pixels"):
        check_whole(Image(np.zeros((7, 40)), name="tiny"))


# ------------------------------------------------------------------ the view


def test_what_is_visible_without_a_window():
    viewer = ViewerModel()
    viewer.canvas.size = (300, 600)
    image = Image(np.zeros((5, 400, 500)), scale=(1, 2, 2), name="cells")
    viewer.add_layer(image)
    viewer.scene.camera.center = (0, 400, 500)
    viewer.scene.camera.zoom = 3
    # 100 x 200 of the world, 50 x 100 pixels round (200, 250)
    assert visible_region(viewer, image) == (slice(175, 226), slice(200, 301))
    viewer.scene.camera.center = (0, 0, 1000)
    assert visible_region(viewer, image) == (slice(0, 26), slice(450, 500))
    viewer.dims.order = (0, 2, 1)  # x goes down now
    viewer.scene.camera.zoom = 3
    viewer.scene.camera.center = (0, 500, 400)
    assert visible_region(viewer, image) == (slice(150, 251), slice(225, 276))
    viewer.scene.camera.center = (0, 5000, 400)
    with pytest.raises(InvalidInputError, match="outside cells"):
        visible_region(viewer, image)
    viewer.dims.ndisplay = 3
    with pytest.raises(InvalidInputError, match="in the 2-D view"):
        visible_region(viewer, image)


def test_what_is_visible_agrees_with_napari(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    full = np.random.default_rng(0).random((2000, 3000))
    image = viewer.add_image(full, scale=(0.5, 2), translate=(30, -7), rotate=10)
    same = transforms(ImageChoice(image, ""))
    pyramid = viewer.add_image([full, full[::2, ::2]], multiscale=True, **same)
    before = image.corner_pixels.copy()
    viewer.scene.camera.zoom *= 4
    viewer.scene.camera.center = (0, 400, 2500)
    qtbot.waitUntil(lambda: (image.corner_pixels != before).any())
    qtbot.wait(100)
    region = visible_region(viewer, image)
    corners = image.corner_pixels
    np.testing.assert_allclose([part.start for part in region], corners[0], atol=1)
    np.testing.assert_allclose([part.stop - 1 for part in region], corners[1], atol=1)
    assert visible_region(viewer, pyramid) == region
