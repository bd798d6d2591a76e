"""Accepted pixels on disk that follow hints, against whole arrays in memory."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.annotation import chunks
from napari_cliper.annotation.edit_mask import ACCEPTED, OPEN, PAINTED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.merge import following, moved_by_hint
from napari_cliper.annotation.stored_edits import StoredEdits
from napari_cliper.annotation.stored_follow import StoredFollow
from napari_cliper.segmentation import Monitor, Stopped

SHAPE = (70, 90)
WHOLE = slice(0, 70), slice(0, 90)
REGION = slice(5, 66), slice(7, 81)
NUMBERS = np.array([0, 2, 1, 5], np.uint16)


class Labels:
    """Labels of a region, with every second one as the reduced labels."""

    def __init__(self, labels):
        self.labels, self.reduced, self.shape = labels, labels[::2, ::2], labels.shape

    def __getitem__(self, where):
        return self.labels[where]


def blobs(rng, shape):
    """Labels 0 to 3 in squares of 10 pixels."""
    small = rng.integers(0, 4, [side // 10 + 1 for side in shape]).astype(np.uint8)
    return np.kron(small, np.ones((10, 10), np.uint8))[: shape[0], : shape[1]]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 16)
    monkeypatch.setattr(chunks, "UNPACKED", 3)


def test_accepted_pixels_follow_several_hints_and_their_undo_as_in_arrays_in_memory():
    rng = np.random.default_rng(0)
    before, first, second = (blobs(rng, (61, 74)) for _ in range(3))
    first[30:], second[:, :20] = before[30:], before[:, :20]  # hints that reach only a part
    labels = blobs(rng, SHAPE).astype(np.uint16)
    labels[REGION] = NUMBERS[np.where(rng.random(before.shape) < 0.8, before, first)]
    edit_mask = rng.choice([OPEN, ACCEPTED, PAINTED], SHAPE, p=(0.2, 0.7, 0.1)).astype(np.uint8)
    store = LabelStore(SHAPE)
    store.write(WHOLE, labels, edit_mask)
    edits = StoredEdits(store, (slice(0, 40), slice(10, 60)))
    follow = StoredFollow(REGION, Labels(before))
    follows = following(labels[REGION], edit_mask[REGION], NUMBERS[before])
    expected = labels.copy()
    for after in (first, second, before):
        followed = follow.run(store, Labels(after), NUMBERS, Monitor())
        np.testing.assert_array_equal(store.read_labels(WHOLE), expected)  # until it is taken
        moved = moved_by_hint(edit_mask[REGION], follows, expected[REGION], NUMBERS[after])
        expected[REGION][moved] = NUMBERS[after][moved]
        assert followed.pixels == np.count_nonzero(moved) > 100
        assert not edits.take_followed(followed.fork, followed.changes)
        np.testing.assert_array_equal(store.read_labels(WHOLE), expected)
        edits.catch_up(fully=True)
        np.testing.assert_array_equal(edits.window, expected[:40, 10:60])
        np.testing.assert_array_equal(store.read_edit_mask(WHOLE), edit_mask)
    np.testing.assert_array_equal(expected, labels)
    assert edits.undo() is None  # it was no step


def test_what_is_painted_meanwhile_stays_and_a_stop_changes_nothing():
    rng = np.random.default_rng(1)
    before, after = (blobs(rng, (61, 74)) for _ in range(2))
    store = LabelStore(SHAPE)
    store.write(REGION, NUMBERS[before], np.uint8(ACCEPTED))
    edits = StoredEdits(store, WHOLE)
    follow = StoredFollow(REGION, Labels(before))
    with pytest.raises(Stopped):
        follow.run(store, Labels(after), NUMBERS, Monitor(should_stop=lambda: True))
    np.testing.assert_array_equal(store.read_labels(REGION), NUMBERS[before])
    followed = follow.run(store, Labels(after), NUMBERS, Monitor())
    edits.window[20, 20:30] = 7
    assert edits.follow()
    assert edits.take_followed(followed.fork, followed.changes) == {(1, 1)}
    again = follow.run(store, Labels(after), NUMBERS, Monitor())
    assert not edits.take_followed(again.fork, again.changes)
    expected = np.zeros(SHAPE, np.uint16)
    expected[REGION] = NUMBERS[after]
    expected[20, 20:30] = 7
    np.testing.assert_array_equal(store.read_labels(WHOLE), expected)
