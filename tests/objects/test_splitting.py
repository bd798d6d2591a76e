"""Labels split into objects: how many, where, and which of them stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from shapes import ball, ellipse, pair
from skimage import measure

from napari_cliper.objects.numbering import keep_numbers, split_again, split_region
from napari_cliper.objects.object_set import objects_of
from napari_cliper.objects.splitting import SplitSettings, split, split_planes
from napari_cliper.objects.summary import usual_smallest
from napari_cliper.segmentation import InvalidInputError


def field(seed=0, side=400, count=120, classes=1):
    """Random ellipses of up to three classes, many of which touch."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint8)
    for _ in range(count):
        centre, axes = rng.uniform(0, side, 2), rng.uniform(6, 14, 2)
        shape = ellipse(labels.shape, centre, axes, rng.uniform(0, np.pi))
        labels[shape] = rng.integers(1, classes + 1)
    return labels


def test_touching_discs_are_two_objects_at_every_size_and_angle():
    for radius in (6, 10, 20, 45):
        for angle in (0, 0.3, np.pi / 4, 1.2):
            for overlap in (0.2, 0.4, 0.6) if radius > 6 else (0.2, 0.4):
                both = pair(radius, overlap, angle)
                found = split(both.astype(np.uint8))
                assert len(found.ids) == 2, (radius, angle, overlap)
                assert abs(int(found.areas[0]) - int(found.areas[1])) < 0.1 * both.sum()
                assert found.diameters[1] == pytest.approx(2 * radius, abs=1.6)


def test_single_shapes_stay_whole():
    shape = (160, 160)
    for angle in np.linspace(0, np.pi, 9):
        for axes in ((8, 8), (25, 9), (60, 5), (70, 30), (3, 2)):
            assert len(split(ellipse(shape, (80, 80), axes, angle).astype(np.uint8)).ids) == 1
    square = np.zeros(shape, np.uint8)
    square[20:90, 30:100] = 1
    assert len(split(square).ids) == 1
    assert len(split(np.ones((30, 40), np.uint8)).ids) == 1
    rng = np.random.default_rng(1)
    rough = ndimage.gaussian_filter(rng.standard_normal(shape), 2) * 25
    y, x = np.indices(shape)
    blob = (np.hypot(y - 80, x - 80) + rough < 50).astype(np.uint8)
    blob = (measure.label(blob) == measure.label(blob)[80, 80]).astype(np.uint8)
    assert len(split(blob).ids) == 1


def test_every_pixel_keeps_its_class_and_objects_are_connected():
    labels = field(classes=3)
    found = split(labels)
    assert np.array_equal(found.label_array(), labels)
    assert np.array_equal(found.ids, np.arange(1, len(found.ids) + 1))
    assert np.array_equal(found.areas, np.bincount(found.numbers.ravel())[1:])
    for number, box in enumerate(ndimage.find_objects(found.numbers), 1):
        own = found.numbers[box] == number
        assert measure.label(own, connectivity=2).max() == 1
        assert set(labels[box][own]) == {found.class_of(number)}
    assert set(found.diameters) == {1, 2, 3}
    assert all(8 < width < 30 for width in found.diameters.values())
    first = [int(np.flatnonzero(found.numbers == number)[0]) for number in found.ids]
    assert first == sorted(first)
    assert found.counts() == {one: int((found.labels == one).sum()) for one in (1, 2, 3)}


def test_settings():
    labels = field(seed=3)
    regions = split(labels, SplitSettings(touching=False))
    assert len(regions.ids) == measure.label(labels, connectivity=2).max()
    whole = split(labels)
    assert len(whole.ids) > len(regions.ids)
    large = split(labels, SplitSettings(smallest=150))
    assert len(large.ids) == (whole.areas >= 150).sum()
    inner = split(labels, SplitSettings(border=False))
    edge = np.concatenate([whole.numbers[[0, -1]].ravel(), whole.numbers[:, [0, -1]].ravel()])
    assert len(inner.ids) == len(whole.ids) - len(set(edge) - {0})
    bud = ball((80, 80), (40, 30), 18) | ball((80, 80), (40, 52), 7)
    assert len(split(bud.astype(np.uint8)).ids) == 2
    joined = SplitSettings(diameters={1: 36.0})
    assert len(split(bud.astype(np.uint8), joined).ids) == 1
    assert len(split(2 * bud.astype(np.uint8), joined).ids) == 2  # another class
    with pytest.raises(InvalidInputError, match="smallest size is 0"):
        SplitSettings(smallest=0)
    with pytest.raises(InvalidInputError, match="diameter of label 2"):
        SplitSettings(diameters={2: 0.0})


def test_specks_hardly_change_the_usual_smallest_size_and_small_objects_count():
    labels = np.zeros((100, 200), np.uint8)
    labels[10:60, 10:110] = 1
    labels[70:90, 10:30] = labels[70:90, 50:70] = 2  # 400 pixels
    assert usual_smallest(split(labels)) == 20  # not a twentieth of 5,000
    labels[::4, 120::4] = 2  # 500 specks are more than half of the pixels, ...
    assert usual_smallest(split(labels)) == 20
    labels[70:90, 50:70] = 0  # ... now they are
    assert usual_smallest(split(labels)) == 1
    assert usual_smallest(split(np.zeros((20, 20), np.uint8))) == 1


