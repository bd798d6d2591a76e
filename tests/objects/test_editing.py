"""Single objects are merged, cut, deleted and added; the others stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import ball

from napari_cliper.objects.editing import add, cut, delete, inside_box, merge
from napari_cliper.objects.linking import link
from napari_cliper.objects.numbering import keep_numbers
from napari_cliper.objects.object_set import objects_of
from napari_cliper.objects.summary import class_summaries
from napari_cliper.objects.tracking import link_moving
from napari_cliper.segmentation import InvalidInputError

SHAPE = (60, 100)


@pytest.fixture
def objects():
    numbers = np.zeros(SHAPE, np.int32)
    numbers[10:30, 10:50] = 4
    numbers[10:30, 50:60] = 7
    numbers[ball(SHAPE, (45, 80), 8)] = 90
    return objects_of(numbers).with_labels({4: 1, 7: 2, 90: 3})


def test_merge(objects):
    found = merge(objects, [7, 4])
    assert found.ids.tolist() == [7, 90]
    assert found.class_of(7) == 2  # that of the first, which is the smaller one
    assert found.areas.tolist() == [20 * 50, int(objects.areas[2])]
    for wrong in ([4], [4, 4], [4, 5]):
        with pytest.raises(InvalidInputError):
            merge(objects, wrong)


def test_cut_along_lines_in_all_directions(objects):
    for start, stop in (((5, 20), (35, 20)), ((8, 12), (34, 44)), ((34, 16), (8, 42))):
        found = cut(objects, start, stop)
        assert found.ids.tolist() == [4, 7, 90, 91]
        assert np.array_equal(found.numbers > 0, objects.numbers > 0)
        assert found.areas[0] >= found.areas[3] > 100
        assert found.areas[0] + found.areas[3] == 800
        assert found.class_of(91) == 1
        unchanged = np.isin(objects.numbers, [7, 90])
        assert np.array_equal(found.numbers[unchanged], objects.numbers[unchanged])
    for start, stop in (((20, 5), (20, 30)), ((0, 0), (5, 99)), ((-20, 90), (-5, 120))):
        assert np.array_equal(cut(objects, start, stop).numbers, objects.numbers)
    both = cut(objects, (20, 0), (20, 70))
    assert len(both.ids) == 5


def test_changed_pixels_are_counted_as_the_whole_array_is(objects):
    rng = np.random.default_rng(0)
    for _ in range(20):
        numbers = objects.numbers.copy()
        for _ in range(3):
            top, left = rng.integers(0, 50, 2)
            numbers[top : top + 20, left : left + 30] = rng.choice([0, 4, 7, 90, 300])
        found, expected = objects.with_numbers(numbers), objects_of(numbers, objects.label_array())
        for name in ("ids", "labels", "areas"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))
        objects = found
    numbers = objects.numbers.copy()
    numbers[0, 0] = -1
    with pytest.raises(InvalidInputError, match="from -1"):
        objects.with_numbers(numbers)


def test_delete_and_add(objects):
    assert delete(objects, [4, 90]).ids.tolist() == [7]
    assert inside_box(objects, (slice(0, 40), slice(0, 60))) == [4, 7]
    assert inside_box(objects, (slice(0, 40), slice(12, 99))) == [7]
    assert inside_box(objects, (slice(0, 5), slice(0, 5))) == []
    found = add(objects, ball(SHAPE, (20, 55), 4), 3)
    assert found.class_of(91) == 3
    assert found.areas.sum() == objects.areas.sum()
    with pytest.raises(InvalidInputError, match="at least one pixel"):
        add(objects, np.zeros(SHAPE, bool), 1)
    with pytest.raises(InvalidInputError, match="no object 5"):
        delete(objects, [5])


def test_new_objects_get_no_number_beyond_the_highest(objects):
    last = 2**31 - 1
    mask = np.zeros(SHAPE, bool)
    mask[50:53, 10:13] = True
    assert add(objects, mask, 1, last - 1).ids[-1] == last
    full = objects_of(np.where(mask, np.int32(last), objects.numbers))
    moved = objects_of(np.stack([full.numbers, np.roll(full.numbers, 30, axis=1)]))
    for change in (
        lambda: add(full, np.roll(mask, 9, axis=0), 1),
        lambda: cut(objects, (20, 0), (20, 70), last),
        lambda: keep_numbers(objects, np.where(mask, np.int32(last), 0)),
        lambda: link(moved),
        lambda: link_moving(moved, 5, gap=0),
    ):
        with pytest.raises(InvalidInputError, match="Renumber the objects from 1"):
            change()


def test_summaries(objects):
    found = class_summaries(objects, (1, 5), pixel_size=(2, 2), units=("micrometer", "micrometer"))
    assert list(found) == [1, 2, 3, 5]
    assert found[1].count == 1
    assert found[1].median_area == 800
    assert found[1].density == pytest.approx(1 / (0.12 * 0.2))
    assert (found[5].count, found[5].density) == (0, 0)
    assert class_summaries(objects, pixel_size=(1, 1), units=("pixel", "pixel"))[1].density is None
    assert class_summaries(objects)[2].density is None
