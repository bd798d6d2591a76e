"""Objects that move without overlap, and objects that are missing in a frame."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from shapes import ball

from napari_cliper.objects.linking import Split, link
from napari_cliper.objects.object_set import objects_of
from napari_cliper.objects.tracking import link_moving
from napari_cliper.segmentation import InvalidInputError

SHAPE = (60, 120)


def movie():
    """A fast disc, a disc that is missing in a frame, and one that divides and jumps apart."""
    frames = np.zeros((5, *SHAPE), np.int32)
    for time, frame in enumerate(frames):
        frame[ball(SHAPE, (8, 10 + 15 * time), 5)] = 1
        if time != 2:
            frame[ball(SHAPE, (30, 20 + time), 5)] = 2
        if time < 3:
            frame[ball(SHAPE, (50, 80), 6)] = 3
        else:
            frame[ball(SHAPE, (50, 70), 3)] = 3
            frame[ball(SHAPE, (50, 92), 3)] = 4
    return frames


def test_motion_gaps_and_division():
    frames = movie()
    rng = np.random.default_rng(0)
    shuffled = np.stack([np.concatenate([[0], rng.permutation(9)[:4] + 1])[one] for one in frames])
    shuffled[0] = frames[0]
    found = link_moving(objects_of(shuffled), farthest=18)
    for number in (1, 2):
        own = np.unique(found.objects.numbers[frames == number]).tolist()
        assert own == [number]
    assert found.objects.numbers[4, 50, 70] == 3  # the nearer part keeps the number
    new = int(found.objects.numbers[4, 50, 92])
    assert found.splits == (Split(2, 3, (3, new)),)
    assert not found.merges
    assert len(found.objects.ids) == 4
    assert len(link(objects_of(shuffled)).objects.ids) > 4  # overlap alone loses the fast one


def test_what_is_needed_is_said(monkeypatch):
    objects = objects_of(movie())
    for farthest, gap in ((0, 1), (np.nan, 1), (5, -1)):
        with pytest.raises(InvalidInputError, match="longest way"):
            link_moving(objects, farthest, gap=gap)
    with pytest.raises(InvalidInputError, match="one leading axis"):
        link_moving(objects_of(movie()[0]), 5)
    monkeypatch.setitem(sys.modules, "laptrack", None)
    with pytest.raises(InvalidInputError, match=r"napari-cliper\[track\]"):
        link_moving(objects, 5)
