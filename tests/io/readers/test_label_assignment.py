"""Labels of a file become labels of the classes here."""

from __future__ import annotations

import numpy as np
import pytest
from label_files import written

from napari_cliper.labels.class_matching import apply, match_classes
from napari_cliper.labels.imported_labels import Imported, fitted
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError


def imported(labels, **classes):
    """Labels in a row, with the classes given as c1="name" or c1=("name", "synonym")."""
    rows = {}
    for key, words in classes.items():
        name, *synonyms = (words,) if isinstance(words, str) else words
        rows[int(key[1:])] = ClassRow(name, tuple(synonyms))
    return Imported("a.png", np.array([labels], np.uint8), rows)


HERE = {1: ClassRow("Nucleus", ("cell nucleus",)), 2: ClassRow("fibre"), 5: ClassRow("bubble")}


@pytest.mark.parametrize(
    ("file", "certain", "unknown", "clashing"),
    [
        (imported([0, 1, 2], c1="nucleus", c2="FIBRE"), {1: 1, 2: 2}, (), ()),
        (imported([1, 2], c1="fibre", c2="nucleus"), {1: 2, 2: 1}, (), ()),
        (imported([7], c7="Cell Nucleus"), {7: 1}, (), ()),
        (imported([7], c7=("Zellkern", "nucleus")), {7: 1}, (), ()),
        (imported([7], c7=("nucleus", "fibre")), {7: 1}, (), ()),
        (imported([7], c7="pollen"), {}, (7,), ()),
        (imported([2, 5, 9]), {}, (2, 5, 9), ()),
        (imported([2], c2="pollen"), {}, (), (2,)),
        (imported([7], c7=("round", "nucleus", "bubble")), {}, (), (7,)),
        (imported([7, 8], c7="nucleus", c8="cell nucleus"), {}, (), (7, 8)),
        (imported([7, 0], c7="nucleus", c8="cell nucleus", c2="pollen"), {7: 1}, (), ()),
        (imported([0, 0], c1="pollen"), {}, (), ()),
    ],
)
def test_names_settle_what_they_can_and_numbers_nothing(file, certain, unknown, clashing):
    found = match_classes(file, HERE)
    assert dict(found.certain) == certain
    assert found.unknown == unknown
    assert tuple(found.clashing) == clashing
    assert found.open == tuple(sorted((*unknown, *clashing)))


def test_labels_are_renamed_all_at_once():
    file = imported([0, 1, 2, 7], c1="fibre", c2="nucleus", c7="pollen")
    matching = match_classes(file, HERE)
    assert apply(file, matching, {7: None}).tolist() == [[0, 2, 1, 0]]
    assert apply(file, matching, {7: 1}).tolist() == [[0, 2, 1, 1]]
    assert apply(file, matching, {7: 6, 1: 5}).tolist() == [[0, 5, 1, 6]]
    wide = apply(file, matching, {7: 300})
    assert (wide.dtype, wide.tolist()) == (np.uint16, [[0, 2, 1, 300]])
    assert file.labels.tolist() == [[0, 1, 2, 7]]


def test_what_is_open_must_be_settled():
    file = imported([1, 2, 7, 8], c1="nucleus", c2="pollen", c7="wall")
    matching = match_classes(file, HERE)
    with pytest.raises(InvalidInputError) as failed:
        apply(file, matching, {7: 5})
    message = str(failed.value)
    assert "label 2 ('pollen'): label 2 is 'pollen' in the file and 'fibre' here" in message
    assert "label 8" in message
    assert "'wall'" not in message
    assert "label 1" not in message


@pytest.mark.parametrize(
    ("assignments", "what"),
    [({9: 1}, "no label 9"), ({1: 70000}, "cannot become 70000"), ({1: -1}, "cannot become -1")],
)
def test_assignments_of_nothing_are_refused(assignments, what):
    file = imported([1], c1="nucleus")
    with pytest.raises(InvalidInputError, match=what):
        apply(file, match_classes(file, HERE), assignments)


def test_an_empty_file_needs_nothing():
    file = imported([0, 0])
    assert apply(file, match_classes(file, HERE)).tolist() == [[0, 0]]


def test_the_highest_labels_are_mapped_too(tmp_path):
    labels = np.array([[0, 65535, 300]], np.uint16)
    rows = {65535: ClassRow("fibre"), 300: ClassRow("nucleus")}
    found = written(tmp_path, "a.tif", LabelledImage("a", labels, rows))
    assert apply(found, match_classes(found, HERE)).tolist() == [[0, 2, 1]]


def test_sizes_must_be_the_images():
    file = imported([1, 2, 3])
    place, _ = fitted(file, (1, 3), "YX", ())
    assert place == (slice(None), slice(None))
    with pytest.raises(InvalidInputError, match=r"a\.png are 1 x 3 pixels, .* 3 x 1"):
        fitted(file, (3, 1), "YX", ())
