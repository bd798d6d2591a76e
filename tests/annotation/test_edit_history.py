"""Marks follow every edit, undo and redo; against a model that keeps whole copies."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.annotation.edit_history import Edits
from napari_cliper.annotation.edit_mask import ACCEPTED, OPEN, PAINTED
from napari_cliper.segmentation import InvalidInputError

SHAPE = (2, 12, 15)


class Editor:
    """An editor with undo and redo, and the edit mask that it should have, as whole copies."""

    def __init__(self):
        self.labels = np.zeros(SHAPE, np.uint16)
        self.edits = Edits(self.labels, np.zeros(SHAPE, np.uint8))
        self.done, self.undone = [(self.labels.copy(), np.zeros(SHAPE, np.uint8))], []

    def _step(self, labels, edit_mask):
        if np.array_equal(labels, self.labels):
            self.done[-1] = (labels, edit_mask)
            return
        self.done.append((labels.copy(), edit_mask))
        self.undone.clear()
        self.labels[...] = labels

    def paint(self, where, label):
        labels, edit_mask = self.labels.copy(), self.done[-1][1].copy()
        edit_mask[where] = np.where(labels[where] != label, PAINTED, edit_mask[where])
        labels[where] = label
        self._step(labels, edit_mask)

    def accept(self, labels):
        edit_mask = np.full(SHAPE, ACCEPTED, np.uint8)
        everywhere = tuple(np.indices(SHAPE).reshape(len(SHAPE), -1))
        self.edits.take(everywhere, labels.ravel(), edit_mask.ravel())
        self._step(labels, edit_mask)

    def undo(self):
        if len(self.done) > 1:
            self.undone.append(self.done.pop())
            self.labels[...] = self.done[-1][0]

    def redo(self):
        if self.undone:
            self.done.append(self.undone.pop())
            self.labels[...] = self.done[-1][0]

    def check(self):
        np.testing.assert_array_equal(self.edits.edit_mask, self.done[-1][1])


def somewhere(rng):
    plane, row, column = (int(rng.integers(0, side - 3)) if side > 3 else int(rng.integers(0, side))
                          for side in SHAPE)  # fmt: skip
    return plane, slice(row, row + 3), slice(column, column + 3)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("follow_each", [True, False])
def test_edit_mask_are_those_of_a_model(seed, follow_each):
    rng = np.random.default_rng(seed)
    editor = Editor()
    unique = 1
    for _ in range(60):
        action = rng.choice(["paint", "paint", "accept", "undo", "redo"])
        if action not in ("undo", "redo"):
            editor.edits.follow()
        if action == "paint":
            # A label that was never painted: else painting what was there before is an undo.
            unique += 1
            editor.paint(somewhere(rng), unique)
        elif action == "accept":
            unique += 1
            labels = editor.labels.copy()
            labels[0] = unique
            editor.accept(labels)
        else:
            getattr(editor, action)()
        # Steps back and forth may also be followed several at once.
        if follow_each or action not in ("undo", "redo"):
            editor.edits.follow()
            editor.check()


def test_several_steps_back_at_once():
    editor = Editor()
    first = (0, slice(0, 4), slice(0, 4))
    second = (0, slice(2, 6), slice(2, 6))
    for where, label in ((first, 3), (second, 4)):
        editor.paint(where, label)
        editor.edits.follow()
    editor.undo()
    editor.undo()
    assert editor.edits.follow()
    assert (editor.edits.edit_mask == OPEN).all()
    editor.redo()
    editor.redo()
    editor.edits.follow()
    editor.check()
    assert editor.edits.edit_mask[first].min() == PAINTED


def test_erasing_is_painting():
    editor = Editor()
    editor.accept(np.full(SHAPE, 2, np.uint16))
    editor.paint((1, slice(0, 3), slice(0, 3)), 0)
    editor.edits.follow()
    assert (editor.edits.edit_mask == PAINTED).sum() == 9
    assert not editor.edits.follow()


def test_edit_mask_alone_make_no_step():
    editor = Editor()
    editor.paint((0, slice(0, 3), slice(0, 3)), 5)
    editor.accept(editor.labels.copy())
    editor.check()
    editor.undo()
    editor.edits.follow()
    assert (editor.edits.edit_mask[0, :3, :3] == OPEN).all()


def test_arrays_that_do_not_fit():
    with pytest.raises(InvalidInputError, match="the same shape"):
        Edits(np.zeros((3, 4), np.uint16), np.zeros((4, 3), np.uint8))
    with pytest.raises(InvalidInputError, match="contiguous"):
        Edits(np.zeros((3, 4), np.uint16).T, np.zeros((4, 3), np.uint8))


def test_what_is_known_to_be_painted_is_no_undo():
    editor = Editor()
    editor.accept(np.full(SHAPE, 2, np.uint16))
    editor.labels[...] = 0
    assert editor.edits.follow(painted=True)
    assert (editor.edits.edit_mask == PAINTED).all()
    editor.labels[...] = 2  # and this is its undo
    editor.edits.follow()
    assert (editor.edits.edit_mask == ACCEPTED).all()


def test_labels_that_follow_are_no_step_and_disturb_none():
    editor = Editor()
    editor.accept(np.full(SHAPE, 5, np.uint16))
    editor.paint((0, slice(2, 4), slice(2, 4)), 3)
    editor.edits.follow()
    where = (np.zeros(2, int), np.array([0, 9]), np.array([0, 9]))
    editor.edits.replace(where, np.array([7, 7], np.uint16))
    assert not editor.edits.follow()
    assert set(editor.edits.edit_mask[where]) == {ACCEPTED}
    editor.labels[0, 2:4, 2:4] = 5  # the editor undoes the stroke
    editor.edits.follow()
    assert (editor.edits.edit_mask == ACCEPTED).all()
    assert editor.labels[0, 0, 0] == 7
    editor.labels[...] = 0  # and what was accepted, as it was then
    editor.edits.follow()
    assert (editor.edits.edit_mask == OPEN).all()
    editor.labels[...] = 5
    editor.edits.follow()
    assert (editor.edits.edit_mask == ACCEPTED).all()
