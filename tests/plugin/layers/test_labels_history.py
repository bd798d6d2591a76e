"""Steps of a Labels layer cost what they change, and are undone exactly."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.plugin.layers.annotation_layer import AnnotationLayer
from napari_cliper.plugin.layers.labels_history import part_of_step, write_step

pytestmark = pytest.mark.one_binding

STACK = (6, 64, 80)


class Counting(np.ndarray):
    """An array that counts how many of its pixels are read by arithmetic and comparisons."""

    read = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        Counting.read += max(np.size(one) for one in inputs)
        plain = [one.view(np.ndarray) if isinstance(one, Counting) else one for one in inputs]
        return getattr(ufunc, method)(*plain, **options)


def test_a_stroke_on_a_stack_compares_only_its_box(qapp):
    mine = AnnotationLayer(Image(np.zeros(STACK)), "stack")
    mine.edits.labels = mine.edits.labels.view(Counting)
    mine.layer.brush_size = 5
    expected = np.zeros(STACK, np.uint8)
    for plane, label in ((0, 1), (4, 2)):
        Counting.read = 0
        mine.layer.paint((plane, 20, 30), label)
        qapp.processEvents()
        painted = mine.layer.data[plane] == label
        expected[plane][painted] = PAINTED
        assert painted.sum() > 9
        assert 0 < Counting.read <= 4 * 7 * 7
        np.testing.assert_array_equal(mine.edits.edit_mask, expected)
    mine.layer.undo()
    expected[4] = 0
    mine.follow()
    np.testing.assert_array_equal(mine.edits.edit_mask, expected)
    mine.close()


def test_steps_are_undone_and_redone_exactly():
    rng = np.random.default_rng(0)
    layer = Labels(rng.integers(0, 3, STACK).astype(np.uint16))
    steps, copies = [], [layer.data.copy()]
    layer.events.paint.connect(lambda event: steps.append(event.value))
    for share, place in (
        (1.0, (2, slice(3, 40), slice(5, 60))),  # all of a part
        (0.5, (2, slice(0, 64), slice(0, 80))),  # a mask
        (0.01, (2, slice(10, 64), slice(0, 70))),  # few pixels
        (0.5, (slice(1, 5), slice(10, 64), slice(0, 70))),  # several planes
        (0.01, (slice(1, 5), slice(10, 64), slice(0, 70))),
    ):
        size = copies[-1][place].shape
        mask, new = rng.random(size) < share, rng.integers(5, 9, size)
        expected = copies[-1].copy()
        expected[place][mask] = new[mask]
        write_step(layer, place, new, mask, refresh=True)
        np.testing.assert_array_equal(layer.data, expected)
        box = part_of_step(steps[-1], STACK) or ...  # a mask tells no box
        outside = expected.copy()
        outside[box] = copies[-1][box]
        np.testing.assert_array_equal(outside, copies[-1])
        copies.append(expected)
    assert len(steps) == 5
    for expected in reversed(copies[:-1]):
        layer.undo()
        np.testing.assert_array_equal(layer.data, expected)
    for expected in copies[1:]:
        layer.redo()
        np.testing.assert_array_equal(layer.data, expected)


@pytest.mark.usefixtures("qapp")
def test_planes_before_an_error_are_one_step_that_is_undone():
    mine = AnnotationLayer(Image(np.zeros(STACK)), "stack")

    def fill_then_fail():
        with mine.as_one_step():
            for plane in (1, 3):
                mine.rewrite((plane,), np.full(STACK[1:], plane, np.uint16), PAINTED)
            raise OSError("the next plane cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        fill_then_fail()
    expected = np.zeros(STACK, np.uint16)
    expected[1], expected[3] = 1, 3
    for step, labels in (
        (None, expected),
        (mine.layer.undo, 0 * expected),
        (mine.layer.redo, expected),
    ):
        if step is not None:
            step()
        mine.follow()
        np.testing.assert_array_equal(mine.layer.data, labels)
        np.testing.assert_array_equal(mine.edits.edit_mask, PAINTED * (labels > 0))
    # A later step is by itself: nothing of the earlier one is left over.
    mine.rewrite((5,), np.full(STACK[1:], 9, np.uint16), PAINTED)
    mine.layer.undo()
    mine.follow()
    np.testing.assert_array_equal(mine.layer.data, expected)
    mine.close()
