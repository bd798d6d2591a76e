"""Visual prototypes in the dock: learned from confirmed pixels, used, saved and corrected."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from dock_views import message
from project_actions import loaded
from qtpy.QtCore import Qt

from napari_cliper.annotation.project.project import Project
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.io.prototype_file import beside, read_prototypes, write_prototypes
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.engine_session import Session
from napari_cliper.plugin.layers.image_layers import OUTPUT_KEY
from napari_cliper.segmentation import (
    Prototypes,
    SegmentationConfig,
    Segmenter,
)

pytestmark = pytest.mark.one_binding

SHAPE = (96, 128)
SCENE = make_scene(SHAPE, 1_000_008)
PRESENT = sorted(set(np.unique(SCENE.labels).tolist()) - {0})
NAMES = {label: f"{KINDS[label - 1].name[::-1]}x" for label in PRESENT}
"""Names that mean nothing to the model, for what is in the scene."""


@pytest.fixture
def nonsense(dock):
    """The dock with class names that mean nothing to the model."""
    dock.classes_panel.setValue([ClassRow(name) for name in NAMES.values()])
    return dock


def idle(dock, qtbot):
    """Wait until nothing runs and nothing waits to be asked again."""
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)


def confirm_scene(dock, image=None, name="scene", scene=SCENE, names=NAMES, rows=slice(None)):
    """Paint the truth of a scene, its background too, as a person would."""
    image = image or dock.viewer.layers[name]
    mine = dock.annotation_controller.begin(image, name)
    numbers = {label: mine.number_of(ClassRow(word)) for label, word in names.items()}
    truth = np.zeros(scene.labels.shape, np.uint16)
    for label, number in numbers.items():
        truth[scene.labels == label] = number
    where = np.indices(truth.shape)[:, rows].reshape(2, -1)
    mine.layer.data_setitem(tuple(where), 1)  # what becomes background is touched by this
    mine.layer.data_setitem(tuple(where), truth[tuple(where)])
    mine.follow()
    dock.state.inputs_changed.emit()
    return mine


def agreement(dock):
    """The share of pixels that the prediction has as the scene has them."""
    labels = dock.shown.predictions["refined"].layer.data
    expected = np.zeros(SHAPE, int)
    for index, label in enumerate(NAMES, 1):
        expected[SCENE.labels == label] = index
    return float((labels == expected).mean())


def learnt(dock, qtbot):
    """Prototypes that the dock has learned from its scene."""
    confirm_scene(dock)
    dock.prototypes_panel.learn_button.click()
    qtbot.waitUntil(lambda: dock.learning_controller.prototypes is not None, timeout=60_000)
    idle(dock, qtbot)
    return dock.learning_controller.prototypes


def texts(dock):
    shown = dock.prototypes_panel.list
    return [shown.item(row).text() for row in range(shown.count())]


def vectors(prototypes):
    return np.stack([one.vector.numpy() for one in prototypes.items])


def of_another(prototypes, model="ViT-B/16"):
    return Prototypes(model, "another one", prototypes.items)


# ---------------------------------------------------------------------- learning


def test_painted_pixels_become_prototypes_and_the_image_is_scored_again(nonsense, run, qtbot):
    dock = nonsense
    run(dock)
    before = agreement(dock)
    assert "prototypes" not in dock.shown.outcome.scores.record
    mine = confirm_scene(dock)
    idle(dock, qtbot)
    dock.viewer.layers.selection.active = mine.layer
    dock.prototypes_panel.learn_button.click()
    qtbot.waitUntil(lambda: dock.learning_controller.prototypes is not None, timeout=60_000)
    assert f"Learned {len(NAMES)} classes from scene." in message(dock)
    idle(dock, qtbot)

    prototypes = dock.learning_controller.prototypes
    assert {one.name for one in prototypes.items} == {"", *NAMES.values()}
    shown = dock.prototypes_panel.list
    assert shown.count() == len(prototypes)
    assert set(texts(dock)) == {f"{name}\nscene" for name in ("background", *NAMES.values())}
    first = shown.item(0).icon().pixmap(48, 48).toImage()
    assert (first.width(), first.height()) == (48, 48)
    seen = dock.prototypes_panel._items[0].thumbnail[20, 30]
    assert first.pixelColor(30, 20).getRgb()[:3] == tuple(seen.tolist())
    assert (
        f"Visual prototypes: {len(prototypes)} for {len(NAMES)} classes"
        in dock.export_page.prototypes.header.text()
    )

    outcome = dock.shown.outcome
    assert not outcome.encoded  # no image network ran
    used = {one["class"]: one["images"] for one in outcome.scores.record["prototypes"]}
    assert used.items() >= dict.fromkeys(NAMES.values(), 1).items()
    layer = dock.shown.predictions["refined"].layer
    assert layer.metadata[OUTPUT_KEY]["prototypes"] == outcome.scores.record["prototypes"]
    assert agreement(dock) > max(before, 0.8)
    assert dock.viewer.layers.selection.active is mine.layer  # the brush stays where it was


def test_the_next_run_gives_the_labels_of_python(nonsense, run, qtbot):
    prototypes = learnt(nonsense, qtbot)
    run(nonsense)
    segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu"))
    scores = segmenter.score(
        segmenter.embed(SCENE.image), list(NAMES.values()), prototypes=prototypes
    )
    labels = nonsense.shown.predictions["refined"].layer.data
    np.testing.assert_array_equal(labels, scores.to_labels())


def test_only_confirmed_pixels_are_learned_from(nonsense, qtbot):
    top = slice(0, SHAPE[0] // 2)
    confirm_scene(nonsense, rows=top)
    nonsense.prototypes_panel.learn_button.click()
    qtbot.waitUntil(lambda: nonsense.learning_controller.prototypes is not None, timeout=60_000)
    segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu"))
    mine = nonsense.annotation_controller.current()
    confirmed = np.zeros(SHAPE, bool)
    confirmed[top] = True
    names = {label: row.name for label, row in mine.classes.items()}
    expected = segmenter.learn(
        segmenter.embed(SCENE.image), mine.layer.data, confirmed, names, "scene"
    )
    np.testing.assert_allclose(
        vectors(nonsense.learning_controller.prototypes), vectors(expected), atol=1e-5
    )


def test_the_reason_why_nothing_can_be_learned_is_shown(nonsense, qtbot):
    panel, layer = nonsense.prototypes_panel, nonsense.viewer.layers["scene"]
    assert not panel.learn_button.isEnabled()
    assert "no annotation yet" in panel.learn_button.toolTip()
    mine = nonsense.annotation_controller.begin(layer, "scene")
    nonsense.state.inputs_changed.emit()
    assert "Nothing is accepted or painted" in panel.learn_button.toolTip()
    mine.layer.paint((30, 30), 1)
    qtbot.waitUntil(panel.learn_button.isEnabled, timeout=10_000)
    for widget in (panel.remove_button, panel.undo_button, panel.slider, panel.automatic):
        assert not widget.isEnabled()
        assert re.match("No visual prototypes|There is nothing to undo", widget.toolTip())


def test_pixel_sizes_that_do_not_fit_are_said_before_a_run_and_in_its_result(nonsense, run, qtbot):
    dock = nonsense
    scene = dock.viewer.layers["scene"]
    scene.units, scene.scale = "nm", (500, 500)
    assert learnt(dock, qtbot).pixel_sizes == pytest.approx({"scene": 0.5})
    assert dock.prototypes_panel.note.text() == ""
    dock.viewer.layers.clear()
    dock.viewer.add_image(SCENE.image, name="other", rgb=True, units="um", scale=(2, 2))
    qtbot.waitUntil(lambda: dock.image_panel.value() is not None, timeout=20_000)
    idle(dock, qtbot)
    expected = "The pixel size of this image is 2 µm, but prototypes were learned at 0.5 µm"
    assert expected in dock.prototypes_panel.note.text()
    run(dock)
    assert any(expected in note for note in dock.shown.outcome.scores.notes)
    confirm_scene(dock, name="other")
    idle(dock, qtbot)
    dock.prototypes_panel.learn_button.click()
    expected = "images with different pixel sizes, 0.5 µm to 2 µm"
    qtbot.waitUntil(lambda: expected in message(dock), timeout=60_000)
    idle(dock, qtbot)
    assert expected in dock.prototypes_panel.note.text()


def test_learning_waits_for_what_runs(nonsense, qtbot):
    confirm_scene(nonsense)
    nonsense.run()
    nonsense.prototypes_panel.learn_button.click()
    assert nonsense.learning_controller.prototypes is None
    qtbot.waitUntil(lambda: nonsense.learning_controller.prototypes is not None, timeout=60_000)


def test_what_was_removed_while_it_learns_stays_removed(nonsense, qtbot, monkeypatch):
    prototypes = learnt(nonsense, qtbot)
    other = make_scene(SHAPE, 1_000_009)
    nonsense.viewer.add_image(other.image, name="other")
    nonsense.image_panel.images.setCurrentText("other")
    mine = nonsense.annotation_controller.begin(nonsense.viewer.layers["other"], "other")
    mine.number_of(ClassRow(NAMES[PRESENT[0]]))
    mine.layer.paint((50, 50), 1)
    mine.follow()
    gate, learn = threading.Event(), Session.learn

    def slow(*args):
        gate.wait(10)
        return learn(*args)

    monkeypatch.setattr(Session, "learn", slow)
    nonsense.learning_controller.learn()
    nonsense.learning_controller.remove([prototypes.items[0]])
    gate.set()
    idle(nonsense, qtbot)
    found = nonsense.learning_controller.prototypes
    assert prototypes.items[0] not in found.items
    assert {source for one in found.items for source in one.sources} == {"scene", "other"}


# ---------------------------------------------------------------------- what is shown of it


def test_prototypes_are_removed_by_button_and_key_and_come_back(nonsense, run, qtbot):
    run(nonsense)
    prototypes = learnt(nonsense, qtbot)
    panel = nonsense.prototypes_panel
    gone = panel._items[0]
    assert "Select a prototype" in panel.remove_button.toolTip()
    panel.list.setCurrentRow(0)
    panel.remove_button.click()
    assert gone not in nonsense.learning_controller.prototypes.items
    assert panel.list.count() == len(prototypes) - 1
    idle(nonsense, qtbot)
    used = nonsense.shown.outcome.scores.record["prototypes"]
    assert sum(one["prototypes"] for one in used) == len(prototypes) - 1
    assert not nonsense.shown.outcome.encoded
    panel.list.selectAll()
    qtbot.keyClick(panel.list, Qt.Key.Key_Delete)
    assert nonsense.learning_controller.prototypes is None
    assert nonsense.export_page.prototypes.header.text().endswith(" Visual prototypes")
    idle(nonsense, qtbot)
    assert "prototypes" not in nonsense.shown.outcome.scores.record
    panel.undo_button.click()
    panel.undo_button.click()
    assert nonsense.learning_controller.prototypes is prototypes


def test_the_slider_weighs_words_against_prototypes(nonsense, run, qtbot):
    nonsense.corrections_panel.spread.setChecked(False)  # strokes are no hints
    run(nonsense)
    by_words = nonsense.shown.predictions["refined"].layer.data.copy()
    learnt(nonsense, qtbot)
    panel = nonsense.prototypes_panel
    assert panel.value().weight is None
    assert not panel.slider.isEnabled()
    panel.automatic.setChecked(False)
    panel.slider.setValue(0)
    idle(nonsense, qtbot)
    np.testing.assert_array_equal(nonsense.shown.predictions["refined"].layer.data, by_words)
    panel.slider.setValue(100)
    idle(nonsense, qtbot)
    assert agreement(nonsense) > 0.8
    panel.slider.setValue(40)
    assert panel.value().weight == pytest.approx(0.4)


def test_prototypes_of_another_model_are_kept_and_not_used(nonsense, run, qtbot):
    prototypes = of_another(learnt(nonsense, qtbot))
    nonsense.learning_controller.begin_with(prototypes, None)
    panel = nonsense.prototypes_panel
    assert "belong to the model ViT-B/16" in panel.note.text()
    assert "ViT-B/16" in panel.learn_button.toolTip()
    run(nonsense)
    assert "prototypes were not used" in message(nonsense)
    assert "prototypes" not in nonsense.shown.outcome.scores.record
    assert nonsense.learning_controller.prototypes is prototypes
    nonsense.learning_controller.learn_by_itself(nonsense.annotation_controller.current())
    assert "Nothing was learned" in message(nonsense)
    assert nonsense.learning_controller.prototypes is prototypes


# ---------------------------------------------------------------------- with the list of classes


def test_prototypes_are_saved_beside_the_class_list(nonsense, qtbot, tmp_path):
    prototypes = learnt(nonsense, qtbot)
    file = tmp_path / "mine.yaml"
    assert nonsense.classes_panel.save_to(file)
    assert beside(file).is_file()
    nonsense.learning_controller.remove(list(prototypes.items))
    nonsense.classes_panel.setValue([ClassRow("fibre")])
    assert nonsense.classes_panel.load_from(file)
    qtbot.waitUntil(lambda: nonsense.learning_controller.prototypes is not None, timeout=20_000)
    found = nonsense.learning_controller.prototypes
    np.testing.assert_allclose(vectors(found), vectors(prototypes), atol=1e-6)
    assert nonsense.prototypes_panel.list.count() == len(prototypes)
    assert f"Loaded {len(prototypes)} visual prototypes" in message(nonsense)


def test_a_list_without_prototypes_has_none_and_undo_brings_them_back(nonsense, qtbot, tmp_path):
    (tmp_path / "words.txt").write_text("fibre\n")
    prototypes = learnt(nonsense, qtbot)
    assert nonsense.classes_panel.load_from(tmp_path / "words.txt")
    assert nonsense.learning_controller.prototypes is None
    assert "Undo in Visual prototypes" in message(nonsense)
    nonsense.prototypes_panel.undo_button.click()
    assert nonsense.learning_controller.prototypes is prototypes


def test_unusable_prototypes_are_refused_and_the_classes_loaded(nonsense, qtbot, tmp_path):
    dock, prototypes = nonsense, learnt(nonsense, qtbot)
    whole = tmp_path / "whole.safetensors"
    write_prototypes(whole, prototypes)
    for number, (model, said) in enumerate((
        ("ViT-B/16", "with ViT-B/16, but the engine runs demo"),
        ("demo", "other weights"),
        (None, "cut off"),
    )):  # fmt: skip
        file = tmp_path / f"list {number}.yaml"
        dock.classes_panel.setValue([ClassRow(name) for name in NAMES.values()])
        dock.classes_panel.save_to(file)
        if model is None:
            beside(file).write_bytes(whole.read_bytes()[:500])
        else:
            write_prototypes(beside(file), of_another(prototypes, model))
        content = beside(file).read_bytes()
        dock.classes_panel.setValue([ClassRow("fibre")])
        assert dock.classes_panel.load_from(file)
        idle(dock, qtbot)
        assert "loaded, but not their prototypes" in message(dock)
        assert said in message(dock)
        assert dock.learning_controller.prototypes is None
        assert [row.name for row in dock.classes_panel.value()] == list(NAMES.values())
        dock.classes_panel.save_to(file)  # what was refused is not lost by this
        assert not beside(file).exists()
        assert (tmp_path / f"{beside(file).name}.old").read_bytes() == content
        dock.learning_controller.begin_with(prototypes, None)


def test_an_error_in_writing_prototypes_is_shown(nonsense, qtbot, tmp_path):
    learnt(nonsense, qtbot)
    beside(tmp_path / "mine.yaml").mkdir()
    assert nonsense.classes_panel.save_to(tmp_path / "mine.yaml")
    assert "not their prototypes" in message(nonsense)
    assert "there is a folder of that name" in message(nonsense)


# ---------------------------------------------------------------------- by itself


def test_accepting_everything_learns_prototypes_unless_switched_off(dock, run, qtbot):
    run(dock)
    dock.prototypes_panel.by_itself.setChecked(False)
    dock.annotation_panel.accept_button.click()
    assert dock.job is None
    dock.annotation_controller.of(dock.viewer.layers["scene"]).layer.undo()
    dock.prototypes_panel.by_itself.setChecked(True)
    dock.annotation_panel.accept_button.click()
    qtbot.waitUntil(lambda: dock.learning_controller.prototypes is not None, timeout=60_000)
    idle(dock, qtbot)
    mine = dock.annotation_controller.of(dock.viewer.layers["scene"]).layer
    assert dock.viewer.layers.selection.active is mine


@pytest.fixture
def project(project):
    """The dock at the first of three images, with class names that mean nothing to the model."""
    project.classes_panel.setValue([ClassRow(name) for name in NAMES.values()])
    return project


def test_prototypes_of_a_done_image_are_used_for_the_next(project, run, qtbot, tmp_path):
    dock = project
    confirm_scene(dock, dock.project_controller.layer, "scene 1")
    dock.project_panel.done_button.click()
    loaded(dock, qtbot, "scene 2")
    qtbot.waitUntil(lambda: dock.learning_controller.prototypes is not None, timeout=60_000)
    assert all("scene 1" in text for text in texts(dock))
    run(dock)
    used = dock.shown.outcome.scores.record["prototypes"]
    assert {one["class"] for one in used} >= set(NAMES.values())
    # it is on the disk soon, though nothing was painted
    file = tmp_path / "project" / "prototypes.safetensors"
    qtbot.waitUntil(file.is_file, timeout=10_000)
    assert len(read_prototypes(file)) == len(dock.learning_controller.prototypes)


def test_a_project_saves_prototypes_and_weight(project, qtbot, tmp_path, make_napari_viewer):
    confirm_scene(project, project.project_controller.layer, "scene 1")
    project.learning_controller.learn()
    qtbot.waitUntil(lambda: project.learning_controller.prototypes is not None, timeout=60_000)
    project.prototypes_panel.automatic.setChecked(False)
    project.prototypes_panel.slider.setValue(70)
    expected = project.learning_controller.prototypes
    project.close_down()
    other = CliperWidget(make_napari_viewer())
    qtbot.addWidget(other)
    other.project_controller.open(tmp_path / "project")
    loaded(other, qtbot, "scene 1")
    np.testing.assert_allclose(
        vectors(other.learning_controller.prototypes), vectors(expected), atol=1e-6
    )
    assert other.prototypes_panel.value().weight == pytest.approx(0.7)
    assert other.prototypes_panel.list.count() == len(expected)
    other.close_down()


def test_what_is_learned_for_another_project_is_dropped(project, qtbot, tmp_path, monkeypatch):
    Project.create(tmp_path / "other", [tmp_path / "pictures" / "scene 3.png"])
    confirm_scene(project, project.project_controller.layer, "scene 1")
    gate, learn = threading.Event(), Session.learn

    def slow(*args):
        gate.wait(10)
        return learn(*args)

    monkeypatch.setattr(Session, "learn", slow)
    project.learning_controller.learn()
    project.project_controller.open(tmp_path / "other")
    loaded(project, qtbot, "scene 3")
    gate.set()
    idle(project, qtbot)
    assert project.learning_controller.prototypes is None
    assert "discarded" in message(project)
