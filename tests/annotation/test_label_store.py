"""Labels on disk and their edits, against whole arrays in memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cliper.annotation import (
    chunks,
    compressed_bytes,
    label_store,
    stored_edits,
    stored_state,
)
from napari_cliper.annotation.edit_mask import ACCEPTED, OPEN, PAINTED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.stored_edits import StoredEdits
from napari_cliper.annotation.stored_state import StoredState
from napari_cliper.io.files import FileError
from napari_cliper.segmentation import InvalidInputError

SHAPE = (70, 90)

pytestmark = pytest.mark.usefixtures("small_chunks")


def whole(store):
    return store.read((slice(0, store.shape[0]), slice(0, store.shape[1])))


def somewhere(rng, most=30):
    starts = [int(rng.integers(0, side - 1)) for side in SHAPE]
    return tuple(
        slice(start, int(rng.integers(start + 1, min(start + most, side) + 1)))
        for start, side in zip(starts, SHAPE, strict=True)
    )


def files(folder):
    return {path: (path.stat().st_ino, path.read_bytes()) for path in folder.rglob("c/0/*/*")}


def test_edits_saves_and_undo_are_those_of_whole_arrays(tmp_path, monkeypatch):
    """Paint in a window that moves, accept anywhere, undo, redo, save and open again.

    The window shows two changed chunks at once: painting goes on in one that is behind.
    """
    monkeypatch.setattr(stored_edits, "SHOWN_AT_ONCE", 2)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        folder = tmp_path / f"{seed}.zarr"
        store = LabelStore(SHAPE)
        edits = StoredEdits(store, (slice(0, 40), slice(0, 50)))
        done = [(np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint8))]
        undone = []
        for action in rng.choice(["paint", "take", "undo", "redo", "move", "save", "see"], 80):
            labels, edit_mask = (array.copy() for array in done[-1])
            if action == "paint":
                part = tuple(
                    slice(max(one.start, two.start), min(one.stop, two.stop))
                    for one, two in zip(somewhere(rng), edits.region, strict=True)
                )
                if any(one.start >= one.stop for one in part):
                    continue  # outside of the window
                label = int(rng.integers(0, 4))
                differs = edits._part(edits.window, part) != label
                edits._part(edits.window, part)[...] = label  # as a brush does
                assert edits.follow(box=part) == differs.any()
                if not differs.any():
                    continue
                labels[part][differs] = label
                edit_mask[part][differs] = PAINTED
            elif action == "take":
                part = somewhere(rng)
                inside = rng.random(labels[part].shape) < 0.5
                new = rng.integers(0, 300, labels[part].shape).astype(np.uint16)
                edits.take(part, new[inside], np.full(inside.sum(), ACCEPTED, np.uint8), inside)
                labels[part][inside], edit_mask[part][inside] = new[inside], ACCEPTED
            elif action == "undo" and len(done) > 1:
                assert edits.undo()
                undone.append(done.pop())
            elif action == "redo" and undone:
                assert edits.redo()
                done.append(undone.pop())
            elif action == "move":
                top, left = int(rng.integers(0, 31)), int(rng.integers(0, 41))
                region = slice(top, top + 40), slice(left, left + 50)
                edits.show(region, store.read_labels(region), store.read_labels(region))
            elif action == "save":
                store.save(folder)
                assert store.saved
            elif action == "see":
                assert edits.catch_up() != edits.behind
            if action in ("paint", "take"):
                done.append((labels, edit_mask))
                undone.clear()
            for found, expected in zip(whole(store), done[-1], strict=True):
                np.testing.assert_array_equal(found, expected)
            if not edits.behind:
                np.testing.assert_array_equal(edits.window, done[-1][0][edits.region])
            counts = store.counts()
            present, numbers = np.unique(done[-1][0], return_counts=True)
            expected = dict(zip(present.tolist(), numbers.tolist(), strict=True))
            expected.pop(0, None)
            assert counts.labels == expected
            assert counts.decided == np.count_nonzero(done[-1][1])
            assert store.blank == (not done[-1][0].any() and not done[-1][1].any())
        assert edits.catch_up(fully=True)
        np.testing.assert_array_equal(edits.window, done[-1][0][edits.region])
        store.save(folder)
        again = LabelStore(SHAPE, folder)
        again.counts()
        np.testing.assert_array_equal(again.overview, done[-1][0][::8, ::8])
        for found, expected in zip(whole(again), done[-1], strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_save_writes_changed_chunks_only_and_a_copy_all(tmp_path):
    store = LabelStore(SHAPE)
    store.write((slice(0, 70), slice(0, 90)), np.uint16(3), np.uint8(ACCEPTED))
    store.save(tmp_path / "a")
    before = files(tmp_path / "a")
    assert len(before) == 5 * 6
    store.write((slice(20, 22), slice(30, 34)), np.uint16(5), np.uint8(PAINTED))
    store.save(tmp_path / "a")
    after = files(tmp_path / "a")
    changed = {path.relative_to(tmp_path) for path in after if after[path] != before[path]}
    assert changed == {Path("a/c/0/1/1"), Path("a/c/0/1/2")}
    fork = store.fork()
    fork.relabel([3], 7)
    fork.relabel([5], 0, opened=True)
    fork.save(tmp_path / "b")
    assert files(tmp_path / "a") == after
    labels, edit_mask = whole(LabelStore(SHAPE, tmp_path / "b"))
    assert set(np.unique(labels)) == {0, 7}
    np.testing.assert_array_equal(edit_mask == OPEN, labels == 0)
    store.write((slice(0, 16), slice(0, 16)), np.uint16(0), np.uint8(0))
    store.save(tmp_path / "a")
    assert len(files(tmp_path / "a")) == 5 * 6 - 1  # empty chunks take no file


def test_a_failed_save_and_damaged_files_lose_nothing_unsaid(tmp_path, monkeypatch):
    store = LabelStore(SHAPE)
    store.write((slice(0, 40), slice(0, 40)), np.uint16(2), np.uint8(PAINTED))
    store.save(tmp_path / "a")
    store.write((slice(0, 40), slice(0, 40)), np.uint16(4), np.uint8(PAINTED))
    write, left = label_store.atomic.write, [3]

    def full(path, content):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(label_store.atomic, "write", full)
    with pytest.raises(OSError, match="No space"):
        store.save(tmp_path / "a")
    assert not store.saved
    assert set(np.unique(whole(store)[0])) == {0, 4}
    labels, edit_mask = whole(LabelStore(SHAPE, tmp_path / "a"))  # as after a crash now
    assert set(np.unique(labels)) == {0, 2, 4}
    np.testing.assert_array_equal(edit_mask == PAINTED, labels > 0)
    monkeypatch.undo()
    monkeypatch.setattr(chunks, "CHUNK", 16)
    store.save(tmp_path / "a")
    assert set(np.unique(whole(LabelStore(SHAPE, tmp_path / "a"))[0])) == {0, 4}
    with pytest.raises(RuntimeError), store.saved_to(tmp_path / "b"):
        raise RuntimeError
    shutil.rmtree(tmp_path / "b")  # what is not completed is not used
    assert set(np.unique(whole(store)[0])) == {0, 4}
    store = LabelStore(SHAPE, tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "away")
    with pytest.raises(FileError, match="Connect their disk"):
        whole(store)  # Zarr would give 0
    (tmp_path / "away").rename(tmp_path / "a")
    assert set(np.unique(whole(store)[0])) == {0, 4}
    next(iter((tmp_path / "a").rglob("c/0/*/*"))).write_bytes(b"not zarr")
    with pytest.raises(FileError, match="backup"):
        whole(LabelStore(SHAPE, tmp_path / "a"))
    with pytest.raises(FileError, match="backup"):
        LabelStore((70, 91), tmp_path / "a")
    with pytest.raises(FileError, match="missing or damaged"):
        LabelStore(SHAPE, tmp_path / "nowhere")


def test_a_stroke_is_one_step_however_often_it_is_stored():
    store = LabelStore(SHAPE)
    edits = StoredEdits(store, (slice(0, 40), slice(0, 50)))
    edits.window[0] = 1
    assert edits.follow()
    assert not edits.follow(drawing=True)  # a stroke that has changed nothing yet
    edits.window[1] = 2
    assert edits.follow(drawing=True)
    edits.window[2] = 2
    assert edits.follow()
    edits.window[3] = 3
    assert edits.follow()
    for left in ({0, 1, 2}, {0, 1}, {0}):
        assert edits.undo()
        assert set(np.unique(whole(store)[0])) == left


def test_a_whole_state_says_what_memory_it_needs(monkeypatch):
    store = LabelStore(SHAPE)
    store.write((slice(0, 9), slice(0, 9)), np.uint16(2), np.uint8(PAINTED))
    state = StoredState(store, {}, {"a": 1})
    assert state.labels.sum() == 2 * 81
    assert (state.edit_mask == PAINTED).sum() == 81
    assert state.with_record({"b": 2}).record == {"b": 2}
    monkeypatch.setattr(stored_state, "WHOLE_BYTES", 10**15)
    with pytest.raises(InvalidInputError, match="GB of memory"):
        _ = state.labels


def test_a_process_that_is_killed_while_saving_leaves_whole_chunks(tmp_path):
    """Kill a process that saves again and again; each chunk is that of one save."""
    code = f"""
