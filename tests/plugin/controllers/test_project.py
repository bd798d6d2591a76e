"""Projects in the window: saved by itself, image after image, back after a kill."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from dock_views import message
from napari.layers import Image, Labels
from project_actions import annotation, full_disk, loaded, on_disk, painted

from napari_cliper.annotation.edit_mask import ACCEPTED, PAINTED
from napari_cliper.annotation.project.project import Project
from napari_cliper.io.own_files import add_to_record
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.controllers import project as project_controller
from napari_cliper.plugin.controllers.project import SAVE_AFTER
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.panels.export_panel import ExportRequest
from napari_cliper.plugin.worker import running_jobs
from napari_cliper.segmentation import SegmentationConfig, Thresholds


def saved(dock, qtbot):
    qtbot.waitUntil(
        lambda: dock.project_controller.idle,
        timeout=10_000,
    )


def texts(dock):
    images = dock.project_panel.images
    return [images.item(i).text() for i in range(images.count())]


# ---------------------------------------------------------------------- from image to image


@pytest.mark.one_binding
def test_words_and_thresholds_go_from_image_to_image(project, run, qtbot):
    dock = project
    run(dock)
    dock.threshold_panel.background_slider.setValue(0.6)
    dock.annotation_panel.accept_button.click()
    first = annotation(dock).layer.data.copy()
    names = [row.name for row in dock.classes_panel.value()]
    dock.project_panel.next_button.click()
    loaded(dock, qtbot, "scene 2")
    assert [layer.name for layer in dock.viewer.layers] == ["scene 2"]
    assert texts(dock)[0] == "scene 1: in progress"
    run(dock)
    assert dock.threshold_panel.value().background_threshold == pytest.approx(0.6)
    assert [row.name for row in dock.classes_panel.value()] == names
    dock.project_panel.previous_button.click()
    loaded(dock, qtbot, "scene 1")
    np.testing.assert_array_equal(annotation(dock).layer.data, first)
    assert (annotation(dock).edits.edit_mask == ACCEPTED).all()
    assert {type(layer) for layer in dock.viewer.layers} == {Image, Labels}


def test_done_goes_on_and_stands_in_the_list(project, qtbot):
    dock = project
    dock.project_panel.done_button.click()
    loaded(dock, qtbot, "scene 2")
    assert texts(dock)[0] == "scene 1: done"
    folder = dock.project_controller.project.folder
    assert dock.project_panel.where.text() == f"{folder.name}: 1 of 3 done."
    assert str(folder) in dock.project_panel.where.toolTip()
    dock.project_panel.images.itemClicked.emit(dock.project_panel.images.item(2))
    loaded(dock, qtbot, "scene 3")
    assert not dock.project_panel.next_button.isEnabled()
    dock.project_controller.go_to("scene 1")
    loaded(dock, qtbot, "scene 1")
    dock.project_panel.done_button.click()
    saved(dock, qtbot)
    assert texts(dock)[0] == "scene 1: in progress"


@pytest.mark.one_binding
def test_a_prediction_that_was_edited_stays_in_the_window(project, run, qtbot):
    dock = project
    run(dock)
    mine = dock.shown.predictions["refined"].layer
    mine.paint((5, 5), 3)
    dock.project_panel.next_button.click()
    loaded(dock, qtbot, "scene 2")
    assert mine in dock.viewer.layers


# ---------------------------------------------------------------------- saving


@pytest.mark.one_binding
def test_a_change_is_on_disk_soon_with_its_edit_mask(project, qtbot, tmp_path):
    dock = project
    mine = dock.annotation_controller.begin(dock.project_controller.layer, "scene 1")
    mine.layer.selected_label = 2
    mine.layer.paint((30, 30), 2)
    assert SAVE_AFTER <= 2000
    qtbot.waitUntil(lambda: Project.open(tmp_path / "project").load("scene 1") is not None,
                    timeout=2 * SAVE_AFTER + 2000)  # fmt: skip
    state = Project.open(tmp_path / "project").load("scene 1")
    np.testing.assert_array_equal(state.labels, mine.layer.data)
    np.testing.assert_array_equal(state.edit_mask == PAINTED, mine.layer.data == 2)
    mine.layer.undo()
    qtbot.wait(SAVE_AFTER + 500)
    saved(dock, qtbot)
    assert not Project.open(tmp_path / "project").load("scene 1").labels.any()


@pytest.mark.one_binding
def test_closing_saves_and_opening_brings_everything_back(
    project, run, qtbot, tmp_path, make_napari_viewer
):
    dock = project
    run(dock)
    dock.threshold_panel.background_slider.setValue(0.7)
    dock.annotation_panel.accept_button.click()
    annotation(dock).layer.paint((40, 40), 3)
    expected = annotation(dock).state()
    rows = dock.classes_panel.value()
    dock.close_down()

    viewer = make_napari_viewer()
    other = CliperWidget(viewer)
    qtbot.addWidget(other)
    other.project_controller.open(tmp_path / "project")
    loaded(other, qtbot, "scene 1")
    found = annotation(other).state()
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.edit_mask, expected.edit_mask)
    assert found.classes == expected.classes
    assert found.record["config"]["model"] == "demo"
    assert other.classes_panel.value() == rows
    assert other.engine_panel.value() == SegmentationConfig(model="demo", device="cpu")
    qtbot.waitUntil(lambda: other.weights.idle, timeout=20_000)
    run(other)
    assert other.threshold_panel.value().background_threshold == pytest.approx(0.7)
    np.testing.assert_array_equal(annotation(other).layer.data, expected.labels)
    other.close_down()


def test_napari_opens_a_project(project, qtbot, tmp_path, make_napari_viewer):
    project.annotation_controller.begin(project.project_controller.layer, "scene 1").layer.paint(
        (40, 40), 1
    )
    project.close_down()
    viewer = make_napari_viewer()
    path = next((tmp_path / "project").glob("*.cliper.json"))
    viewer.open(str(path), plugin="napari-cliper")
    qtbot.waitUntil(lambda: "scene 1 annotation" in viewer.layers, timeout=10_000)
    dock = viewer.window._qt_window.findChild(CliperWidget)
    assert viewer.layers["scene 1 annotation"].data[40, 40] == 1
    dock.close_down()


@pytest.mark.one_binding
def test_the_image_of_the_window_becomes_a_project(dock, run, qtbot, tmp_path):
    layer = dock.viewer.layers["scene"]
    layer.scale, layer.units = (0.5, 0.25), "um"
    run(dock)
    dock.annotation_panel.accept_button.click()
    before = dock.annotation_controller.of(layer).layer.data.copy()
    dock.project_controller.save_as(tmp_path / "kept")
    project = Project.open(tmp_path / "kept")
    (image,) = project.images
    np.testing.assert_array_equal(project.read_image(image.name), layer.data)
    np.testing.assert_array_equal(project.load(image.name).labels, before)
    dock.annotation_controller.of(layer).layer.paint((3, 3), 2)
    saved(dock, qtbot)
    dock.project_controller.open(tmp_path / "kept")
    loaded(dock, qtbot, image.name)
    np.testing.assert_array_equal(annotation(dock).layer.scale, (0.5, 0.25))


@pytest.mark.one_binding
def test_a_failed_save_is_reported_and_nothing_is_lost(project, qtbot, tmp_path, monkeypatch):
    dock = project
    mine = dock.annotation_controller.begin(dock.project_controller.layer, "scene 1")
    mine.layer.paint((30, 30), 2)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tifffile.imwrite", full)
    dock.project_panel.next_button.click()
    assert "Not saved" in message(dock)
    assert "disk is full" in message(dock)
    assert dock.project_controller.current == "scene 1"  # it does not go on without having saved
    monkeypatch.undo()
    dock.project_panel.next_button.click()
    loaded(dock, qtbot, "scene 2")
    assert Project.open(tmp_path / "project").load("scene 1").labels[30, 30] == 2


KILLED = """
import sys, time
from pathlib import Path
import napari
import numpy as np
from qtpy.QtCore import QTimer
from napari_cliper.plugin.dock import CliperWidget

