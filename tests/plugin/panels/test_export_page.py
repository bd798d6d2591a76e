"""The page Export: folds that fit, and the filter of the images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_cliper.plugin.export_choice import ExportChoice

FILES = 30


@pytest.fixture
def project(dock, tmp_path, qtbot):
    """The dock with a project of many images, at the first."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(FILES):
        pixels = np.full((16, 16, 3), number, np.uint8)
        Image.fromarray(pixels).save(folder / f"plate {number:02}.png")
    dock.project_controller.create(tmp_path / "project", sorted(folder.iterdir()))
    controller = dock.project_controller
    qtbot.waitUntil(lambda: controller.current == "plate 00" and controller.idle)
    return dock


def listed(dock):
    images = dock.project_panel.images
    items = [images.item(index) for index in range(images.count())]
    return [item.text() for item in items if not item.isHidden()]


@pytest.mark.one_binding
def test_every_fold_fits_a_laptop_and_one_is_open_at_a_time(project, laptop, qtbot):
    laptop()
    dock, page = project, project.export_page
    dock.frame.go_to("export")
    seen = dock.frame.current
    assert page.images.is_open  # a project was opened

    def fits():
        inside = seen.widget().minimumSizeHint().width() <= seen.viewport().width()
        return inside and seen.verticalScrollBar().maximum() == 0

    for fold in (page.files, page.images, page.prototypes):
        fold.header.setChecked(True)
        assert [one for one in page.folds.folds if one.is_open] == [fold]
        qtbot.wait(50)
        qtbot.waitUntil(fits, timeout=10_000)  # layouts follow in steps
    page.prototypes.header.click()
    assert page.files.is_open  # what the page is for comes back
    page.files.header.click()
    assert not any(fold.is_open for fold in page.folds.folds)


@pytest.mark.one_binding
def test_the_list_takes_the_height_that_is_left(project, laptop):
    dock = project
    dock.frame.go_to("export")
    heights = []
    for height in (640, 840):
        laptop(height=height)
        heights.append(dock.project_panel.images.height())
    assert 195 <= heights[1] - heights[0] <= 200


@pytest.mark.one_binding
def test_there_is_no_list_without_a_project(dock):
    assert dock.export_page.images.isHidden()
    assert dock.export_page.files.is_open
    assert dock.project_panel.where.text().startswith("No project")


def test_images_are_filtered_by_name_and_status(project, qtbot):
    dock = project
    assert len(listed(dock)) == FILES
    dock.project_panel.done_button.click()
    qtbot.waitUntil(lambda: dock.project_controller.current == "plate 01", timeout=10_000)
    field = dock.project_panel.filter
    field.setText("plate 1")
    assert listed(dock) == [f"plate {n:02}: not started" for n in (1, *range(10, 20), 21)]
    field.setText("done")
    assert listed(dock) == ["plate 00: done"]
    field.setText("DONE 07")
    assert listed(dock) == []
    field.setText("not started 2")
    assert all("2" in text and "not started" in text for text in listed(dock))
    assert len(listed(dock)) == 12  # 02, 12, 20 to 29
    dock.project_panel.next_button.click()
    qtbot.waitUntil(lambda: dock.project_controller.current == "plate 02", timeout=10_000)
    assert len(listed(dock)) == 12  # the list was filled again
    field.clear()
    assert len(listed(dock)) == FILES


@pytest.mark.one_binding
def test_annotated_images_are_counted_exported_and_found_by_class(project, qtbot, tmp_path):
    dock, panel = project, project.export_panel
    assert not panel.export_button.isEnabled()
    for name in ("plate 00", "plate 01"):
        dock.project_controller.go_to(name)
        qtbot.waitUntil(lambda name=name: dock.project_controller.current == name, timeout=10_000)
        dock.image_panel.images.setCurrentText(name)
        mine = dock.annotation_controller.begin(dock.project_controller.layer, name)
        label, *_ = [mine.number_of(row) for row in dock.classes_panel.value()]
        mine.rewrite((slice(2, 8), slice(2, 8)), np.full((6, 6), label, np.uint16))
    assert panel.export_button.text() == "Export 2 images"
    dock.project_controller.save_now()
    dock.project_controller.go_to("plate 02")
    qtbot.waitUntil(lambda: dock.project_controller.current == "plate 02", timeout=10_000)
    dock.project_panel.filter.setText("pollen")
    assert listed(dock) == ["plate 00: in progress", "plate 01: in progress"]
    assert "pollen grain" in dock.project_panel.images.item(0).toolTip()
    dock.project_panel.filter.setText("fibre")
    assert listed(dock) == []
    dock.project_controller.go_to("plate 01")
    qtbot.waitUntil(lambda: dock.project_controller.current == "plate 01", timeout=10_000)
    dock.image_panel.images.setCurrentText("plate 01")
    panel.every_image.click()
    assert panel.export_button.text() == "Export 1 image"
    panel.every_image.click()
    panel.folder.setText(str(tmp_path / "out"))
    panel.purposes["fiji"].box.click()
    assert not panel.validation.isEnabled()  # TIFF knows no validation
    panel.export_button.click()
    qtbot.waitUntil(lambda: dock.import_export.idle, timeout=20_000)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == [
        "plate 00.tif",
        "plate 01.tif",
    ]
    panel.setValue(
        ExportChoice(
            ("training",),
            ("png", "plain-png", "object-png", "yolo"),
            str(tmp_path / "coco"),
            validation=50,
        )
    )
    assert panel.validation.isEnabled()
    panel.export_button.click()
    qtbot.waitUntil(lambda: dock.import_export.idle, timeout=20_000)
    for part in ("train", "val"):
        record = json.loads((tmp_path / "coco" / f"instances_{part}.json").read_text())
        assert len(record["images"]) == 1
    assert "1 of 2 images are for validation" in dock.status_panel.message.text()
