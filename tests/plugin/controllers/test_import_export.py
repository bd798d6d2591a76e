"""Export and import from the dock, read back by other programs."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools.coco import COCO
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QDialog, QFileDialog

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.io.formats import FORMATS
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.io.writers.png import write_indexed_png
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.plugin.controllers import import_export
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.export_choice import ExportChoice, last_choice
from napari_cliper.plugin.panels.export_panel import ExportRequest
from napari_cliper.plugin.ui_text import LEAVE_OUT, NEW_CLASS


@pytest.fixture
def accepted(dock, run):
    """The dock with an annotation."""
    run(dock)
    dock.annotation_panel.accept_button.click()
    return dock


def annotation(dock):
    return dock.annotation_controller.of(dock.viewer.layers["scene"])


def wait(dock, qtbot):
    qtbot.waitUntil(lambda: dock.import_export.idle, timeout=20_000)


def message(dock):
    return dock.status_panel.message.text()


def export(dock, qtbot, folder, *formats, overwrite=False):
    request = ExportRequest(folder, formats, overwrite, every_image=False)
    dock.import_export.write(
        request, dock.annotation_controller.current(), dock.project_controller.exported()
    )
    wait(dock, qtbot)


# ---------------------------------------------------------------------- export


def test_purposes_and_a_folder_are_asked_for_and_the_files_are_right(
    accepted, qtbot, tmp_path, monkeypatch
):
    panel = accepted.export_panel
    assert panel.export_button.text() == "Export 1 image"
    assert not panel.export_button.isEnabled()
    assert not panel.open_button.isEnabled()
    assert panel.every_image.isHidden()
    panel.folder.setText(str(tmp_path / "out"))
    assert "purpose" in panel.export_button.toolTip()
    training = panel.purposes["training"]
    training.box.click()
    for action in training.menu.actions():
        if action.text() in ("PNG, plain", "YOLO segmentation"):
            action.trigger()
    assert panel.export_button.toolTip() == "Write PNG, indexed, COCO JSON."
    panel.export_button.click()
    assert not panel.export_button.isEnabled()
    wait(accepted, qtbot)
    assert "Exported" in message(accepted)
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["coco", "png"]
    coco = COCO(str(tmp_path / "out" / "coco" / "stuff.json"))
    mine = annotation(accepted)
    painted = np.zeros((96, 128), int)
    for one in coco.dataset["annotations"]:
        painted[coco.annToMask(one) > 0] = one["category_id"]
    np.testing.assert_array_equal(painted, mine.layer.data)
    names = {one["id"]: one["name"] for one in coco.dataset["categories"]}
    assert names == {label: row.name for label, row in mine.classes.items()}
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    panel.open_button.click()
    assert [Path(one) for one in opened] == [tmp_path / "out"]
    assert "file manager" in message(accepted)  # there is none that could show it


@pytest.mark.one_binding
def test_every_format_has_a_purpose_and_stands_in_its_menu(dock):
    rows = dock.export_panel.purposes
    assert sorted(name for row in rows.values() for name in row.names) == sorted(FORMATS)
    for row in rows.values():
        assert row.names
        for name, action in zip(row.names, row.menu.actions(), strict=True):
            assert action.text() == FORMATS[name].title
            assert FORMATS[name].help in row.box.toolTip()


@pytest.mark.one_binding
def test_the_last_choice_comes_back_in_the_next_session(accepted, qtbot, tmp_path):
    chosen = ExportChoice(
        ("tables", "python"),
        ("object-tiff", "ome-zarr", "ome-zarr-0.5"),
        str(tmp_path / "out"),
        True,
    )
    accepted.export_panel.setValue(chosen)
    assert accepted.export_panel.value() == chosen
    accepted.export_panel.export_button.click()
    wait(accepted, qtbot)
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["csv", "numpy"]
    assert last_choice() == chosen
    later = CliperWidget(accepted.viewer)
    qtbot.addWidget(later)
    assert later.export_panel.value() == chosen
    later.close_down()


@pytest.mark.one_binding
def test_every_format_is_written_from_the_dock(accepted, qtbot, tmp_path):
    export(accepted, qtbot, tmp_path, *FORMATS)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == sorted(FORMATS)
    mine = annotation(accepted)
    with tifffile.TiffFile(tmp_path / "tiff" / "scene.tif") as file:
        np.testing.assert_array_equal(file.asarray(), mine.layer.data)


@pytest.mark.one_binding
def test_the_file_of_a_layer_is_never_replaced(accepted, qtbot, tmp_path):
    """Not even one that this program wrote: labels that are now an image to annotate."""
    export(accepted, qtbot, tmp_path, "png")
    before = (tmp_path / "scene.png").read_bytes()
    (layer,) = accepted.viewer.open(str(tmp_path / "scene.png"), plugin="napari")
    accepted.annotation_controller.begin(layer, "scene")
    accepted.image_panel.images.setCurrentText(layer.name)
    assert accepted.annotation_controller.current().image is layer
    export(accepted, qtbot, tmp_path, "png", overwrite=True)
    assert "is one of the inputs and is never replaced" in message(accepted)
    assert (tmp_path / "scene.png").read_bytes() == before


@pytest.mark.one_binding
def test_undecided_pixels_are_ignored_in_voc_masks(accepted, qtbot, tmp_path):
    mine = annotation(accepted)
    mine.layer.undo()
    mine.layer.selected_label = 2
    mine.layer.paint_polygon([(10, 10), (10, 40), (40, 40)], 2)
    export(accepted, qtbot, tmp_path, "png")
    with Image.open(tmp_path / "scene.png") as picture:
        found = np.array(picture)
    np.testing.assert_array_equal(found == 2, mine.layer.data == 2)
    assert (found[mine.layer.data == 0] == 255).all()


@pytest.mark.one_binding
def test_pixel_size_and_units_go_along(dock, run, qtbot, tmp_path):
    layer = dock.viewer.layers["scene"]
    layer.scale, layer.units = (0.5, 0.25), "um"
    run(dock)
    dock.annotation_panel.accept_button.click()
    export(dock, qtbot, tmp_path, "ome-tiff")
    with tifffile.TiffFile(tmp_path / "scene.ome.tif") as file:
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeX"]) == (0.5, 0.25)
    assert pixels.get("PhysicalSizeXUnit", "µm") == "µm"


@pytest.mark.one_binding
def test_what_is_there_stays_and_the_way_out_is_told(accepted, qtbot, tmp_path):
    export(accepted, qtbot, tmp_path, "png")
    before = (tmp_path / "scene.png").read_bytes()
    annotation(accepted).layer.undo()
    export(accepted, qtbot, tmp_path, "png")
    assert "already exists" in message(accepted)
    assert (tmp_path / "scene.png").read_bytes() == before
    export(accepted, qtbot, tmp_path, "png", overwrite=True)
    assert (tmp_path / "scene.png").read_bytes() != before


@pytest.mark.one_binding
def test_a_full_disk_reaches_the_person(accepted, qtbot, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tifffile.imwrite", full)
    export(accepted, qtbot, tmp_path / "out", "tiff")
    assert "disk is full" in message(accepted)
    assert list((tmp_path / "out").glob("[!.]*")) == []


@pytest.mark.one_binding
def test_nothing_to_export(dock, tmp_path):
    panel = dock.export_panel
    panel.setValue(ExportChoice(("fiji",), (), str(tmp_path / "out")))
    assert not panel.export_button.isEnabled()
    assert "no annotation" in panel.export_button.toolTip()
    dock.import_export.export()  # as by a press in the moment in which the annotation went
    assert "no annotation" in message(dock)
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------- import


@pytest.fixture
def from_elsewhere(tmp_path):
    """An indexed PNG whose classes have other numbers."""
    labels = np.zeros((96, 128), np.uint8)
    labels[10:30, 10:30], labels[50:70, 60:90] = 1, 7
    rows = {1: ClassRow("Bacterium"), 7: ClassRow("mitochondrion", colour=(9, 8, 7))}
    write_indexed_png(tmp_path / "labels.png", LabelledImage("labels", labels, rows))
    return tmp_path / "labels.png", labels


def answer(monkeypatch, fill):
    """What a person chooses in the dialog."""
    monkeypatch.setattr(import_export.ImportDialog, "exec", fill)


def test_classes_go_by_name_and_new_ones_are_asked_about(dock, qtbot, monkeypatch, from_elsewhere):
    path, labels = from_elsewhere
    requested = []

    def fill(dialog):
        requested.append(list(dialog.boxes))
        assert dialog.boxes[7].currentText() == NEW_CLASS
        return QDialog.DialogCode.Accepted

    answer(monkeypatch, fill)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    dock.export_panel.import_button.click()
    wait(dock, qtbot)
    assert requested == [[7]]  # the bacterium is known by its name
    mine = annotation(dock)
    names = {row.name: label for label, row in mine.classes.items()}
    np.testing.assert_array_equal(mine.layer.data == names["bacterium"], labels == 1)
    np.testing.assert_array_equal(mine.layer.data == names["mitochondrion"], labels == 7)
    assert names["mitochondrion"] == 7
    assert [row.name for row in dock.classes_panel.value()][-1] == "mitochondrion"
    np.testing.assert_array_equal(mine.edits.edit_mask == PAINTED, labels > 0)
    mine.layer.undo()
    assert not mine.layer.data.any()


@pytest.mark.one_binding
def test_a_class_can_be_left_out_and_an_import_called_off(dock, qtbot, monkeypatch, from_elsewhere):
    path, labels = from_elsewhere
    answer(monkeypatch, lambda _dialog: QDialog.DialogCode.Rejected)
    dock.import_export.read(path)
    wait(dock, qtbot)
    assert not annotation(dock).layer.data.any()
    assert "Nothing was imported" in message(dock)

    def fill(dialog):
        dialog.boxes[7].setCurrentIndex(dialog.boxes[7].findText(LEAVE_OUT))
        return QDialog.DialogCode.Accepted

    answer(monkeypatch, fill)
    dock.import_export.read(path)
    wait(dock, qtbot)
    assert not annotation(dock).layer.data[labels == 7].any()
    assert annotation(dock).layer.data[labels == 1].all()


@pytest.mark.one_binding
def test_the_image_of_a_data_set_is_found_by_its_name(dock, qtbot, tmp_path):
    labels = np.zeros((96, 128), np.uint8)
    labels[3:20, 3:20] = 1
    rows = {1: ClassRow("fibre")}
    images = [LabelledImage(name, labels if name == "scene" else labels[:9, :9], rows)
              for name in ("other", "scene", "third")]  # fmt: skip
    write_coco(tmp_path / "set.json", images)
    dock.import_export.read(tmp_path / "set.json")
    wait(dock, qtbot)
    mine = annotation(dock)
    label = next(n for n, row in mine.classes.items() if row.name == "fibre")
    np.testing.assert_array_equal(mine.layer.data == label, labels == 1)
    dock.viewer.layers["scene"].name = "elsewhere"
    dock.import_export.read(tmp_path / "set.json")
    wait(dock, qtbot)
    assert "elsewhere" in message(dock)
    assert "third" in message(dock)


@pytest.mark.one_binding
@pytest.mark.parametrize("told_by", ["record", "name"])
def test_planes_of_a_data_set_come_back_onto_their_planes(
    dock, qtbot, tmp_path, monkeypatch, told_by
):
    labels = np.zeros((3, 2, 20, 30), np.uint8)
    for t, z in np.ndindex(3, 2):
        labels[t, z, 2 : 5 + t, 4 : 6 + 3 * z] = 1
    stack = LabelledImage("series", labels, {1: ClassRow("fibre")}, axes="TZYX")
    planes = list(stack.planes())
    planes[3:4] = []  # T 1, Z 1 keeps what is there
    path = tmp_path / "set.json"
    write_coco(path, [LabelledImage("other", labels[0, 0], stack.classes), *planes])
    record = json.loads(path.read_text())
    for number, image in enumerate(record["images"]):
        own = image.pop("napari_cliper", None)
        if told_by == "record":
            image |= {"napari_cliper": own, "file_name": f"{number}.png"} if own else {}
        else:
            image["file_name"] += ".png"
    path.write_text(json.dumps(record))
    answer(monkeypatch, lambda _dialog: QDialog.DialogCode.Accepted)
    image = dock.viewer.add_image(np.zeros(labels.shape), name="series")
    image.axis_labels = ("t", "z", "y", "x")
    dock.image_panel.images.setCurrentText("series")
    dock.import_export.read(path)
    wait(dock, qtbot)
    assert "Imported" in message(dock), message(dock)
    expected = labels.copy()
    expected[1, 1] = 0
    np.testing.assert_array_equal(dock.annotation_controller.of(image).layer.data > 0, expected > 0)


@pytest.mark.one_binding
def test_notes_on_measurements_and_on_unnamed_axes_are_shown(dock, qtbot, tmp_path):
    image = dock.viewer.add_image(np.zeros((3, 20, 30)), name="series")
    dock.image_panel.images.setCurrentText("series")
    mine = dock.annotation_controller.begin(image, "series")
    mine.layer.data_setitem((np.array([1]), np.array([2]), np.array([3])), 1)
    export(dock, qtbot, tmp_path / "one", "csv")
    assert message(dock).count("has no name for axis 0") == 1
    assert "axis_labels" in message(dock)
    assert "no pixel size" in message(dock)
    image.axis_labels, image.scale = ("t", "y", "x"), (1, 0.5, 0.5)
    image.units = ("s", "um", "um")
    assert mine.layer.extent.world.tolist() == image.extent.world.tolist()
    export(dock, qtbot, tmp_path / "two", "csv")
    assert "Exported" in message(dock)
    assert "axis 0" not in message(dock)
    assert "pixel size" not in message(dock)


@pytest.mark.one_binding
def test_what_was_imported_stays_said_beside_a_prediction(dock, run, qtbot, settle, tmp_path):
    """What is imported is a hint, which need not change anything; a stroke is answered."""
    run(dock)
    predicted = dock.shown.predictions["refined"].layer.data.astype(np.uint8)
    rows = dict(enumerate(dock.classes_panel.value(), 1))
    other = np.zeros_like(predicted)
    other[:20, :20] = 4
    for number, labels in enumerate((predicted, other)):
        path = tmp_path / f"labels {number}.png"
        write_indexed_png(path, LabelledImage("labels", labels, rows))
        dock.import_export.read(path)
        wait(dock, qtbot)
        settle(dock)
        assert message(dock).startswith(f"Imported {path}: ")
    mine = annotation(dock)
    row, column = np.argwhere(mine.layer.data)[-1]
    mine.layer.paint((row, column), int(mine.layer.data[row, column]) % 4 + 1)
    settle(dock)
    assert "changed" in message(dock)
    assert "Imported" not in message(dock)


def test_labels_of_another_size_are_refused(dock, qtbot, tmp_path):
    write_indexed_png(
        tmp_path / "small.png",
        LabelledImage("small", np.ones((9, 9), np.uint8), {1: ClassRow("a")}),
    )
    dock.import_export.read(tmp_path / "small.png")
    wait(dock, qtbot)
    assert "9 x 9" in message(dock)


@pytest.mark.one_binding
def test_a_file_that_is_no_labels(dock, qtbot, tmp_path):
    (tmp_path / "broken.json").write_text(json.dumps({"images": 3}))
    dock.import_export.read(tmp_path / "broken.json")
    wait(dock, qtbot)
    assert "broken.json" in message(dock)
    assert dock.run_panel.run_button.isEnabled()


@pytest.mark.one_binding
def test_what_was_exported_comes_back(accepted, qtbot, tmp_path, monkeypatch, subtests):
    before = annotation(accepted).layer.data.copy()
    answer(monkeypatch, lambda _dialog: pytest.fail("every class is known by name"))
    for format_name in ("tiff", "ome-tiff", "png", "coco"):
        with subtests.test(format=format_name):
            folder = tmp_path / format_name
            folder.mkdir()
            export(accepted, qtbot, folder, format_name)
            (path,) = [p for p in folder.glob("[!.]*") if p.name != "instances.json"]
            accepted.viewer.layers.remove(annotation(accepted).layer)
            accepted.import_export.read(path)
            wait(accepted, qtbot)
            np.testing.assert_array_equal(annotation(accepted).layer.data, before)


@pytest.mark.one_binding
def test_labels_go_onto_the_image_they_were_asked_for(dock, qtbot, monkeypatch, from_elsewhere):
    path, labels = from_elsewhere
    answer(monkeypatch, lambda _dialog: QDialog.DialogCode.Accepted)
    other = dock.viewer.add_image(np.zeros((96, 128)), name="other")
    dock.image_panel.images.setCurrentText("scene")
    dock.import_export.read(path)
    dock.image_panel.images.setCurrentText("other")
    wait(dock, qtbot)
    assert dock.annotation_controller.of(other) is None
    np.testing.assert_array_equal(annotation(dock).layer.data > 0, labels > 0)
    dock.import_export.read(path)
    dock.viewer.layers.remove(other)
    wait(dock, qtbot)
    assert "other was removed" in message(dock)
