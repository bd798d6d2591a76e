"""Undo and redo of edits of objects while classes change their labels and names."""

from __future__ import annotations

import numpy as np

from napari_cliper.annotation.class_change import ClassChange
from napari_cliper.annotation.saved_objects import SavedObjects
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.objects.plane_objects import ObjectsChoice, PlaneObjects
from napari_cliper.plugin.controllers.kept_objects import KeptObjects

KEY = "", ()
CELL, FIBRE = ClassRow("cell"), ClassRow("fibre")


def test_undo_and_redo_keep_classes_that_were_reordered_renamed_or_deleted():
    labels = np.zeros((20, 30), np.uint8)
    labels[2:8, 2:8], labels[2:8, 20:28] = 1, 2
    classes = {1: CELL, 2: FIBRE}
    plane = PlaneObjects.empty(labels.shape, classes).split_again(labels, classes, ObjectsChoice())
    kept = KeptObjects(SavedObjects())
    kept.edit_planes({KEY: (plane, plane.given({2: 1}))})

    def names():
        now = kept.of(KEY, labels.shape)
        return [now.named(1), now.named(2)]

    def use(classes):
        kept.keep(KEY, kept.of(KEY, labels.shape).with_classes(classes))

    use({1: FIBRE, 2: CELL})
    assert names() == ["cell", "cell"]
    for step, expected in ((kept.undo, "fibre"), (kept.redo, "cell")):
        assert step()
        assert names() == ["cell", expected]
    kept.change_class(ClassChange("fibre", ClassRow("thread")))
    assert kept.undo()
    assert names() == ["cell", "thread"]
    assert kept.redo()
    kept.change_class(ClassChange("thread"))
    use({1: CELL})
    assert kept.undo()
    assert names() == ["cell", "object"]


def test_the_smallest_size_is_set_once_unless_it_was_chosen_or_saved():
    kept = KeptObjects(None)
    assert kept.sizing
    kept.set_smallest(40)
    kept.choose(ObjectsChoice(40, border=False))
    assert not kept.sizing
    kept.choose(ObjectsChoice(40, volume=True))
    assert kept.sizing  # voxels
    kept.set_smallest(300)
    kept.choose(ObjectsChoice(7, volume=True))
    kept.choose(ObjectsChoice(7))
    assert not kept.sizing
    assert not KeptObjects(SavedObjects(choice=ObjectsChoice(1))).sizing
    assert kept.saved.choice.smallest == 7
    assert not kept.saved.touched