def test_nothing_to_split():
    empty = split(np.zeros((20, 30), np.uint8))
    assert len(empty.ids) == 0
    assert empty.numbers.shape == (20, 30)
    assert not empty.diameters
    again = split_again(np.zeros((20, 30), np.uint8), empty)
    assert len(again.ids) == 0


def test_volumes_with_thick_slices_and_stacks_of_planes():
    shape, spacing = (18, 60, 90), (3.0, 1.0, 1.0)
    one = ball(shape, (9, 30, 30), 18, spacing)
    other = ball(shape, (9, 30, 61), 18, spacing)
    labels = (one | other).astype(np.uint8)
    found = split(labels, spacing=spacing)
    assert len(found.ids) == 2
    assert found.diameters[1] == pytest.approx(36, abs=4)
    assert found.class_of(1) == 1
    stack = split_planes(labels[7:11])
    assert len(stack.ids) == 8
    assert all(len(np.unique(plane)) == 3 for plane in stack.numbers)
    for index, plane in enumerate(labels[7:11]):
        alone = split(plane).numbers
        assert np.array_equal(np.where(alone, alone + 2 * index, 0), stack.numbers[index])
    with pytest.raises(InvalidInputError, match="split_planes"):
        split(labels[None])
    with pytest.raises(InvalidInputError, match="3 positive numbers"):
        split(labels, spacing=(1, 1))


def test_objects_that_do_not_change_keep_their_numbers():
    labels = field(seed=5)
    earlier = split(labels)
    changed = labels.copy()
    changed[:150, :150] = 0
    changed[10:40, 10:40] = 1
    later = split_again(changed, earlier)
    for number in earlier.ids:
        own = earlier.numbers == number
        if not own[:152, :152].any():
            assert set(later.numbers[own]) == {number}
    new = later.numbers[20, 20]
    assert new > earlier.ids.max()
    assert split_again(labels, later).ids.max() > new  # a number is given once
    grown = ndimage.grey_dilation(labels, 3)
    both = split_again(grown, earlier)
    assert np.isin(both.ids, earlier.ids).mean() > 0.8
    assert np.array_equal(both.ids, np.unique(both.numbers)[1:])
    assert np.array_equal(both.areas, np.bincount(both.numbers.ravel())[both.ids])


def test_edited_objects_survive():
    labels = field(seed=7)
    earlier = split(labels)
    merged = earlier.numbers.copy()
    merged[merged == 4] = 3
    edited = objects_of(merged, labels)
    later = split_again(np.zeros_like(labels), edited, edited=[3])
    assert later.ids.tolist() == [3]
    assert np.array_equal(later.numbers == 3, merged == 3)
    again = split_again(labels, edited, edited=[3])
    assert np.array_equal(again.numbers == 3, merged == 3)
    assert len(again.ids) == len(earlier.ids) - 1


def test_a_region_is_split_as_in_the_whole_image():
    labels = field(seed=11, side=520, count=190)
    whole = split(labels)
    region = (slice(180, 300), slice(170, 330))
    part = split_region(labels, region, whole.numbers, highest=int(whole.ids[-1]))
    assert np.array_equal(part.numbers, whole.numbers[region])
    assert np.array_equal(part.labels, whole.labels[np.searchsorted(whole.ids, part.ids)])
    corner = (slice(0, 200), slice(320, 520))
    inner = SplitSettings(border=False)
    expected = split(labels, inner)
    part = split_region(labels, corner, whole.numbers, inner, highest=int(whole.ids[-1]))
    assert np.array_equal(part.numbers > 0, expected.numbers[corner] > 0)


def test_objects_of_a_numbered_array():
    numbers = np.zeros((6, 6), np.uint32)
    numbers[:2] = 70_000
    numbers[4:] = 2_000_000_000
    labels = np.ones((6, 6), np.uint8)
    labels[4:, :5] = 2
    found = objects_of(numbers, labels)
    assert found.ids.tolist() == [70_000, 2_000_000_000]
    assert found.labels.tolist() == [1, 2]
    assert found.areas.tolist() == [12, 12]
    changed = found.with_labels({70_000: 3})
    assert changed.class_of(70_000) == 3
    assert found.class_of(70_000) == 1
    with pytest.raises(InvalidInputError, match="no object 5"):
        changed.with_labels({5: 1})
    with pytest.raises(InvalidInputError, match="only 0 to 2147483647"):
        objects_of(numbers.astype(np.int64) - 1)
    kept = keep_numbers(objects_of(numbers // 70_000), found.numbers)
    assert kept.ids.tolist() == found.ids.tolist()


def test_labels_that_are_no_labels_are_refused():
    """Negative and large numbers would become other labels, fractions none."""
    labels = np.zeros((8, 8), np.uint16)
    labels[2:5, 2:5] = 3
    for dtype in (np.int32, np.float32, np.uint64):
        np.testing.assert_array_equal(split(labels.astype(dtype)).labels, [3])
    for wrong in (-1, 65536, 0.5, np.nan):
        changed = labels.astype(np.float64)
        changed[0, 0] = wrong
        with pytest.raises(InvalidInputError, match=r"array (has labels|contains float64)"):
            split(changed)
