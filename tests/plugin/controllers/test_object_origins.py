"""Objects of another program get classes by scores, and by those that a person has named."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.readers.object_files import read_objects
from napari_cliper.objects.classifying import classify
from napari_cliper.objects.object_set import objects_of
from napari_cliper.plugin.controllers import object_origins
from napari_cliper.plugin.controllers.objects import ObjectsController

SCENE = make_scene((96, 128), 1_000_008)
OUTLINES = SCENE.instances.astype(np.int64) * 70_001


@pytest.fixture
def objects(dock):
    """The controller of the page Objects."""
    return next(one for one in dock.controllers if isinstance(one, ObjectsController))


@pytest.fixture
def page(dock, run, qtbot):
    """The dock at the page Objects after a run, with the true outlines in a layer."""
    run(dock)
    dock.viewer.add_labels(OUTLINES, name="outlines")
    dock.frame.go_to("objects")
    settle(dock, qtbot)
    return dock


def settle(dock, qtbot):
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)


def offered(dock):
    box = dock.panels["objects"].origin
    return [box.itemText(index) for index in range(box.count())]


def choose(dock, qtbot, text):
    box = dock.panels["objects"].origin
    box.setCurrentIndex(offered(dock).index(text))
    box.activated.emit(box.currentIndex())
    settle(dock, qtbot)


def names(plane):
    return {number: plane.named(number) for number in plane.objects.ids.tolist()}


def test_objects_of_a_layer_keep_outlines_and_numbers_and_get_classes(page, objects, qtbot):
    dock, panel = page, page.panels["objects"]
    assert offered(dock) == ["prediction, not accepted", "outlines", "Open a file ..."]
    choose(dock, qtbot, "outlines")
    plane = objects.made.plane
    layer = dock.viewer.layers["scene objects"]
    assert np.array_equal(layer.data, OUTLINES)
    kept = dock.result.current
    expected = classify(kept.shown.outcome.scores, objects_of(layer.data), kept.followed[0])
    assert [plane.named(n) for n in expected.objects.ids.tolist()] == expected.table()["class"]
    assert layer.features["score"].tolist() == pytest.approx(expected.scores.tolist())
    assert "the table lists unsure ones first" in panel.hint.text()
    assert panel.table.rowCount() == 4

    panel.table_button.click()
    settle(dock, qtbot)
    window = objects.table.window
    listed = [window.model.number_at(row) for row in range(window.model.rowCount())]
    assert listed == expected.unsure_first()
    headings = [window.model.headerData(at, Qt.Orientation.Horizontal)
                for at in range(window.model.columnCount())]  # fmt: skip
    assert headings == [
        "object", "class", "score", "margin", "area [pixel]", "perimeter [pixel]",
        "major axis [pixel]",
        "minor axis [pixel]", "eccentricity", "mean intensity 1", "mean intensity 2",
        "mean intensity 3", "edited",
    ]  # fmt: skip
    window.view.clicked.emit(window.model.index(0, 0))
    rows, columns = np.nonzero(layer.data == listed[0])
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx(middle)
    window.view.sortByColumn(headings.index("area [pixel]"), Qt.SortOrder.DescendingOrder)
    sizes = [(layer.data == window.model.number_at(row)).sum() for row in range(3)]
    assert sizes == sorted(np.unique(layer.data, return_counts=True)[1][1:], reverse=True)[:3]

    choose(dock, qtbot, "labels of the image")
    assert len(objects.made.plane.objects.ids) != len(listed)
    choose(dock, qtbot, "outlines")
    assert np.array_equal(layer.data, OUTLINES)


@pytest.mark.one_binding
def test_named_objects_change_the_classes_of_others(page, objects, qtbot):
    dock = page
    choose(dock, qtbot, "outlines")
    before = names(objects.made.plane)
    swapped = {"pollen grain": "fibre", "fibre": "pollen grain"}
    first = {name: next(n for n in before if before[n] == name) for name in swapped
             if name in before.values()}  # fmt: skip
    assert len(first) == 2
    for name, number in first.items():
        objects.edit(lambda plane, n=number, to=swapped[name]: plane.given({n: plane.label_of(to)}),
                     "named")  # fmt: skip
        settle(dock, qtbot)
    after = names(objects.made.plane)
    for name, number in first.items():
        assert after[number] == swapped[name]
    assert objects.made.plane.edited.edited == set(first.values())
    others = [number for number in before if number not in first.values()]
    assert any(after[number] != before[number] for number in others)
    assert "changed class" in dock.status_panel.message.text()


@pytest.mark.one_binding
def test_objects_are_read_from_a_file_with_their_classes(
    page, objects, qtbot, tmp_path, monkeypatch
):
    dock, panel = page, page.panels["objects"]
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, SCENE.instances.astype(np.uint16))
    (tmp_path / "cells.csv").write_text("object,class\n1,debris\n", encoding="utf-8")
    assert read_objects(path).classes == {1: "debris"}
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    choose(dock, qtbot, "Open a file ...")
    assert panel.origin.currentText() == "cells"
    assert objects.made.plane.named(1) == "debris"
    assert objects.made.plane.edited.edited == {1}
    dock.viewer.layers.remove(dock.viewer.layers["cells"])
    assert offered(dock)[-2] == "cells"
    dock.frame.go_to("find")
    dock.frame.go_to("objects")
    settle(dock, qtbot)
    assert objects.made.plane.named(1) == "debris"  # objects that were taken stay
    tifffile.imwrite(path, np.ones((5, 5), np.uint8))
    choose(dock, qtbot, "Open a file ...")
    assert "5 x 5 pixels, but 96 x 128" in dock.status_panel.message.text()


@pytest.mark.one_binding
def test_an_edit_belongs_to_the_objects_that_were_on_the_screen(page, objects, qtbot, monkeypatch):
    dock, threads = page, []

    def counted(*args):
        threads.append(threading.current_thread())
        return objects_of(*args)

    monkeypatch.setattr(object_origins, "objects_of", counted)
    (choice, number) = objects.made.seen.choice, int(objects.made.plane.objects.ids[0])
    objects.come_from("outlines")
    objects.edit(lambda plane: plane.given({number: 1}), "named")
    settle(dock, qtbot)
    planes = objects.of(choice.layer).saved.planes
    assert planes["", ()]["edited"] == [number]
    assert planes["outlines", ()]["edited"] == []
    assert np.array_equal(dock.viewer.layers["scene objects"].data, OUTLINES)
    assert threads
    assert threading.main_thread() not in threads  # the window goes on meanwhile

    dock.viewer.add_labels(-np.ones((96, 128), np.int32), name="negative")
    choose(dock, qtbot, "negative")
    assert "Renumber the objects" in dock.status_panel.message.text()
    assert objects.made is None
