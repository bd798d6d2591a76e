"""Classes that are renamed, merged and deleted in the window: what is of them goes along."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_cliper.annotation.edit_mask import OPEN, PAINTED, AnnotationState
from napari_cliper.annotation.memory_store import MemoryStore
from napari_cliper.annotation.project.project import Project
from napari_cliper.demo.scenes import make_scene
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.panels.classes_model import Column
from napari_cliper.segmentation import Prototype, Prototypes

pytestmark = pytest.mark.one_binding

SHAPE = (96, 128)
WORDS = ["pollen grain", "red blood cell", "bacterium", "fibre"]


def names(dock):
    return [row.name for row in dock.classes_panel.value()]


def classes_of(annotation):
    return {label: row.name for label, row in annotation.classes.items()}


def message(dock):
    return dock.status_panel.message.text()


def type_name(dock, qtbot, row, text):
    """Press F2 on a row, type a name and press Enter."""
    dock.frame.go_to("find")
    table = dock.classes_panel.table
    table.setFocus()
    table.setCurrentIndex(dock.classes_panel.model.index(row, Column.NAME))
    qtbot.keyClick(table, Qt.Key.Key_F2)
    editor = table.findChild(QLineEdit)
    assert editor is not None
    editor.selectAll()
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.wait(10)  # Qt takes the text over a little later


def choose(dock, row):
    dock.classes_panel.table.choose([row])
    dock.classes_panel._update_buttons()
    return dock.classes_panel.menu


def merge(dock, row, into):
    action = next(one for one in choose(dock, row).merge.actions() if one.text() == into)
    action.trigger()


def changed(dock, qtbot):
    qtbot.waitUntil(lambda: dock.class_changes.idle and dock.job is None, timeout=20_000)
    qtbot.wait(20)  # the question comes when the job of the count has ended
    qtbot.waitUntil(lambda: dock.class_changes.idle and dock.job is None, timeout=20_000)


def with_prototypes(dock, name):
    vector = torch.nn.functional.normalize(torch.ones(4), dim=0)
    one = Prototype(name, vector, 2, ("a",), np.zeros((48, 48, 3), np.uint8))
    dock.learning_controller.begin_with(Prototypes("demo", "identity", (one,)), None)


def drawn(dock, qtbot):
    """Paint and click two classes on the scene."""
    mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
    for row, at in ((0, (20, 20)), (1, (60, 60))):
        dock.viewer.layers.selection.active = mine.layer
        dock.brush.brush_nth(row)
        mine.layer.paint(at, mine.layer.selected_label)
        dock.correction_controller.click_controller.click_at(at, WORDS[row])
    qtbot.wait(20)
    mine.follow()
    return mine


# ---------------------------------------------------------------------- without a project


def test_a_rename_keeps_labels_clicks_prototypes_and_predictions(dock, run, qtbot, settle):
    run(dock)
    with_prototypes(dock, WORDS[0])
    mine = drawn(dock, qtbot)
    settle(dock)
    labels, mask = mine.layer.data.copy(), mine.edits.edit_mask.copy()
    clicks = dock.correction_controller.click_controller.of(mine.image)
    prediction = dock.result.seen().layer
    shown = prediction.data.copy()
    type_name(dock, qtbot, 0, "spore=grain")
    panel = dock.classes_panel
    for step, new, old in (
        (bool, "spore", WORDS[0]),
        (panel.undo, WORDS[0], "spore"),
        (panel.redo, "spore", WORDS[0]),
    ):
        step()
        assert names(dock) == [new, *WORDS[1:]]
        assert classes_of(mine) == {1: new, 2: WORDS[1]}
        assert list(mine.layer.features["class"]) == ["background", new, WORDS[1]]
        np.testing.assert_array_equal(mine.layer.data, labels)
        np.testing.assert_array_equal(mine.edits.edit_mask, mask)
        assert list(clicks.layer.features["class"]) == [new, WORDS[1]]
        assert list(mine.clicks) == [new, WORDS[1]]
        assert [one.name for one in dock.learning_controller.prototypes.items] == [new]
        assert [row.name for row in dock.shown.rows] == [new, *WORDS[1:]]
        assert list(dock.result.seen().layer.features["class"])[1:] == [new, *WORDS[1:]]
        assert dock.result.seen().layer is prediction
        assert not any(old in one for one in prediction.features["class"])
    settle(dock)
    np.testing.assert_array_equal(prediction.data, shown)  # hints are still of their class
    dock.result.follow()
    settle(dock)
    np.testing.assert_array_equal(prediction.data, shown)
    assert dock.result.current.followed[1] is not None
    dock.annotation_controller.accept()
    assert classes_of(mine) == {1: "spore", 2: WORDS[1], 3: WORDS[2], 4: WORDS[3]}
    clicks.undo()
    clicks.undo()
    clicks.redo()
    assert list(clicks.layer.features["class"]) == ["spore"]


def test_a_merge_and_a_deletion_ask_and_keep_copies(dock, qtbot, user_data, monkeypatch):
    relabel, threads = MemoryStore.relabel_chunk, []

    def noted(store, *args, **options):
        threads.append(threading.current_thread())
        return relabel(store, *args, **options)

    monkeypatch.setattr(MemoryStore, "relabel_chunk", noted)
    with_prototypes(dock, WORDS[0])
    mine = drawn(dock, qtbot)
    first, second = mine.layer.data == 1, mine.layer.data == 2
    assert first.any()
    assert second.any()
    clicks = dock.correction_controller.click_controller.of(mine.image)
    questions = []
    dock.class_changes.confirm = lambda text: bool(questions.append(text))
    merge(dock, 0, WORDS[1])
    changed(dock, qtbot)
    assert names(dock) == WORDS  # the answer was no
    assert f"{first.sum():,} pixels and 1 click in 1 image become {WORDS[1]}" in questions[0]
    assert "Undo cannot go back before this change." in questions[0]

    dock.class_changes.confirm = lambda text: not questions.append(text)
    mine.layer.selected_label = 1
    merge(dock, 0, WORDS[1])
    changed(dock, qtbot)
    assert names(dock) == WORDS[1:]
    assert not dock.classes_panel.model.can_undo
    assert classes_of(mine) == {2: WORDS[1]}
    np.testing.assert_array_equal(mine.layer.data == 2, first | second)
    np.testing.assert_array_equal(mine.edits.edit_mask == PAINTED, first | second)
    assert list(clicks.layer.features["class"]) == [WORDS[1]] * 2
    assert [one.name for one in dock.learning_controller.prototypes.items] == [WORDS[1]]
    assert mine.layer.selected_label == 2
    mine.layer.undo()  # what was painted before belongs to no class any more
    np.testing.assert_array_equal(mine.layer.data == 2, first | second)
    assert "backups" in message(dock)
    backup = next(user_data.glob("sessions/*/backups/*"))
    labels = next(backup.glob("annotations/*.tif"))
    assert labels.stat().st_size

    choose(dock, 0).delete.trigger()
    changed(dock, qtbot)
    assert len(threads) >= 2
    assert threading.main_thread() not in threads
    assert questions[-1].startswith(f"Delete the class {WORDS[1]}?")
    assert names(dock) == WORDS[2:]
    assert not mine.layer.data.any()
    assert (mine.edits.edit_mask == OPEN).all()
    assert not len(clicks.layer.data)
    assert not mine.clicks
    assert dock.learning_controller.prototypes is None


def test_what_cannot_be_merged_says_why(dock):
    menu = choose(dock, 0)
    assert [one.text() for one in menu.merge.actions()] == WORDS[1:]
    dock.classes_panel._on_background(True)
    menu = choose(dock, 0)
    assert not menu.merge.menuAction().isEnabled()
    assert not menu.delete.isEnabled()
    assert "background" in menu.delete.toolTip()
    dock.classes_panel.table.choose([1, 2])
    assert not menu.rename.isEnabled()


# ---------------------------------------------------------------------- with a project


@pytest.fixture
def project(dock, tmp_path, qtbot):
    """The dock at the first of three images, of which two have the first two classes."""
    files = []
    for index in range(3):
        files.append(tmp_path / f"scene {index + 1}.png")
        Picture.fromarray(make_scene(SHAPE, 1_000_008 + index).image).save(files[-1])
    dock.viewer.layers.clear()
    project = Project.create(tmp_path / "project", files)
    rows = tuple(ClassRow(word) for word in WORDS)
    for index, name in enumerate(("scene 1", "scene 2")):
        labels = np.zeros(SHAPE, np.uint16)
        labels[:10], labels[20:30] = 1 + index, 5
        mask = (labels > 0).astype(np.uint8)
        classes = {1 + index: rows[0], 5: rows[1]}
        record = {"clicks": {WORDS[0]: [[5.0, 5.0]]}}
        project.save(name, AnnotationState(labels, mask, classes, record))
    config = dock.engine_panel.value()
    project.save_settings(rows, config.settings().thresholds, config)
    dock.project_controller.open(project.folder)
    shown(dock, qtbot, "scene 1")
    return dock


def shown(dock, qtbot, name):
    qtbot.waitUntil(
        lambda: (
            dock.project_controller.current == name
            and dock.project_controller.layer is not None
            and dock.project_controller.idle
            and not dock.project_controller.loading
        ),
        timeout=10_000,
    )


def on_disk(dock, name):
    return Project.open(dock.project_controller.project.folder).peek(name)


def test_a_rename_reaches_all_images_and_comes_back(project, qtbot):
    dock = project
    mine = dock.annotation_controller.of(dock.project_controller.layer)
    type_name(dock, qtbot, 0, "spore")
    changed(dock, qtbot)
    assert message(dock).startswith("Renamed pollen grain to spore in 2 images. Backup: backups")
    folder = dock.project_controller.project.folder
    backup = next((folder / "backups").iterdir())
    assert str(backup.relative_to(folder)) in message(dock)
    assert classes_of(mine) == {1: "spore", 5: WORDS[1]}
    assert classes_of(on_disk(dock, "scene 2")) == {2: "spore", 5: WORDS[1]}
    assert dock.classes_panel.isEnabled()
    dock.project_panel.next_button.click()
    shown(dock, qtbot, "scene 2")
    other = dock.annotation_controller.of(dock.project_controller.layer)
    assert classes_of(other) == {2: "spore", 5: WORDS[1]}
    other.layer.paint((50, 50), 5)
    dock.classes_panel.undo()
    changed(dock, qtbot)
    assert names(dock) == WORDS
    assert classes_of(other) == {2: WORDS[0], 5: WORDS[1]}
    assert dock.project_controller.save_now(ask=False)  # no one else has changed anything
    assert on_disk(dock, "scene 2").labels[50, 50] == 5
    assert classes_of(on_disk(dock, "scene 1")) == {1: WORDS[0], 5: WORDS[1]}
    settings = Project.open(folder).settings()
    assert [row.name for row in settings.classes] == WORDS


def test_merge_and_delete_count_and_change_all_images(project, qtbot):
    dock = project
    mine = dock.annotation_controller.of(dock.project_controller.layer)
    mine.layer.selected_label = 1
    mine.layer.paint((60, 60), 1)
    questions = []
    dock.class_changes.confirm = lambda text: not questions.append(text)
    merge(dock, 0, WORDS[1])
    changed(dock, qtbot)
    pixels = 2 * 10 * SHAPE[1] + np.count_nonzero(mine.layer.data[50:])
    assert questions[0] == (
        f"Merge {WORDS[0]} into {WORDS[1]}? {pixels:,} pixels and 2 clicks in 2 images become "
        f"{WORDS[1]}. Undo cannot go back before this change. Copies of the files are kept."
    )
    assert set(np.unique(mine.layer.data)) == {0, 5}
    assert set(np.unique(on_disk(dock, "scene 2").labels)) == {0, 5}
    choose(dock, 0).delete.trigger()
    changed(dock, qtbot)
    assert not mine.layer.data.any()
    assert dock.project_controller.save_now(ask=False)
    for name in ("scene 1", "scene 2"):
        state = on_disk(dock, name)
        assert not state.labels.any()
        assert not state.edit_mask.any()
        assert not state.record.get("clicks")
    assert names(dock) == WORDS[2:]
    assert len(list((dock.project_controller.project.folder / "backups").iterdir())) == 2


def test_when_another_program_changed_a_file_the_old_name_stays(project, qtbot):
    dock = project
    other = Project.open(dock.project_controller.project.folder)
    other.save("scene 1", other.load("scene 1"), "done")
    mine = dock.annotation_controller.of(dock.project_controller.layer)
    for _ in range(2):
        type_name(dock, qtbot, 0, "spore")
        changed(dock, qtbot)
        assert "was saved by another program" in message(dock)
        assert names(dock) == WORDS
        assert classes_of(mine) == {1: WORDS[0], 5: WORDS[1]}
        assert not dock.classes_panel.model.can_redo
    assert classes_of(on_disk(dock, "scene 2")) == {2: WORDS[0], 5: WORDS[1]}


def test_the_window_waits_while_a_class_is_changed(project, qtbot, monkeypatch):
    dock = project
    change = Project.change_class

    def slow(self, *args):
        for _ in range(200):
            args[-1].tell("Changing the class", 0, 1)
            time.sleep(0.02)
        return change(self, *args)

    monkeypatch.setattr(Project, "change_class", slow)
    type_name(dock, qtbot, 0, "spore")
    qtbot.waitUntil(lambda: dock.job is not None)
    assert not dock.classes_panel.isEnabled()
    dock.project_controller.step(1)
    assert "A class is being changed" in message(dock)
    qtbot.wait(100)
    assert dock.project_controller.current == "scene 1"
    dock.cancel()
    changed(dock, qtbot)
    assert names(dock) == WORDS
    assert dock.classes_panel.isEnabled()
    assert classes_of(on_disk(dock, "scene 2")) == {2: WORDS[0], 5: WORDS[1]}
    assert QApplication.activeModalWidget() is None
    dock.project_controller.step(1)
    shown(dock, qtbot, "scene 2")
