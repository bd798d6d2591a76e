"""Images of labels over their image, as a person sees them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.io.writers.overlay import overlay
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.labels.palette import class_colours
from napari_cliper.segmentation import InvalidInputError

RED = np.zeros((10, 12, 3), np.uint8)
RED[..., 0] = 255
RED[0, 0] = (10, 20, 30)
ROWS = {1: ClassRow("one"), 2: ClassRow("two")}


def drawn(labels, classes=ROWS, image=RED):
    return overlay(LabelledImage("a", labels, classes, image=image))


def colours_in(picture):
    return {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3).tolist()}


def legend(labels, classes=ROWS):
    picture = np.asarray(drawn(labels, classes))
    return picture[:, labels.shape[1] :]


def test_only_the_labelled_pixels_are_coloured():
    labels = np.zeros(RED.shape[:2], np.uint8)
    labels[2:6, 2:6] = 2
    picture = np.asarray(drawn(labels))
    np.testing.assert_array_equal(picture[8:10, :12], RED[8:])
    np.testing.assert_array_equal(picture[2, 2], class_colours(2)[1])  # the border
    inside = 0.6 * RED[3, 3] + 0.4 * class_colours(2)[1]
    np.testing.assert_allclose(picture[3, 3], inside, atol=1.5)


def test_classes_have_their_own_colours_there_and_in_the_legend():
    labels = np.zeros(RED.shape[:2], np.uint16)
    labels[2:6, 2:6], labels[7:9, 2:6] = 7, 65535
    rows = {7: ClassRow("seven", colour=(1, 2, 3)), 65535: ClassRow("last", colour=(9, 8, 7))}
    picture = np.asarray(drawn(labels, rows))
    assert picture[2, 2].tolist() == [1, 2, 3]
    assert picture[7, 2].tolist() == [9, 8, 7]
    assert {(1, 2, 3), (9, 8, 7)} <= colours_in(legend(labels, rows))
    # The inside of a region looks the same in both: mixed with the image.
    assert tuple(picture[3, 3].tolist()) in colours_in(legend(labels, rows))


def test_the_legend_lists_what_occurs_alone():
    labels = np.zeros(RED.shape[:2], np.uint8)
    labels[0] = 2
    one, two = (tuple(colour) for colour in class_colours(2).tolist())
    found = colours_in(legend(labels))
    assert two in found
    assert one not in found


def test_a_label_without_a_class_is_white_and_has_its_line():
    labels = np.zeros(RED.shape[:2], np.uint8)
    labels[2:6, 2:6] = 9
    assert np.asarray(drawn(labels))[2, 2].tolist() == [255, 255, 255]
    # It is written out: the legend is that of a class which is called so.
    called = {9: ClassRow("label 9", colour=(255, 255, 255))}
    np.testing.assert_array_equal(legend(labels), legend(labels, called))


@pytest.mark.parametrize("name", ["one", "核 ядро", "half \ud83d", "x\x01y", "a / 'b'" * 20])
def test_every_name_is_drawn(name):
    labels = np.zeros(RED.shape[:2], np.uint8)
    assert drawn(labels).width > 12  # it says that nothing was found
    labels[0] = 1
    assert (legend(labels, {1: ClassRow(name, colour=(0, 0, 255))}) < 128).any()


IMAGES = {
    "grey": np.full((4, 6), 7, np.uint8),
    "one channel": np.full((4, 6, 1), 7, np.uint8),
    "alpha": np.full((4, 6, 4), 7, np.uint8),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_eight_bits_keep_their_values(kind):
    picture = np.asarray(drawn(np.zeros((4, 6), np.uint8), image=IMAGES[kind]))
    assert (picture[:4, :6] == 7).all()


@pytest.mark.parametrize(
    "image",
    [
        np.linspace(100, 4000, 2400, dtype=np.uint16).reshape(40, 60),
        np.linspace(-1, 1e6, 2400).reshape(40, 60),
        np.stack([np.linspace(0, 9, 2400).reshape(40, 60)] * 2, axis=-1),
        np.linspace(3, 19, 2400).astype(np.uint8).reshape(40, 60),
    ],
    ids=["uint16", "float", "two channels", "dark uint8"],
)
def test_other_values_are_stretched_from_black_to_white(image):
    picture = np.asarray(drawn(np.zeros((40, 60), np.uint8), image=image))[:40, :60]
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[-1, -1, 0] == 255
    assert (np.diff(picture[..., 0].ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize("image", [None, np.full((4, 6), np.nan), np.full((4, 6), 5.0)])
def test_images_without_contrast_are_drawn(image):
    labels = np.zeros((4, 6), np.uint8)
    labels[1, 1] = 1
    picture = np.asarray(drawn(labels, image=image))
    assert picture[1, 1].tolist() == class_colours(1)[0].tolist()


def test_stacks_are_refused():
    with pytest.raises(InvalidInputError, match="plane by plane"):
        drawn(np.zeros((2, 4, 6), np.uint8), image=None)
