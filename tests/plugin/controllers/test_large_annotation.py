"""A large lazy image: labels on disk, and an editable window that follows the view."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from napari_cliper.annotation.class_change import ClassChange
from napari_cliper.annotation.edit_mask import ACCEPTED, PAINTED
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.project.sessions import sessions_folder
from napari_cliper.annotation.stored_state import StoredState
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.export import export_images
from napari_cliper.io.files import FileError
from napari_cliper.io.readers.label_files import read_labels
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin import ui_text
from napari_cliper.plugin.contributions.writers import write_layers
from napari_cliper.plugin.controllers import accept_job, new_project
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.layers import image_layers, window_region

SIDE, PART = 1536, 128
SCENE = make_scene((PART, PART), 1_000_008).image


@pytest.fixture
def slide(dock, monkeypatch):
    """A dock beside a lazy image of which a whole array is never made."""
    monkeypatch.setattr(image_layers, "LARGEST_IN_MEMORY", 1024)
    monkeypatch.setattr(window_region, "WINDOW", 512)
    read = []

    def block(block_info=None):
        read.append(block_info[None]["array-location"])
        return SCENE

    number = SIDE // PART
    chunks = ((PART,) * number, (PART,) * number, (3,))
    dock.read = read
    dock.source = da.map_blocks(
        block, chunks=chunks, dtype=np.uint8, meta=np.zeros((0, 0, 0), "u1")
    )
    dock.viewer.layers.clear()
    dock.viewer.add_image(dock.source, name="slide", rgb=True)
    return dock


def look_at(dock, row, column, qtbot, zoom=4.0):
    camera = dock.viewer.scene.camera
    camera.zoom = zoom
    camera.center = (0, row, column)
    qtbot.waitUntil(lambda: dock.windows.idle, timeout=10_000)


def stroke(annotation, row, column, label):
    """Paint around a pixel of the image, as the brush does."""
    rows, columns = annotation.edits.region
    annotation.layer.brush_size = 6
    annotation.layer.paint((row - rows.start, column - columns.start), label)
    annotation.follow()


def wait_until(should_stop):
    while not should_stop():
        time.sleep(0.01)


@pytest.mark.one_binding
def test_painting_undo_accept_and_saves_work_wherever_the_window_is(slide, run, qtbot, monkeypatch):
    dock, controller = slide, slide.annotation_controller
    dock.corrections_panel.spread.setChecked(False)  # so that only strokes change labels
    dock.image_panel.choose("visible", current_plane=True)
    look_at(dock, 700, 700, qtbot)
    dock.read.clear()
    run(dock)
    controller.accept()
    (annotation,) = controller.all
    store = annotation.store
    region = dock.result.seen().choice.region
    np.testing.assert_array_equal(
        annotation.edits.labels[region] > 0, dock.result.seen().labels > 0
    )
    assert (annotation.edits.edit_mask[region] == ACCEPTED).all()
    accepted = store.counts()
    assert accepted.decided == np.prod(dock.result.seen().labels.shape)
    assert annotation.layer.data.shape == (512, 512)
    shown = annotation.edits.region
    np.testing.assert_array_equal(annotation.layer.data, annotation.edits.labels[shown])
    stroke(annotation, 700, 700, 3)
    assert (annotation.edits.edit_mask[698:703, 698:703] == PAINTED).sum() > 10
    here = store.counts()
    look_at(dock, 100, 1400, qtbot)
    assert annotation.edits.region == (slice(0, 512), slice(1024, 1536))
    np.testing.assert_array_equal(annotation.layer.translate, (0, 1024))
    assert not annotation.layer.data.any()
    stroke(annotation, 60, 1500, 2)
    assert annotation.edits.labels[60, 1500] == 2
    assert dock.viewer.layers["slide"].get_value((60, 1500)) is not None
    annotation.layer.undo()
    assert store.counts() == here
    assert not annotation.layer.data.any()
    annotation.layer.undo()  # of the stroke that is out of sight
    assert store.counts() == accepted
    assert "out of sight, around row 700" in dock.status_panel.message.text()
    annotation.layer.redo()
    annotation.layer.redo()
    assert annotation.layer.data[60, 1500 - 1024] == 2
    dock.tool_controller.choose(dock.classes_panel.value()[1].name)
    dock.viewer.cursor.position = 200, 1200
    dock.key_cursor.paint()
    annotation.follow()
    label = annotation.edits.labels[200, 1200]
    assert annotation.classes[int(label)].name == dock.classes_panel.value()[1].name
    annotation.layer.undo()
    assert annotation.edits.labels[200, 1200] == 0
    unchanged = store.counts()
    dock.viewer.cursor.position = 700, 700
    dock.key_cursor.paint()
    assert "Zoom in" in dock.status_panel.message.text()
    assert store.counts() == unchanged
    before = store.counts()
    with annotation.layer.block_history():  # as a drag with the brush
        for column in range(100, 130, 10):
            annotation.layer.paint((100, column), 3)
            if column == 110:
                annotation.follow()  # as an autosave in the middle of it
    annotation.follow()
    assert store.counts().labels[3] > before.labels.get(3, 0)
    annotation.layer.undo()
    assert store.counts() == before
    look_at(dock, 768, 768, qtbot, zoom=0.3)
    overview = dock.viewer.layers[ui_text.overview_layer("slide")]
    assert overview.visible
    rows, columns = (slice(part.start // 8, part.stop // 8) for part in annotation.edits.region)
    expected = annotation.state().labels[::8, ::8]
    expected[rows, columns] = 0
    np.testing.assert_array_equal(overview.data, expected)
    assert overview.data.any() or not expected.any()
    look_at(dock, 700, 700, qtbot)
    assert not overview.visible
    assert len(dock.read) < 60  # of 144
    dock.annotation_panel.setValue(replace(dock.annotation_panel.value(), tool="remove specks"))
    controller.clean()
    qtbot.waitUntil(lambda: controller.idle, timeout=10_000)
    monkeypatch.setattr(accept_job, "AT_ONCE", 0)  # all of it in a thread
    dock.annotation_panel.setValue(replace(dock.annotation_panel.value(), rule="all"))
    stroke(annotation, 700, 700, 3)
    before = annotation.state()
    labels, edit_mask = before.labels, before.edit_mask
    painted = int((edit_mask[region] >= PAINTED).sum())
    for answer in (False, True):
        asked = []
        controller.confirm = lambda text, answer=answer, asked=asked: asked.append(text) or answer
        controller.accept()
        assert store.read_labels((slice(0, SIDE), slice(0, SIDE)))[700, 700] == 3  # not yet
        qtbot.waitUntil(lambda: dock.idle, timeout=20_000)
        assert f"{painted:,}" in asked[0]
        if not answer:
            np.testing.assert_array_equal(annotation.state().edit_mask, edit_mask)
    np.testing.assert_array_equal(
        annotation.edits.labels[region] > 0, dock.result.seen().labels > 0
    )
    annotation.layer.undo()
    np.testing.assert_array_equal(annotation.state().labels, labels)
    np.testing.assert_array_equal(annotation.state().edit_mask, edit_mask)
    dock.main_job.start(lambda _report, should_stop: wait_until(should_stop), lambda _: None)
    controller.accept()
    assert "Wait for it" in dock.status_panel.message.text()
    dock.main_job.cancel()
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)


@pytest.mark.one_binding
def test_nothing_is_lost_by_closing_and_all_is_exported(slide, qtbot, tmp_path):
    dock, controller = slide, slide.annotation_controller
    viewer = dock.viewer
    row = ClassRow("bubble")
    annotation = controller.begin(viewer.layers["slide"], "slide")
    annotation.number_of(row)
    annotation.show_classes([row])
    look_at(dock, 100, 1400, qtbot)
    stroke(annotation, 60, 1500, 1)
    polygon, shown = annotation.layer._overlays["polygon"], annotation.edits.region
    polygon.points = [[9, 9], [9, 30], [30, 9]]
    viewer.scene.camera.center = (0, 1400, 100)
    qtbot.wait(400)
    assert annotation.edits.region == shown  # a polygon ends where it began
    polygon.points = []
    look_at(dock, 1400, 100, qtbot)
    stroke(annotation, 1450, 30, 1)
    expected = annotation.state().labels
    assert expected.sum() > 20
    qtbot.waitUntil(lambda: dock.autosave.idle, timeout=10_000)
    (zarr,) = sessions_folder().rglob("*.zarr")
    chunks = {path: path.stat().st_mtime_ns for path in zarr.rglob("c/0/*/*")}
    assert len(chunks) == 2
    stroke(annotation, 1450, 60, 1)
    assert dock.autosave.save_now()
    assert sum(path.stat().st_mtime_ns != when for path, when in chunks.items()) == 1
    assert len(list(zarr.rglob("c/0/*/*"))) == 2
    expected = annotation.state().labels
    for name, formats in (("pieces", ("ome-zarr", "ome-tiff")), ("whole", ("tiff",))):
        image = annotation.gathered()()
        made = export_images(tmp_path / name, [image], formats)
        assert len(made) == len(formats)
    found = read_labels(tmp_path / "whole" / "slide.tif")
    np.testing.assert_array_equal(found.labels, expected)
    found = read_labels(tmp_path / "pieces" / "ome-tiff" / "slide.ome.tif")
    np.testing.assert_array_equal(found.labels, expected)
    store, said = annotation.store, []
    annotation.refused.connect(said.append)
    away = zarr.with_name("away")
    store._alive.clear()  # what was used lately is still in memory
    zarr.rename(away)  # a disk is disconnected
    stroke(annotation, 1450, 90, 1)
    assert "Connect their disk" in said[-1]
    away.rename(zarr)
    annotation.follow()
    expected = annotation.state().labels
    assert expected[1450, 90] == expected[1450, 60] == 1
    with pytest.raises(FileError, match="only a part"):
        write_layers("tiff", str(tmp_path / "part.tif"), [annotation.layer.as_layer_data_tuple()])
    dock.project_controller.save_as(tmp_path / "project")
    qtbot.waitUntil(lambda: dock.idle, timeout=20_000)  # in the thread
    assert "no file" in dock.status_panel.message.text()
    assert not (tmp_path / "project").exists()
    dock.close_down()
    region = annotation.edits.region
    annotation.layer.data[1300 - region[0].start, 0:9] = 1  # while the dock is closed
    again = CliperWidget(viewer)
    viewer.window.add_dock_widget(again)
    try:
        qtbot.waitUntil(lambda: bool(again.annotation_controller.all), timeout=20_000)
        (back,) = again.annotation_controller.all
        expected[1300, 0:9] = 1
        np.testing.assert_array_equal(back.state().labels, expected)
        assert (back.state().edit_mask[1300, 0:9] == PAINTED).all()
        assert back.classes[1].name == "bubble"
        store, version = back.store, back.store.version
        again.class_changes.confirm = lambda text: "deleted" in text or "Delete" in text
        again.classes_panel.change_wanted.emit(ClassChange("bubble"))
        assert store.version == version  # until a thread has counted, and changed a fork
        qtbot.waitUntil(lambda: again.idle and store.blank, timeout=20_000)
        assert not back.layer.data.any()
    finally:
        again.close_down()


@pytest.mark.one_binding
def test_saving_as_a_project_is_a_job_that_painting_goes_on_beside(
    slide, qtbot, tmp_path, monkeypatch
):
    dock, controller, viewer = slide, slide.annotation_controller, slide.viewer
    monkeypatch.setattr(window_region, "WINDOW", 1024)  # four chunks
    viewer.layers.clear()
    pixels = np.tile(SCENE, (SIDE // PART, SIDE // PART, 1))
    layer = viewer.add_image(pixels, name="slide", rgb=True)
    annotation = controller.begin(layer, "slide")
    annotation.show_classes([ClassRow("bubble")])
    annotation.number_of(ClassRow("bubble"))
    stroke(annotation, 700, 700, 1)
    qtbot.waitUntil(lambda: dock.autosave.idle and annotation.store.saved, timeout=10_000)
    monkeypatch.setattr(new_project, "LONG", 0)
    projects, folder = dock.project_controller, tmp_path / "project"
    write = Project.save

    def paint_meanwhile(self, *given, **more):
        if self.folder == folder:
            painted.set()
            assert saved.wait(20)
        write(self, *given, **more)

    painted, saved = threading.Event(), threading.Event()
    monkeypatch.setattr(Project, "save", paint_meanwhile)
    projects.save_as(folder)
    qtbot.waitUntil(painted.is_set, timeout=20_000)
    dock.main_job.cancel()  # nothing of it is left
    saved.set()
    qtbot.waitUntil(lambda: dock.idle and not folder.exists(), timeout=20_000)
    assert projects.project is None
    painted.clear()
    saved.clear()
    projects.save_as(folder)
    qtbot.waitUntil(painted.is_set, timeout=20_000)
    stroke(annotation, 650, 650, 1)
    qtbot.waitUntil(lambda: annotation.store.saved, timeout=20_000)  # in the session, once more
    stroke(annotation, 600, 900, 1)
    expected = annotation.state().labels
    saved.set()
    qtbot.waitUntil(lambda: dock.idle and projects.project is not None, timeout=20_000)
    assert str(folder) in dock.status_panel.message.text()
    assert not list(sessions_folder().rglob("*.zarr"))
    assert projects.save_now()
    annotation.edits.undo()
    np.testing.assert_array_equal(Project.open(folder).load("slide").labels, expected)
    assert len(list(folder.rglob("*.zarr"))) == 1
    annotation.edits.redo()
    np.testing.assert_array_equal(annotation.state().labels, expected)
    other = Project.open(folder)  # another program paints beside it, with a class of its own
    theirs = other.load("slide")
    row, column = (part.start + 5 for part in annotation.edits.region)
    assert (row // 512, column // 512) != (600 // 512, 900 // 512)
    theirs.store.write(
        (slice(row, row + 4), slice(column, column + 4)), np.uint16(2), np.uint8(PAINTED)
    )
    other.save("slide", StoredState(theirs.store, {**theirs.classes, 2: ClassRow("vessel")}))
    stroke(annotation, 620, 900, 1)
    expected = annotation.state().labels
    expected[row : row + 4, column : column + 4] = 2
    projects.confirm = lambda _question: False
    assert not projects.save_now()
    assert "saved by another program" in dock.status_panel.message.text()
    projects.confirm = lambda _question: True
    assert projects.save_now()
    assert annotation.classes[2].name == "vessel"
    assert annotation.layer.data[5, 5] == 2
    saved = Project.open(folder).load("slide")
    assert saved.classes[2].name == "vessel"
    for labels in (saved.labels, annotation.state().labels):
        np.testing.assert_array_equal(labels, expected)
