"""Edits of objects survive changed labels, can be undone, and are saved with their image."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from shapes import ball, pair

from napari_cliper.annotation.class_change import ClassChange, change_state
from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.annotation.saved_objects import (
    OBJECTS,
    SavedObjects,
    objects_in,
    plane_from_record,
    plane_record,
)
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.objects.editing import add, cut, delete, merge, numbers_along, redraw
from napari_cliper.objects.plane_objects import ObjectsChoice, PlaneObjects

SHAPE = (80, 120)
CLASSES = {1: ClassRow("cell"), 2: ClassRow("fibre")}


def scene():
    """A pair of touching cells, a cell at the border, and a small fibre."""
    labels = np.zeros(SHAPE, np.uint8)
    both = pair(12, 0.4, 0)
    labels[5 : 5 + both.shape[0], 20 : 20 + both.shape[1]][both] = 1
    labels[ball(labels.shape, (78, 20), 8)] = 1
    labels[70:74, 90:100] = 2
    return labels


@pytest.fixture
def plane():
    labels = scene()
    return PlaneObjects.empty(labels.shape, CLASSES).split_again(labels, CLASSES, ObjectsChoice())


def edited(plane, change):
    return replace(plane, edited=plane.edited.after_edit(change(plane.objects)))


def same(one, other):
    return all(
        np.array_equal(getattr(one.objects, name), getattr(other.objects, name))
        for name in ("numbers", "ids", "labels", "areas")
    )


def test_all_edits_survive_larger_and_smaller_labels_and_are_undone(plane):
    labels = scene()
    first, second = numbers_along(plane.objects, [(39, 35), (39, 75)])
    grown, shrunk = ndimage.grey_dilation(labels, 5), ndimage.grey_erosion(labels, 3)
    edits = {
        "merge": lambda one: merge(one, [first, second]),
        "cut": lambda one: cut(one, (20, 40), (60, 40), 9),
        "delete": lambda one: delete(one, [first]),
        "add": lambda one: add(one, ball(labels.shape, (20, 100), 5), 2, 9),
        "class": lambda one: one.with_labels({second: 2}),
        "erase": lambda one: redraw(
            one, np.where(np.indices(labels.shape)[1] < 40, 0, one.numbers).astype(np.int32), 0
        ),
    }
    for name, change in edits.items():
        after = edited(plane, change)
        assert after.edited.touched, name
        numbers = list(after.edited.edited)
        for changed in (grown, shrunk, labels):
            later = after.split_again(changed, CLASSES, ObjectsChoice())
            for number in numbers:
                kept = later.objects.numbers == number
                assert np.array_equal(kept, after.objects.numbers == number), (name, number)
                assert later.named(number) == after.named(number)
            if name == "delete":
                assert first not in later.objects.ids
                assert len(later.objects.ids) == len(plane.objects.ids) - 1
        step = plane.edited.before_edit(after.edited)
        undone = replace(later, edited=later.edited.undone(step))
        again = undone.split_again(labels, CLASSES, ObjectsChoice())
        assert same(again, plane), name
        redo = later.edited.before_edit(undone.edited)
        assert same(replace(undone, edited=undone.edited.undone(redo)), later), name
    new = edited(edited(plane, lambda one: delete(one, [4])), edits["add"])
    assert new.objects.ids.max() == 10  # a number is given once


def test_an_object_that_comes_back_has_its_number_and_classes_are_known_by_name(plane):
    none = plane.split_again(np.zeros_like(scene()), CLASSES, ObjectsChoice())
    assert len(none.objects.ids) == 0
    assert same(none.split_again(scene(), CLASSES, ObjectsChoice()), plane)
    other = {3: ClassRow("Fibre"), 5: ClassRow("cell")}
    moved = np.array([0, 5, 3], np.uint8)[scene()]
    named = edited(plane, lambda one: one.with_labels({1: 2}))
    after = named.split_again(moved, other, ObjectsChoice())
    assert same_names(after) == same_names(named) | {1: "Fibre", 4: "Fibre"}
    lone = named.split_again(np.where(moved == 5, 5, 0).astype(np.uint8), {5: other[5]},
                             ObjectsChoice())  # fmt: skip
    assert lone.named(1) == "fibre"  # a class that only an edited object has
    left = plane.split_again(scene(), CLASSES, ObjectsChoice(smallest=50, border=False))
    assert (left.objects.smaller, left.objects.at_border) == (1, 1)
    assert left.objects.ids.tolist() == [1, 2]


def same_names(plane):
    return {number: plane.named(number) for number in plane.objects.ids.tolist()}


def test_objects_are_saved_in_json_and_damaged_ones_are_ignored(plane):
    one = edited(plane, lambda found: delete(found.with_labels({1: 2}), [4]))
    saved = SavedObjects("cells.tif", ObjectsChoice(7, False, (("cell", 20.5),)))
    saved = saved.with_plane(("cells.tif", (2, 0)), plane_record(one))
    text = json.dumps(saved.to_record())
    again = objects_in(json.loads(text))
    assert again == saved
    assert again.touched
    found = plane_from_record(again.planes["cells.tif", (2, 0)], SHAPE)
    assert same(found, one)
    assert found.edited.edited == {1}
    assert np.array_equal(found.edited.removed, one.edited.removed)
    assert found.edited.highest == 4
    record = dict(again.planes["cells.tif", (2, 0)])
    for wrong in (
        {"shape": [8, 8]}, {"objects": "no"}, {"objects": 5},
        {"ids": [1]}, {"classes": []}, {"removed": record["removed"][:-8]},
    ):  # fmt: skip
        assert plane_from_record({**record, **wrong}, SHAPE) is None
    assert objects_in(None) is None
    assert objects_in({"planes": "x", "smallest": -4}) == SavedObjects()


def test_a_record_after_an_edit_is_that_of_the_objects_and_keeps_what_is_the_same(plane):
    record = plane_record(plane)
    named = edited(plane, lambda found: found.with_labels({1: 2}))
    after = plane_record(named, plane, record)
    assert after == plane_record(named)
    assert after["objects"] is record["objects"]  # only the class has changed
    assert after["removed"] is record["removed"]
    for change in (lambda found: delete(found, [4]), lambda found: merge(found, [1, 2])):
        other = edited(named, change)
        assert plane_record(other, named, after) == plane_record(other)


def test_a_class_is_renamed_merged_and_deleted_in_saved_objects(plane):
    saved = SavedObjects(choice=ObjectsChoice(diameters=(("cell", 20.0), ("fibre", 5.0))))
    saved = saved.with_plane(("", ()), plane_record(plane))
    empty = np.zeros(SHAPE, np.uint16)
    state = AnnotationState(empty, empty.astype(np.uint8), CLASSES, {OBJECTS: saved.to_record()})

    def after(change):
        found = objects_in(change_state(state, change).record[OBJECTS])
        return same_names(plane_from_record(found.planes["", ()], SHAPE)), dict(
            found.choice.diameters
        )

    names, diameters = after(ClassChange("Cell", ClassRow("nucleus")))
    assert names == {1: "nucleus", 2: "nucleus", 3: "nucleus", 4: "fibre"}
    assert diameters == {"nucleus": 20, "fibre": 5}
    names, diameters = after(ClassChange("cell", ClassRow("fibre"), merge=True))
    assert set(names.values()) == {"fibre"}
    assert diameters == {"fibre": 5}
    names, diameters = after(ClassChange("fibre"))
    assert names[4] == "object"
    assert diameters == {"cell": 20}


def test_a_part_is_split_as_in_the_whole_plane_with_its_edits():
    labels = np.tile(scene(), (2, 2))
    whole = PlaneObjects.empty(labels.shape, CLASSES).split_again(labels, CLASSES, ObjectsChoice())
    first, second = numbers_along(whole.objects, [(39, 35), (39, 75)])
    one = edited(whole, lambda found: delete(merge(found, [first, second]), [4]))
    grown = ndimage.grey_dilation(labels, 3)
    expected = one.split_again(grown, CLASSES, ObjectsChoice())
    for part in ((slice(0, 100), slice(0, 130)), (slice(60, 120), slice(100, 200))):
        found = one.split_part(grown, CLASSES, ObjectsChoice(), part)
        assert np.array_equal(found, expected.objects.numbers[part])
