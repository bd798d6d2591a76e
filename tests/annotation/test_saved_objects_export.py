"""Formats of objects take the objects that are saved with an annotation; label formats do not."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pandas as pd
import tifffile
from shapes import pair

from napari_cliper.annotation.edit_mask import ACCEPTED, OPEN, AnnotationState
from napari_cliper.annotation.export import labelled_of
from napari_cliper.annotation.saved_objects import (
    OBJECTS,
    SavedObjects,
    plane_from_record,
    plane_record,
)
from napari_cliper.io.export import export_images
from napari_cliper.io.formats import FORMATS
from napari_cliper.io.readers.object_files import read_objects
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.objects.editing import delete
from napari_cliper.objects.plane_objects import ObjectsChoice, PlaneObjects

CLASSES = {1: ClassRow("cell"), 2: ClassRow("fibre")}


def state():
    """Two planes with a pair of touching cells and a speck; the second one was never visited.

    On the first, one cell is now a fibre and the speck is deleted.
    """
    labels = np.zeros((3, 80, 80), np.uint16)
    both = pair(12, 0.4, 0)
    labels[:2, 5 : 5 + both.shape[0], 5 : 5 + both.shape[1]] = both
    labels[:2, 1, 1] = 1
    plane = PlaneObjects.empty((80, 80), CLASSES)
    plane = plane.split_again(labels[0], CLASSES, ObjectsChoice())
    plane = plane.given({2: 2})
    deleted = plane.edited.after_edit(delete(plane.objects, [1]))
    plane = PlaneObjects(deleted, plane.classes)
    saved = SavedObjects().with_plane(("", (0,)), plane_record(plane))
    edit_mask = np.where(np.arange(3)[:, None, None] < 2, ACCEPTED, OPEN) + 0 * labels
    record = {OBJECTS: saved.to_record(), "model": "demo"}
    return AnnotationState(labels, edit_mask.astype(np.uint8), CLASSES, record)


def test_objects_are_exported_with_their_edits(tmp_path):
    image = labelled_of(state(), "stack", None, image_axes="TYX")
    assert dict(image.record) == {"model": "demo"}  # the objects are no provenance
    assert image.instances is None
    export_images(tmp_path, [image], ["object-tiff", "tiff", "csv", "geojson"])
    found = read_objects(tmp_path / "object-tiff" / "stack_objects.tif")
    names = [found.classes[number] for number in np.unique(found.numbers[0])[1:].tolist()]
    assert names == ["fibre", "cell"]
    numbers = [set(np.unique(plane).tolist()) - {0} for plane in found.numbers]
    assert numbers == [{2, 3}, {4, 5, 6}, set()]
    labels = tifffile.imread(tmp_path / "tiff" / "stack.tif")
    assert np.array_equal(labels, image.labels)
    classes = pd.read_csv(tmp_path / "csv" / "stack_classes.csv")
    assert classes.query("label == 2")["objects"].tolist() == [1, 0, 0]
    assert classes.query("label == 1")["objects"].tolist() == [1, 3, 0]
    assert len(pd.read_csv(tmp_path / "csv" / "stack_regions.csv")) == 5
    first = read_objects(tmp_path / "geojson" / "stack_t0.geojson", (80, 80))
    assert np.array_equal(first.numbers, found.numbers[0])


def test_objects_of_a_prediction_are_exported_as_saved():
    one = state()
    blank = AnnotationState(one.labels * 0, one.edit_mask * 0, {}, {OBJECTS: one.record[OBJECTS]})
    image = labelled_of(blank, "stack", None)
    separate = image.with_separate()
    assert set(np.unique(separate.instances)) == {0, 2, 3}
    assert not separate.ignored[0].any()
    assert sorted(row.name for row in separate.classes.values()) == ["cell", "fibre"]
    other = {**one.record[OBJECTS], "origin": "cells.tif"}
    none = labelled_of(AnnotationState(one.labels, one.edit_mask, CLASSES, {OBJECTS: other}), "s",
                       None)  # fmt: skip
    assert not none.with_separate().instances.any()
    assert FORMATS["object-tiff"].objects
    assert not FORMATS["png"].objects


def test_numbers_that_cannot_be_are_refused():
    plane = plane_record(PlaneObjects.empty((8, 8), CLASSES))
    assert plane_from_record(plane, (8, 8)) is not None
    for runs in ([1, 2**63 - 1, 1], [1, 0, 2**63 - 1], [1, 64, 1], [2**32 + 1, 0, 1]):
        packed = base64.b64encode(zlib.compress(np.array(runs, "<i8").tobytes())).decode()
        assert plane_from_record({**plane, "objects": packed}, (8, 8)) is None, runs
    saved = SavedObjects().with_plane(("", (0,)), {**plane, "highest": 7})
    assert saved.highest == 7
    one = state()
    for wrong in ("x", None, True, 1.5, -1, 2**31, [3]):
        damaged = saved.with_plane(("", (1,)), {**plane, "highest": wrong})
        assert damaged.highest == 7, wrong
        assert plane_from_record(damaged.planes["", (1,)], (8, 8)) is None, wrong
        record = {**one.record, OBJECTS: damaged.to_record()}
        found = labelled_of(AnnotationState(one.labels, one.edit_mask, CLASSES, record), "s", None)
        numbers = np.unique(found.with_separate().instances)
        assert len(numbers) == 1 + 2 * 3, wrong
        assert numbers[1] == 8, wrong
