"""Undo and redo of steps in chunks that have changed otherwise since, against whole arrays."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import numpy as np
import pytest

from napari_cliper.annotation import stored_edits
from napari_cliper.annotation.edit_mask import ACCEPTED, PAINTED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.stored_edits import StoredEdits
from napari_cliper.segmentation import Stopped

SHAPE = (70, 90)
WHOLE = slice(0, 70), slice(0, 90)


@pytest.fixture(autouse=True)
def _some_shown(monkeypatch, small_chunks):  # noqa: ARG001 - what they are shown of
    monkeypatch.setattr(stored_edits, "SHOWN_AT_ONCE", 2)


def swapped(now, before, after):
    """Labels and edit mask with the pixels that a step has changed as they were before."""
    changed = (before != after).any(0)
    return np.where(changed, before, now)


class Busy:
    """Threads that read, count, save and change forks of a store, as the jobs of the window do."""

    def __init__(self, store, folder):
        self.store, self.folder, self.errors = store, folder, []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._again_and_again, args=[work])
            for work in (self._read, self._save, self._fork)
        ]

    def __enter__(self):
        for one in self._threads:
            one.start()

    def __exit__(self, *_):
        self._over.set()
        for one in self._threads:
            one.join()

    def _again_and_again(self, work):
        try:
            while not self._over.is_set():
                work()
        except Exception as error:  # noqa: BLE001 - for the test
            self.errors.append(error)

    def _read(self):
        self.store.counts()
        self.store.read(WHOLE)
        self.store.decided_in(WHOLE)

    def _save(self):
        self.store.save(self.folder)

    def _fork(self):
        fork = self.store.fork()
        before = fork.read_labels(WHOLE)
        fork.relabel([2], 7)
        labels = fork.read_labels(WHOLE)
        if not np.array_equal(labels, np.where(before == 2, 7, before)):
            raise Stopped  # the fork followed what changed in the store


@pytest.mark.parametrize("busy", [False, True])
def test_undo_and_redo_leave_what_changed_since_while_threads_read_save_and_fork(tmp_path, busy):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        store = LabelStore(SHAPE)
        edits = StoredEdits(store, WHOLE)
        threads = Busy(store, tmp_path / f"{seed}.zarr")
        now = np.zeros((2, *SHAPE), np.uint16)
        done, undone = [], []

        def step(now, done, undone, edits=edits, rng=rng):
            starts = [int(rng.integers(0, side)) for side in SHAPE]
            part = tuple(
                slice(start, min(start + int(rng.integers(1, 60)), side))
                for start, side in zip(starts, SHAPE, strict=True)
            )
            after = now.copy()
            inside = rng.random(after[0][part].shape) < 0.6
            kind = rng.choice(["take", "paint", "empty", "follow"])
            if kind == "follow":  # as accepted pixels follow a hint: it is no step
                edits.replace(part, np.full(inside.shape, 2, np.uint16), inside)
                after[0][part][inside] = 2
                return after
            if kind == "paint":
                changed = inside & (edits.window[part] != 3)  # it may be behind
                edits.window[part][inside] = 3
                after[0][part][changed], after[1][part][changed] = 3, PAINTED
                if not edits.follow():
                    return after
            else:
                value, mask = (0, 0) if kind == "empty" else (int(rng.integers(1, 5)), ACCEPTED)
                edits.take(part, np.uint16(value) + np.zeros(inside.shape, np.uint16),
                           np.full(inside.shape, mask, np.uint8), inside)  # fmt: skip
                after[0][part][inside], after[1][part][inside] = value, mask
                if not inside.any():
                    return after
            done.append((now, after))
            undone.clear()
            return after

        def move(now, steps, others, go, *, back):
            if steps:
                before, after = steps.pop()
                others.append((before, after))
                assert go()
                now = swapped(now, before, after) if back else swapped(now, after, before)
            return now

        with threads if busy else nullcontext():
            for action in rng.choice(["step", "undo", "redo"], 60, p=(0.4, 0.4, 0.2)):
                for _ in range(int(rng.integers(1, 4))):  # several of them in quick succession
                    if action == "step":
                        now = step(now, done, undone)
                    elif action == "undo":
                        now = move(now, done, undone, edits.undo, back=True)
                    else:
                        now = move(now, undone, done, edits.redo, back=False)
                if rng.random() < 0.5:
                    np.testing.assert_array_equal(store.read(WHOLE), now)
                if rng.random() < 0.5:
                    edits.catch_up(fully=True)
                    np.testing.assert_array_equal(edits.window, now[0])
        assert not threads.errors
        assert edits.catch_up(fully=True)
        np.testing.assert_array_equal(edits.window, now[0])
        assert store.blank == (not now.any())
        assert store.decided_in(WHOLE) == (bool(now[1].any()), bool(now[0][now[1] > 0].any()))
        store.counts()
        np.testing.assert_array_equal(store.overview, now[0][::8, ::8])
        store.save(threads.folder)
        again = LabelStore(SHAPE, threads.folder)
        np.testing.assert_array_equal(again.read(WHOLE), now)
        assert all(now[(slice(None), *one)].any() for one in again.blocks())  # empty: no file
