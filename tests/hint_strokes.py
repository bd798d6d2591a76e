"""Strokes of a person, and what a dock predicts and keeps of them."""

from __future__ import annotations

import numpy as np

from napari_cliper.demo.scenes import make_scene

SCENE = make_scene((96, 128), 1_000_008)


def predicted(dock):
    return dock.shown.predictions["refined"].layer


def annotation(dock):
    image = dock.viewer.layers["scene"]
    return dock.annotation_controller.begin(image, "scene")


def paint(dock, label, where):
    """A stroke of a class of the result (0: background) along (row, column) pairs."""
    mine = annotation(dock)
    for row in dock.shown.rows:
        mine.number_of(row)
    mine.layer.brush_size = 3
    with mine.layer.block_history():
        for pixel in where:
            mine.layer.paint(pixel, label)
    return mine


def contradict(dock):
    """Paint a stroke of another class on an object; returns the class before and after."""
    before = predicted(dock).data
    label = int(np.bincount(before[before > 0]).argmax())
    rows, columns = np.nonzero(before == label)
    middle = len(rows) // 2
    other = label % len(dock.shown.rows) + 1
    paint(dock, other, [(int(rows[middle]), int(columns[middle]))])
    return label, other
