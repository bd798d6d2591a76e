"""Labels that a thread changes while the user paints."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.annotation import chunks
from napari_cliper.annotation.edit_mask import ACCEPTED, CLEANED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.stored_edits import StoredEdits
from napari_cliper.annotation.stored_rewrite import rewritten

WHOLE = slice(0, 40), slice(0, 50)
REGION = slice(0, 30), slice(5, 45)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 16)


def swapped(labels):
    return np.where(labels == 1, 2, labels).astype(np.uint16)


def test_other_labels_are_one_step_unless_the_region_has_changed():
    labels = np.random.default_rng(1).integers(0, 4, (40, 50)).astype(np.uint16)
    store = LabelStore((40, 50))
    store.write(WHOLE, labels, np.uint8(ACCEPTED))
    edits = StoredEdits(store, WHOLE)
    found = rewritten(store, REGION, CLEANED, swapped, WHOLE)
    np.testing.assert_array_equal(store.read_labels(WHOLE), labels)  # so far in the fork only
    edits.window[39, 49] = 7  # in a chunk beyond the region
    assert edits.follow()
    assert not found.outdated(store)
    edits.merge(found.fork, found.changes)
    edits.catch_up(fully=True)
    expected = labels.copy()
    expected[REGION] = swapped(labels[REGION])
    ones = expected != labels
    expected[39, 49] = 7
    assert found.changed == np.count_nonzero(ones)
    np.testing.assert_array_equal(store.read_labels(WHOLE), expected)
    np.testing.assert_array_equal(edits.window, expected)
    np.testing.assert_array_equal(store.read_edit_mask(WHOLE) == CLEANED, ones)
    assert edits.undo() is not None
    np.testing.assert_array_equal(store.read_labels(WHOLE) != labels, expected == 7)
    found = rewritten(store, REGION, CLEANED, swapped, WHOLE)
    edits.catch_up(fully=True)
    edits.window[3, 9] = 7
    assert edits.follow()
    assert found.outdated(store)