viewer = napari.Viewer(show=False)
dock = CliperWidget(viewer)
viewer.window.add_dock_widget(dock)
dock.project_controller.create(Path(sys.argv[1]), [Path(sys.argv[2])])
painted = [0]

def paint():
    layer = dock.project_controller.layer
    if layer is not None:
        mine = dock.annotation_controller.begin(layer, dock.project_controller.current)
        where = np.array([painted[0] // 100]), np.array([painted[0] % 100])
        mine.layer.data_setitem(where, 1)
        painted[0] += 1
        print(painted[0], time.time(), flush=True)
    QTimer.singleShot(50, paint)

paint()
napari.run()
"""


@pytest.mark.one_binding
def test_a_killed_process_loses_a_few_seconds_at_most(pictures, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "p"), str(pictures[0])]
    lines: list[list[str]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        started = None
        for line in process.stdout:
            lines.append(line.split())
            started = started or time.monotonic()
            if time.monotonic() - started > 6:
                break
        process.kill()
    kept = int((Project.open(tmp_path / "p").load("scene 1").labels == 1).sum())
    killed_at = float(lines[-1][1])
    lost = [float(when) for count, when in lines if int(count) > kept]
    assert kept > 0
    assert not lost or killed_at - lost[0] < 4


# ---------------------------------------------------------------------- nothing is lost


@pytest.mark.one_binding
def test_what_is_painted_while_the_next_image_loads_is_saved(project, qtbot, tmp_path, monkeypatch):
    gate, load = threading.Event(), project_controller.load_image

    def slow(*args):
        gate.wait(10)
        return load(*args)

    monkeypatch.setattr(project_controller, "load_image", slow)
    mine = project.annotation_controller.begin(project.project_controller.layer, "scene 1")
    project.project_controller.go_to("scene 2")
    mine.layer.paint((30, 30), 2)
    gate.set()
    loaded(project, qtbot, "scene 2")
    assert on_disk(tmp_path)


@pytest.mark.parametrize("then", ["open", "close", "next"])
@pytest.mark.one_binding
def test_a_failed_save_is_tried_again_before_anything_is_left(
    project, qtbot, tmp_path, monkeypatch, then
):
    painted(project, qtbot)
    monkeypatch.setattr("tifffile.imwrite", full_disk)
    project.project_controller.save_soon()
    for job in running_jobs():
        job.wait()  # it has failed, and the window does not know yet
    monkeypatch.undo()
    if then == "open":
        project.project_controller.open(tmp_path / "project")
    elif then == "close":
        project.close_down()
    else:
        project.project_panel.next_button.click()
        loaded(project, qtbot, "scene 2")
        assert "Not saved" not in message(project)
    assert on_disk(tmp_path)


@pytest.mark.one_binding
def test_removing_the_layer_saves_what_was_painted(project, qtbot, tmp_path):
    mine = painted(project, qtbot)
    project.viewer.layers.remove(mine.layer)
    assert on_disk(tmp_path)


@pytest.mark.one_binding
def test_an_image_that_was_removed_is_shown_again(project, qtbot):
    project.viewer.layers.remove(project.project_controller.layer)
    project.project_controller.go_to("scene 1")
    qtbot.waitUntil(lambda: "scene 1" in project.viewer.layers, timeout=10_000)


@pytest.mark.one_binding
def test_of_two_clicks_the_last_counts(project, qtbot):
    shown = []
    project.viewer.layers.events.inserted.connect(lambda event: shown.append(event.value.name))
    project.project_controller.go_to("scene 2")
    project.project_controller.go_to("scene 3")
    loaded(project, qtbot, "scene 3")
    assert shown == ["scene 3"]


@pytest.mark.one_binding
def test_words_alone_are_kept(project, tmp_path):
    project.classes_panel.add_words("crystal")
    project.close_down()
    assert "crystal" in [row.name for row in Project.open(tmp_path / "project").settings().classes]


@pytest.mark.one_binding
def test_what_another_program_saved_is_replaced_only_by_a_yes(project, qtbot, tmp_path):
    mine = painted(project, qtbot)
    assert project.project_controller.save_now()
    other = Project.open(tmp_path / "project")
    theirs = other.load("scene 1")
    other.save("scene 1", replace(theirs, labels=np.full_like(theirs.labels, 7)))
    mine.layer.paint((60, 60), 2)
    requested = []
    project.project_controller.confirm = lambda question: requested.append(question)
    project.project_controller.go_to("scene 2")
    assert requested
    assert "Not saved" in message(project)
    assert project.project_controller.current == "scene 1"
    assert (Project.open(tmp_path / "project").load("scene 1").labels == 7).all()
    project.project_controller.confirm = lambda _question: True
    project.project_controller.go_to("scene 2")
    loaded(project, qtbot, "scene 2")
    assert on_disk(tmp_path, (60, 60))


@pytest.mark.one_binding
def test_what_cannot_be_saved_can_be_saved_elsewhere(project, qtbot, tmp_path):
    mine = painted(project, qtbot)
    assert project.project_controller.save_now()
    other = Project.open(tmp_path / "project")
    other.save("scene 1", replace(other.load("scene 1"), record={"by": "another"}))
    mine.layer.paint((60, 60), 2)
    project.project_controller.save_as(tmp_path / "mine")
    assert Project.open(tmp_path / "mine").load("scene 1").labels[60, 60] == 2


@pytest.mark.one_binding
def test_an_export_of_what_could_not_be_saved_offers_the_window_alone(project, qtbot, monkeypatch):
    painted(project, qtbot)
    assert project.project_controller.exported().count == 1
    painted(project, qtbot, (60, 60))
    monkeypatch.setattr("tifffile.imwrite", full_disk)
    assert project.project_controller.exported().count == 0
    assert "disk is full" in message(project)
    monkeypatch.undo()


@pytest.mark.one_binding
def test_an_export_says_how_many_images_have_no_annotation(project, qtbot, pictures, tmp_path):
    painted(project, qtbot)
    total, out = len(pictures), tmp_path / "out"
    for every_image, told in ((True, f"Exported 1 of {total} images to {out}: "),
                              (False, f"Exported to {out}: ")):  # fmt: skip
        request = ExportRequest(out, ("png",), overwrite=True, every_image=every_image)
        project.import_export.write(
            request, annotation(project), project.project_controller.exported()
        )
        qtbot.waitUntil(lambda: project.import_export.idle, timeout=10_000)
        assert message(project).startswith(told)
        assert (f"{total - 1} images have no annotation." in message(project)) == every_image
        assert [path.name for path in out.glob("scene*.png")] == ["scene 1.png"]


@pytest.mark.one_binding
def test_an_export_never_replaces_a_photo_of_the_project(project, qtbot, pictures):
    """Not even one that this program has written, such as the overlay of an earlier export."""
    folder = pictures[0].parent
    before = {path: path.read_bytes() for path in pictures}
    add_to_record(folder, {path.name: path for path in pictures})
    painted(project, qtbot)
    for every_image in (True, False):
        project.status_panel.message.setText("")
        request = ExportRequest(folder, ("png",), overwrite=True, every_image=every_image)
        project.import_export.write(
            request, annotation(project), project.project_controller.exported()
        )
        qtbot.waitUntil(lambda: project.import_export.idle, timeout=10_000)
        assert "is one of the inputs and is never replaced" in message(project)
        assert {path: path.read_bytes() for path in pictures} == before


@pytest.mark.one_binding
def test_a_layer_that_is_part_of_its_file_is_copied(dock, tmp_path):
    channels = np.random.default_rng(0).integers(0, 255, (2, 96, 128)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "two.tif", channels)
    _, second = dock.viewer.open(str(tmp_path / "two.tif"), plugin="napari", channel_axis=0)
    mine = dock.annotation_controller.begin(second, second.name)
    dock.viewer.layers.selection.active = mine.layer
    dock.project_controller.save_as(tmp_path / "kept")
    kept = Project.open(tmp_path / "kept")
    np.testing.assert_array_equal(kept.read_image(kept.images[0].name), channels[1])


@pytest.mark.one_binding
def test_a_result_that_was_asked_with_other_words_is_dropped(dock, run, qtbot, pictures, tmp_path):
    kept = Project.create(tmp_path / "p", pictures)
    config = SegmentationConfig(model="demo", device="cpu")
    kept.save_settings([ClassRow("fibre")], Thresholds(0.1, 0.77), config)
    dock.run()
    dock.project_controller.open(tmp_path / "p")
    loaded(dock, qtbot, "scene 1")
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert "discarded" in message(dock)
    assert dock.shown is None
    run(dock)
    assert dock.threshold_panel.value().background_threshold == pytest.approx(0.77)


@pytest.mark.one_binding
def test_axes_stay_from_project_to_layer_and_back(dock, qtbot, tmp_path):
    series = np.zeros((3, 40, 40), np.uint8)
    path = tmp_path / "series.tif"
    calibration = {"unit": "um", "finterval": 5.0, "tunit": "sec"}
    tifffile.imwrite(
        path, series, imagej=True, resolution=(4, 2), metadata={"axes": "TYX", **calibration}
    )
    project = Project.create(tmp_path / "project", [path])
    dock.project_controller.open(project.folder)
    loaded(dock, qtbot, "series")
    assert dock.project_controller.layer.axis_labels == ("t", "y", "x")
    dock.annotation_controller.begin(dock.project_controller.layer, "series")
    assert annotation(dock).state().record["geometry"]["axes"] == "TYX"
    geometry = annotation(dock).state().record["geometry"]
    assert geometry["pixel_size"] == [5, 0.5, 0.25]
    assert geometry["units"] == ["second", "micrometer", "micrometer"]