import numpy as np
from pathlib import Path
from napari_cliper.annotation.label_store import LabelStore
store = LabelStore((1100, 1100))
number = 1
while True:
    store.write((slice(0, 1100), slice(0, 1100)), np.uint16(number), np.uint8(2))
    store.save(Path({str(tmp_path / "a")!r}))
    if number == 1:
        print("saved", flush=True)
    number += 1
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline()
    try:
        process.wait(0.3)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    chunks.CHUNK = 512
    store = LabelStore((1100, 1100), tmp_path / "a")
    seen = set()
    for region in store.blocks():
        labels, edit_mask = store.read(region)
        assert (edit_mask == 2).all()
        seen |= set(np.unique(labels).tolist())
        assert len(np.unique(labels)) == 1
    assert len(seen) <= 2


def test_compressed_chunks_take_no_more_memory_than_allowed(monkeypatch):
    rng, store = np.random.default_rng(0), compressed_bytes._Store()
    monkeypatch.setattr(compressed_bytes, "_STORE", store)
    monkeypatch.setattr(compressed_bytes, "IN_MEMORY", 1000)
    kept = {}
    for _ in range(600):
        if kept and rng.random() < 0.45:
            del kept[rng.choice(list(kept))]
        else:
            data = rng.bytes(int(rng.integers(1, 200)))
            kept[int(rng.integers(1 << 60))] = data, compressed_bytes.CompressedBytes(data)
        assert store.in_memory <= 1000
        assert all(one.read() == data for data, one in kept.values())
    size = sum(len(data) for data, _ in kept.values())
    assert size > 2000
    room = store._file.seek(0, 2)
    assert room < 2 * size  # what was freed is used again
    with monkeypatch.context() as full:
        full.setattr(store._file, "write", lambda _data: 0, raising=False)
        more = compressed_bytes.CompressedBytes(rng.bytes(5000))
        assert store.in_memory > 5000  # nothing is lost
        assert more.read()
    del more
    kept.clear()
    assert store.in_memory == 0
    assert store._file is None
