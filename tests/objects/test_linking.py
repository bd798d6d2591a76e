"""Objects keep their numbers through planes; splits and merges are listed."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import ball

from napari_cliper.objects.linking import Merge, Split, link
from napari_cliper.objects.object_set import objects_of
from napari_cliper.objects.splitting import split_planes
from napari_cliper.segmentation import InvalidInputError

SHAPE = (60, 120)


def movie():
    """Frames: a disc that drifts, one that divides, two that fuse, and one that comes late."""
    frames = np.zeros((4, *SHAPE), np.int32)
    for time, frame in enumerate(frames):
        frame[ball(SHAPE, (14, 14 + 3 * time), 8)] = 1
        if time < 2:
            frame[ball(SHAPE, (14, 60), 10)] = 2
        else:
            frame[ball(SHAPE, (14, 53), 6)] = 2
            frame[ball(SHAPE, (14, 67), 5)] = 3
        if time < 3:
            frame[40:50, 20:40] = 4
            frame[40:50, 40:50] = 5
        else:
            frame[40:50, 20:50] = 4
        if time > 0:
            frame[40:50, 90:100] = 6
    return frames


def shuffled(frames, seed=0):
    """The same objects with other numbers in every frame."""
    rng = np.random.default_rng(seed)
    renumbered = [np.concatenate([[0], rng.permutation(50)[:6] + 1])[frame] for frame in frames]
    return np.stack(renumbered).astype(np.int32)


def test_objects_keep_their_numbers_and_events_are_listed():
    frames = movie()
    for stack in (frames, shuffled(frames), shuffled(frames, 3)):
        found = link(objects_of(stack))
        numbers = found.objects.numbers
        for number in (1, 2, 4, 6):
            own = [
                set(plane[frame == number]) for plane, frame in zip(numbers, frames, strict=True)
            ]
            assert len(set.union(*own)) == 1, number
        assert np.array_equal(numbers[0], stack[0])
        assert len(found.objects.ids) == 6  # none of the numbers is used for two objects

        def at(time, y, x, numbers=numbers):
            return int(numbers[time, y, x])

        divided, new = at(1, 14, 60), at(2, 14, 67)
        assert found.splits == (Split(1, divided, tuple(sorted((divided, new)))),)
        fused = at(2, 45, 30), at(2, 45, 45)
        assert found.merges == (Merge(2, tuple(sorted(fused)), at(3, 45, 30)),)
        assert at(3, 45, 45) == fused[0]  # the larger one


def test_an_object_that_moves_too_far_is_a_new_one():
    frames = np.zeros((2, *SHAPE), np.uint8)
    frames[0, 10:20, 10:20] = 1
    frames[1, 40:50, 90:100] = 1
    found = link(objects_of(frames))
    assert found.objects.ids.tolist() == [1, 2]
    assert not found.splits
    assert not found.merges


def test_the_assignment_is_the_best_of_all_pairs():
    """Each new object overlaps the same old one most; the sum decides."""
    frames = np.zeros((2, 10, 100), np.int32)
    frames[0, :, 0:20], frames[0, :, 20:60] = 1, 2
    frames[1, :, 0:26], frames[1, :, 26:60] = 1, 2
    swapped = frames.copy()
    swapped[1] = np.array([0, 2, 1])[frames[1]]
    assert np.array_equal(link(objects_of(swapped)).objects.numbers, frames)


def test_classes_follow_the_pixels_and_stacks_of_labels_can_be_linked():
    frames = movie()
    labels = np.where(frames == 1, 2, frames > 0).astype(np.uint8)
    labels[2][frames[2] == 1] = 1  # another class in one frame
    found = link(objects_of(frames, labels))
    assert found.objects.class_of(1) == 2
    assert found.objects.class_of(6) == 1
    split = split_planes(labels)
    linked = link(split)
    assert len(linked.objects.ids) < len(split.ids)
    assert np.array_equal(linked.objects.numbers > 0, labels > 0)
    with pytest.raises(InvalidInputError, match="Give a stack of planes"):
        link(objects_of(frames[0]))


def test_many_objects_are_linked_fast():
    y, x = np.mgrid[:1000, :1000]
    plane = np.where((y % 10 < 8) & (x % 10 < 8), y // 10 * 100 + x // 10 + 1, 0)
    found = link(objects_of(np.stack([plane, np.roll(plane, 1, axis=1)])))
    assert len(found.objects.ids) == 10_000
    assert np.array_equal(found.objects.numbers[1], np.roll(plane, 1, axis=1))
