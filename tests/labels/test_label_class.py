"""A class has one colour in every layer, table and file."""

from __future__ import annotations

from napari_cliper.labels.label_class import ClassRow, colours_of, with_colours
from napari_cliper.labels.palette import class_colours


def test_a_class_has_its_own_colour_or_the_default_of_its_label():
    classes = {2: ClassRow("a"), 7: ClassRow("b", colour=(0, 0, 0)), 3: ClassRow("c")}
    defaults = [tuple(colour) for colour in class_colours(3).tolist()]
    assert colours_of(classes) == {2: defaults[1], 7: (0, 0, 0), 3: defaults[2]}
    assert colours_of({}) == {}


def test_the_table_of_classes_and_the_layers_agree_on_the_defaults():
    rows = (ClassRow("a"), ClassRow("b"), ClassRow("c"))
    shown = [row.colour for row in with_colours(rows)]
    assert list(colours_of(dict(enumerate(rows, 1))).values()) == shown
