"""The most uncertain images of a project come first."""

from __future__ import annotations

import re
import threading

import pytest
from dock_views import message
from PIL import Image as Picture
from project_actions import loaded

from napari_cliper.annotation.project.project import Project
from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.engine_session import Session
from napari_cliper.segmentation import (
    LiveLabels,
    Segmenter,
)

pytestmark = pytest.mark.one_binding


def finished(dock, qtbot):
    qtbot.waitUntil(lambda: dock.idle, timeout=60_000)


def rows(dock):
    images = dock.project_panel.images
    return [images.item(row).text() for row in range(images.count())]


def values_by_python(dock, names, tmp_path):
    """The mean uncertainty of whole scenes, by the engine alone."""
    config = dock.engine_panel.value()
    segmenter = Segmenter(config)
    thresholds = config.settings().thresholds
    words = [row.name for row in dock.classes_panel.value()]
    project = Project.open(tmp_path / "project")
    found = {}
    for name in names:
        scores = segmenter.score(segmenter.embed(project.read_image(name)), words)
        found[name] = float(LiveLabels(scores, "refined").uncertainty(thresholds).mean())
    return found


def test_the_most_uncertain_images_come_first(project, qtbot, tmp_path):
    dock = project
    for name in ("bad", "scene 4", "scene 5"):
        Picture.fromarray(make_scene((96, 128), 1_000_020 + len(name)).image).save(
            tmp_path / "pictures" / f"{name}.png"
        )
    Picture.fromarray(make_scene((96, 128), 1_000_031).image).save(
        tmp_path / "pictures" / "scene 5.png"
    )
    dock.project_controller.project.add_files(
        [tmp_path / "pictures" / f"{name}.png" for name in ("bad", "scene 4", "scene 5")]
    )
    (tmp_path / "pictures" / "bad.png").write_bytes(b"no image")
    dock.prototypes_panel.by_itself.setChecked(False)
    dock.project_panel.done_button.click()  # scene 1
    loaded(dock, qtbot, "scene 2")
    dock.project_panel.order_button.click()
    assert dock.job is not None, message(dock)
    finished(dock, qtbot)
    names = ["scene 2", "scene 3", "scene 4", "scene 5"]
    values = values_by_python(dock, names, tmp_path)
    best = sorted(names, key=lambda name: -values[name])
    kept = [image.name for image in Project.open(tmp_path / "project").images]
    assert kept == [*best, "bad", "scene 1"]
    assert rows(dock)[0] == f"{best[0]}: not started, {values[best[0]]:.0%} uncertain"
    assert rows(dock)[-2:] == ["bad: not started", "scene 1: done"]
    said = re.search(r"([\d.]+)%", dock.project_panel.images.item(0).toolTip())
    assert float(said[1]) / 100 == pytest.approx(values[best[0]], abs=1 / 255)  # as it is stored
    assert "Sorted 4 images" in message(dock)
    assert "bad could not be read" in message(dock)
    assert dock.project_controller.current == "scene 2"


def test_an_order_that_is_cancelled_changes_nothing(project, qtbot, monkeypatch):
    gate, ask = threading.Event(), Session.predict

    def slow(*args):
        gate.wait(10)
        return ask(*args)

    monkeypatch.setattr(Session, "predict", slow)
    before = rows(project)
    project.project_panel.order_button.click()
    project.status_panel.cancel_button.click()
    gate.set()
    finished(project, qtbot)
    assert rows(project) == before
    assert "Cancelled" in message(project)


def test_the_reason_why_images_cannot_be_sorted_is_shown(project):
    button = project.project_panel.order_button
    assert button.isEnabled()
    project.classes_panel.setValue([])
    assert not button.isEnabled()
    assert "no word" in button.toolTip()
