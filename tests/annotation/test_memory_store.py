"""Labels of stacks: what is on disk after edits, saves, failures and while others paint."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from napari_cliper.annotation import chunks, label_store
from napari_cliper.annotation.class_change import Relabelling, relabelled_store
from napari_cliper.annotation.edit_history import Edits
from napari_cliper.annotation.edit_mask import ACCEPTED, PAINTED
from napari_cliper.annotation.memory_store import MemoryStore
from napari_cliper.io.files import FileError

SHAPE = (2, 2, 20, 40)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 16)


def files(folder):
    found = (path for path in folder.rglob("c/0/*/*/*/*"))
    return {path.relative_to(folder): path.stat().st_ino for path in found}


def assert_on_disk(folder, edits):
    found = MemoryStore.opened(edits.labels.shape, folder)
    np.testing.assert_array_equal(found.labels, edits.labels)
    np.testing.assert_array_equal(found.edit_mask, edits.edit_mask)
    assert found.saved


def test_saves_write_what_has_changed_and_all_of_it(tmp_path):
    """Paint, accept, undo and redo anywhere; after each save the disk has what memory has."""
    rng = np.random.default_rng(1)
    labels = np.zeros(SHAPE, np.uint16)
    edits = Edits(labels, np.zeros(SHAPE, np.uint8))
    folder, past = tmp_path / "a.zarr", [labels.copy()]
    for action in rng.choice(["paint", "take", "undo", "relabel", "save"], 60):
        plane = int(rng.integers(2)), int(rng.integers(2))
        top, left = int(rng.integers(12)), int(rng.integers(32))
        place = (*plane, slice(top, top + 9), slice(left, left + 9))
        if action == "paint":
            labels[place] = rng.integers(4)
        elif action == "undo" and len(past) > 1:
            past.pop()
            labels[...] = past[-1]
        elif action in ("take", "relabel"):
            inside = rng.random((9, 9)) < 0.5
            new = rng.integers(0, 300, int(inside.sum())).astype(np.uint16)
            if action == "take":
                edits.take(place, new, np.full(new.shape, ACCEPTED, np.uint8), inside)
                labels[place][inside] = new
            else:
                edits.replace(place, new, inside)
                past = [labels.copy()]
        if action in ("paint", "take") and (labels != past[-1]).any():
            past.append(labels.copy())
        edits.follow()
        if action == "save":
            edits.store.save(folder)
            assert_on_disk(folder, edits)
        counts = edits.store.counts()
        present, numbers = np.unique(labels[labels > 0], return_counts=True)
        assert counts.labels == dict(zip(present.tolist(), numbers.tolist(), strict=True))
        assert counts.decided == np.count_nonzero(edits.edit_mask)
        assert edits.store.blank == (not labels.any() and not edits.edit_mask.any())
    edits.store.save(folder)
    before = files(folder)
    labels[1, 1, 3:5, 10:20] = 999
    edits.follow()
    assert not edits.store.saved
    edits.store.save(folder)
    after = files(folder)
    changed = {path for path in after if before.get(path) != after[path]}
    assert changed == {Path("c/0/1/1/0/0"), Path("c/0/1/1/0/1")}
    fork = edits.store.fork()
    fork.relabel([999], 0, opened=True)
    fork.save(folder)  # goes on with the same folder, and writes these chunks only
    again = files(folder)
    assert {path for path in after if again.get(path) != after[path]} <= changed
    assert 999 not in MemoryStore.opened(SHAPE, folder).labels
    assert (labels == 999).sum() == 20
    edits.store.save(tmp_path / "b.zarr")
    assert_on_disk(tmp_path / "b.zarr", edits)


def test_a_failed_save_is_made_up_for_and_a_damaged_mask_is_refused(tmp_path, monkeypatch):
    labels = np.ones(SHAPE, np.uint16)
    edits = Edits(labels, np.full(SHAPE, PAINTED, np.uint8))
    edits.store.save(tmp_path / "a")
    labels[...] = 2
    edits.follow()
    write, left = label_store.atomic.write, [3]

    def full(path, content):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(path, content)

    with monkeypatch.context() as full_disk:
        full_disk.setattr(label_store.atomic, "write", full)
        with pytest.raises(OSError, match="No space"):
            edits.store.save(tmp_path / "a")
    found = MemoryStore.opened(SHAPE, tmp_path / "a")  # as after a crash now
    assert set(np.unique(found.labels)) == {1, 2}
    assert (found.edit_mask == PAINTED).all()
    edits.store.save(tmp_path / "a")
    assert_on_disk(tmp_path / "a", edits)
    with edits.store.changing((slice(0, 1), slice(0, 1), slice(0, 9), slice(0, 9))):
        edits.edit_mask[0, 0, 0, 0] = 7
    edits.store.save(tmp_path / "a")
    with pytest.raises(FileError, match="edit mask"):
        MemoryStore.opened(SHAPE, tmp_path / "a")


def test_what_is_painted_during_a_save_is_whole_and_saved_next(tmp_path):
    """One thread saves again and again while this one paints: no stroke is torn or lost."""
    labels = np.zeros((4, 32, 32), np.uint16)
    edits, stop, seen = Edits(labels, np.zeros(labels.shape, np.uint8)), threading.Event(), []

    def save():
        while not stop.is_set():
            edits.store.save(tmp_path / "a")
            found = MemoryStore.opened(labels.shape, tmp_path / "a")
            seen.append((found.labels[..., 0, 0].copy(), found.edit_mask[..., 0, 0].copy()))

    thread = threading.Thread(target=save)
    thread.start()
    for number in range(1, 400):
        labels[number % 4] = number
        edits.follow(painted=True)
    stop.set()
    thread.join()
    for found, edit_mask in seen:
        np.testing.assert_array_equal(edit_mask == PAINTED, found > 0)
    for (before, _), (after, _) in pairwise(seen):
        assert (before <= after).all()
    edits.store.save(tmp_path / "a")
    assert_on_disk(tmp_path / "a", edits)


def test_snapshots_stay_as_they_were_whatever_changes_and_is_saved_since(tmp_path):
    """Of a stack in memory and of an image on disk: also counted, written and saved elsewhere."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 5, (3, 40, 40), np.uint16)
    edits = Edits(labels, (labels > 2).astype(np.uint8))
    large = label_store.LabelStore((40, 40))
    whole = slice(0, 40), slice(0, 40)
    large.write(whole, labels[0], edits.edit_mask[0])
    large.save(tmp_path / "large")
    large = label_store.LabelStore((40, 40), tmp_path / "large")  # no chunk has been read yet

    def change(number):
        labels[number % 3, number % 7 :: 3, 5:30] = number
        edits.follow(painted=True)
        edits.store.relabel([number - 1], 0, opened=True)
        rows = slice(number % 24, number % 24 + 9)
        large.write((rows, whole[1]), np.uint16(number), np.uint8(PAINTED))
        large.save(tmp_path / "large")

    taken = []
    for number in range(6, 20):
        for store in (edits.store, large):
            every = tuple(slice(0, side) for side in store.shape)
            taken.append((store.snapshot(), store.read(every), store.counts()))
        change(number)
        edits.store.save(tmp_path / "stack")
    for number, (snapshot, (then, edit_mask), counts) in enumerate(taken):
        every = tuple(slice(0, side) for side in snapshot.shape)
        np.testing.assert_array_equal(snapshot.read(every)[0], then)
        np.testing.assert_array_equal(snapshot.read_edit_mask(every), edit_mask)
        part = (*every[:-2], slice(10, 25), slice(14, 40))
        np.testing.assert_array_equal(snapshot.read_labels(part), then[part])
        assert snapshot.counts() == counts
        assert not snapshot.blank
        snapshot.save(copy := tmp_path / f"copy {number}")
        opened = label_store.LabelStore(snapshot.shape, copy)
        np.testing.assert_array_equal(opened.read_labels(every), then)


def test_labels_are_changed_in_a_fork_while_one_paints_on():
    labels = np.zeros((3, 40, 40), np.uint16)
    edits = Edits(labels, np.zeros(labels.shape, np.uint8))
    labels[:, 5:30, :20], labels[:, 5:30, 20:] = 1, 2
    edits.follow(painted=True)
    for opened, new in ((True, 0), (False, 1)):
        relabelled = relabelled_store(edits.store, Relabelling((2,), new, opened))
        labels = edits.labels
        labels[1, :9], labels[2, 30:, 3] = 2, 3  # in the editor, while the thread works
        expected = np.where(labels == 2, new, labels)
        edits.relabel(relabelled)
        assert not edits.follow()  # nothing is taken for painting or undo
        np.testing.assert_array_equal(edits.labels, expected)
        np.testing.assert_array_equal(edits.store.labels, expected)
        np.testing.assert_array_equal(edits.edit_mask == PAINTED, expected > 0)
        assert edits.store.counts().labels.keys() == {1, 3}
        edits.labels[0, 0, 0] = 2
        assert edits.follow(painted=True)
        assert edits.edit_mask[0, 0, 0] == PAINTED
