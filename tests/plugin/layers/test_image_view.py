"""Planes, rectangles and the visible region of an image are what napari shows."""

from __future__ import annotations

import numpy as np
import pytest
from any_images import any_image, any_transforms
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_cliper.plugin.layers.image_layers import ImageChoice, transforms
from napari_cliper.plugin.layers.image_view import current_plane, rectangle_region, visible_region
from napari_cliper.segmentation import InvalidInputError

pytestmark = pytest.mark.one_binding

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
