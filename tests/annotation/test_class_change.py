"""What becomes of pixels, clicks, thresholds and prototypes of a class that is changed."""

from __future__ import annotations

import numpy as np
import torch

from napari_cliper.annotation.class_change import (
    ClassChange,
    change_clicks,
    change_prototypes,
    change_rows,
    change_state,
    change_thresholds,
    pixels_of,
)
from napari_cliper.annotation.edit_mask import ACCEPTED, OPEN, PAINTED, AnnotationState
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import Prototype, Prototypes, Thresholds

CELL = ClassRow("Cell", ("blob",), colour=(1, 2, 3), visible=False)
NUCLEUS = ClassRow("nucleus", colour=(4, 5, 6))
FIBRE = ClassRow("fibre")


def state(classes=None, clicks=None):
    labels = np.array([[0, 2, 2], [5, 5, 9]], np.uint16)
    mask = np.array([[OPEN, PAINTED, ACCEPTED], [ACCEPTED, OPEN, PAINTED]], np.uint8)
    classes = classes or {2: CELL, 5: NUCLEUS, 9: FIBRE}
    record = {"clicks": clicks} if clicks else {}
    return AnnotationState(labels, mask, classes, {"model": "demo", **record})


def prototype(name, *values):
    vector = torch.nn.functional.normalize(torch.tensor(values), dim=0)
    return Prototype(name, vector, 3, (f"image of {name}",), np.zeros((48, 48, 3), np.uint8))


def test_a_renamed_class_keeps_label_colour_and_pixels():
    before = state(clicks={"cell": [[1, 2]], "fibre": [[0, 0]]})
    after = change_state(before, ClassChange("CELL", ClassRow("cyst", ("sac",))))
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.edit_mask, before.edit_mask)
    assert after.classes[2] == ClassRow("cyst", ("sac",), colour=(1, 2, 3), visible=False)
    assert {n: after.classes[n] for n in (5, 9)} == {5: NUCLEUS, 9: FIBRE}
    assert after.record == {"model": "demo", "clicks": {"cyst": [[1, 2]], "fibre": [[0, 0]]}}
    back = change_state(after, ClassChange("cyst", CELL))
    assert back.classes == before.classes
    assert change_state(before, ClassChange("CELL", ClassRow("cell"))).classes[2].name == "cell"


def test_a_merged_class_gives_its_pixels_and_clicks_to_the_other():
    before = state(clicks={"Nucleus": [[0, 0]], "Cell": [[1, 2]]})
    after = change_state(before, ClassChange("cell", NUCLEUS, merge=True))
    np.testing.assert_array_equal(after.labels, [[0, 5, 5], [5, 5, 9]])
    np.testing.assert_array_equal(after.edit_mask, before.edit_mask)
    assert after.classes == {5: NUCLEUS, 9: FIBRE}
    assert after.record["clicks"] == {"Nucleus": [[0, 0], [1, 2]]}
    assert pixels_of(after, "nucleus") == 4
    np.testing.assert_array_equal(before.labels, state().labels)  # it was not changed
    without = state({2: CELL, 9: FIBRE})  # an image that lacks the other class: its label stays
    assert (
        change_state(without, ClassChange("cell", NUCLEUS, merge=True)).classes[2].name == "nucleus"
    )


def test_the_pixels_of_a_deleted_class_are_open_and_unlabelled():
    after = change_state(state(clicks={"cell": [[1, 2]]}), ClassChange("cell"))
    np.testing.assert_array_equal(after.labels, [[0, 0, 0], [5, 5, 9]])
    np.testing.assert_array_equal(after.edit_mask, [[OPEN] * 3, [ACCEPTED, OPEN, PAINTED]])
    assert after.classes == {5: NUCLEUS, 9: FIBRE}
    assert after.record == {"model": "demo"}


def test_an_annotation_without_the_class_is_left_alone():
    one = state(clicks={"fibre": [[0, 0]]})
    for change in (ClassChange("dog"), ClassChange("dog", NUCLEUS), ClassChange("ell", FIBRE)):
        assert change_state(one, change) is one
    clicked = AnnotationState(one.labels, one.edit_mask, {}, {"clicks": {"dog": [[1, 1]]}})
    assert change_state(clicked, ClassChange("dog")).record == {}  # clicks without a pixel count


def test_rows_thresholds_and_clicks():
    rows = (CELL, NUCLEUS, FIBRE)
    renamed = change_rows(rows, ClassChange("cell", ClassRow("cyst")))
    assert renamed == (ClassRow("cyst", colour=(1, 2, 3), visible=False), NUCLEUS, FIBRE)
    assert change_rows(rows, ClassChange("cell", NUCLEUS, merge=True)) == (NUCLEUS, FIBRE)
    assert change_rows(rows, ClassChange("fibre")) == (CELL, NUCLEUS)
    assert change_rows(rows, ClassChange("dog", ClassRow("cat"))) == rows
    both = Thresholds(0.4, 0.5, per_class={"Cell": 0.1, "nucleus": 0.2})
    assert change_thresholds(both, ClassChange("cell", NUCLEUS, merge=True)).per_class == {
        "nucleus": 0.2
    }
    assert change_thresholds(both, ClassChange("cell")).per_class == {"nucleus": 0.2}
    cyst = ClassChange("cell", ClassRow("cyst"))
    assert change_thresholds(both, cyst).per_class == {"cyst": 0.1, "nucleus": 0.2}
    assert change_clicks({}, cyst) == {}


def test_prototypes_go_with_their_class():
    items = tuple(prototype("cell", 1.0, i) for i in range(6))
    items += tuple(prototype("nucleus", -1.0, i) for i in range(6))
    found = Prototypes("demo", "identity", (*items, prototype("", 0.0, 1.0)))
    renamed = change_prototypes(found, ClassChange("CELL", ClassRow("cyst")))
    assert [one.name for one in renamed.items] == ["cyst"] * 6 + ["nucleus"] * 6 + [""]
    merged = change_prototypes(found, ClassChange("cell", NUCLEUS, merge=True))
    assert len(merged.of("nucleus")) == 8  # the most that a class has
    assert sum(one.patches for one in merged.of("nucleus")) == 36
    assert merged.images_of("nucleus") == 2
    assert not merged.of("cell")
    assert not change_prototypes(found, ClassChange("cell")).of("cell")
    assert change_prototypes(found, ClassChange("dog", NUCLEUS)) is found
    assert change_prototypes(Prototypes("a", "b", items[:6]), ClassChange("cell")) is None
