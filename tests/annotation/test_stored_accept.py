"""Predictions accepted into labels on disk, in a thread, against whole arrays in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cliper.annotation import chunks
from napari_cliper.annotation.class_change import Relabelling, relabelled_store
from napari_cliper.annotation.edit_mask import ACCEPTED, PAINTED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.merge import RULES, accept, region_around, region_at
from napari_cliper.annotation.stored_accept import StoredAccept
from napari_cliper.annotation.stored_edits import StoredEdits
from napari_cliper.segmentation import InvalidInputError, Monitor, Stopped

SHAPE = (70, 90)
WHOLE = slice(0, 70), slice(0, 90)
NUMBERS = np.array([0, 2, 1, 5], np.uint16)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 16)
    monkeypatch.setattr(chunks, "UNPACKED", 3)


def blobs(rng, shape):
    """Labels 0 to 3 in squares of 10 pixels."""
    small = rng.integers(0, 4, [side // 10 + 1 for side in shape]).astype(np.uint8)
    return np.kron(small, np.ones((10, 10), np.uint8))[: shape[0], : shape[1]]


def annotated(rng):
    store = LabelStore(SHAPE)
    labels = blobs(rng, SHAPE).astype(np.uint16)
    store.write(WHOLE, labels, rng.choice([0, ACCEPTED, PAINTED], SHAPE).astype(np.uint8))
    return store


def test_what_a_thread_accepts_is_what_whole_arrays_accept():
    for seed, rule in enumerate(RULES * 2):
        rng = np.random.default_rng(seed)
        store = annotated(rng)
        edits = StoredEdits(store, (slice(0, 40), slice(10, 60)))
        region = slice(5, 66), slice(7, 81)
        prediction = blobs(rng, (61, 74))
        chosen = None if seed < len(RULES) else {1, 2}
        where = None if seed % 2 else rng.random(prediction.shape) < 0.8
        work = StoredAccept(region, prediction, NUMBERS, rule, chosen, where)
        before = store.read(WHOLE)
        accepted = work.run(store, Monitor())
        for now, old in zip(store.read(WHOLE), before, strict=True):
            np.testing.assert_array_equal(now, old)  # until it is taken
        edits.window[20, 20:30] = 7  # painted meanwhile, in row 20 and columns 30 to 39
        assert edits.follow()
        painted = store.read(WHOLE)
        every = [one for changes, _ in accepted.changes.values() for one in changes]
        with edits.as_one_step():
            stale = edits.merge(accepted.fork, every)
            assert stale == {(1, 1), (1, 2)}
            for index in stale:
                edits.take_changes(work.accept_chunk(store, index)[0])
        expected = [array.copy() for array in painted]
        found = accept(
            painted[0][region], painted[1][region], NUMBERS[prediction], rule,
            chosen=chosen, where=where,
        )  # fmt: skip
        for array, part in zip(expected, found, strict=True):
            array[region] = part
        for now, then in zip(store.read(WHOLE), expected, strict=True):
            np.testing.assert_array_equal(now, then)
        edits.catch_up(fully=True)
        np.testing.assert_array_equal(edits.window, expected[0][edits.region])
        edits.undo()
        for now, then in zip(store.read(WHOLE), painted, strict=True):
            np.testing.assert_array_equal(now, then)
        edits.redo()
        # A hint moves labels outside of the history; undo changes no other pixel than the step.
        untouched = (expected[0] == painted[0]) & (expected[1] == painted[1])
        moved = np.full(SHAPE, 9, np.uint16)
        edits.replace((slice(None), slice(None)), moved[untouched], untouched)
        edits.undo()
        labels, edit_mask = store.read(WHOLE)
        np.testing.assert_array_equal(labels, np.where(untouched, 9, painted[0]))
        np.testing.assert_array_equal(edit_mask, painted[1])


def test_a_region_around_a_point_and_a_cancelled_job():
    rng = np.random.default_rng(3)
    store, prediction = annotated(rng), np.ones((61, 74), np.uint8)
    prediction[:30] = blobs(rng, (30, 74))
    prediction[29] = 0
    region = slice(5, 66), slice(7, 81)
    for row, column in ((40, 70), (60, 0), (12, 3), (25, 40)):
        if not prediction[row, column]:
            continue
        part, found = region_around(prediction, row, column, side=4)
        whole = np.zeros(prediction.shape, bool)
        whole[part] = found
        np.testing.assert_array_equal(whole, region_at(prediction, row, column))
        work = StoredAccept(region, prediction, NUMBERS, "all", point=(row, column)).found()
        rows, columns = work.region
        assert prediction[row, column] == work.prediction[row + 5 - rows.start,
                                                          column + 7 - columns.start]  # fmt: skip
        labels = np.zeros(SHAPE, bool)
        labels[rows, columns] = work.where
        np.testing.assert_array_equal(labels[region], whole)
        assert work.painted(store, Monitor()) == (
            (store.read_edit_mask(region) == PAINTED) & whole
        ).sum()  # fmt: skip
    with pytest.raises(InvalidInputError, match="no class"):
        replace(work, prediction=prediction, region=region, point=(29, 5)).found()
    before, calls = store.read(WHOLE), iter([False, False, False, True])
    with pytest.raises(Stopped):
        work.run(store, Monitor(should_stop=lambda: next(calls)))
    for now, old in zip(store.read(WHOLE), before, strict=True):
        np.testing.assert_array_equal(now, old)


def test_labels_change_in_a_thread_while_the_user_paints():
    rng = np.random.default_rng(5)
    store = annotated(rng)
    edits = StoredEdits(store, WHOLE)
    relabelled = relabelled_store(store, Relabelling((1, 3), 0, opened=True), Monitor())
    edits.window[33, 33] = 3
    edits.window[60, 80] = 2
    assert edits.follow()
    labels, edit_mask = store.read(WHOLE)
    edits.relabel(relabelled)
    gone = np.isin(labels, (1, 3))
    found = store.read(WHOLE)
    np.testing.assert_array_equal(found[0], np.where(gone, 0, labels))
    np.testing.assert_array_equal(found[1], np.where(gone, 0, edit_mask))
    assert edits.catch_up(fully=True)
    np.testing.assert_array_equal(edits.window, found[0])
    assert edits.undo() is None
