"""Weights are downloaded and deleted from the dock."""

from __future__ import annotations

import os

import pytest
from dock_views import message
from huggingface_hub import constants
from qtpy.QtWidgets import QMessageBox

from napari_cliper.segmentation import REGISTRY, SegmentationConfig, cached, fetch

DINO = REGISTRY["dino-vits8"]


def request_for_dino(dock, qtbot):
    config = SegmentationConfig(
        model="demo", device="cpu", refiner="foundation", foundation_model=DINO.name
    )
    dock.engine_panel.setValue(config)
    qtbot.waitUntil(lambda: dock.weights.idle, timeout=20_000)


@pytest.fixture
def dino_hub(hub):
    """A file under the name of the smallest DINO; it holds no weights."""
    content = os.urandom(400_000)
    hub.files[DINO.repositories[0], DINO.files[0][0]] = content
    return hub


@pytest.mark.usefixtures("dino_hub")
@pytest.mark.one_binding
def test_weights_are_downloaded_from_the_dock(dock, qtbot):
    dock.weights.look_up()
    request_for_dino(dock, qtbot)
    (line,) = dock.engine_panel.lines
    assert "Apache-2.0" in line.text.text()
    assert "Press Download" in dock.run_panel.run_button.toolTip()
    line.button.click()
    assert not dock.engine_panel.lines[0].button.isEnabled()  # one job at a time, and it says so
    qtbot.waitUntil(lambda: dock.job is None and dock.weights.idle, timeout=20_000)
    assert "has been downloaded" in message(dock)
    assert dock.engine_panel.lines == []
    assert dock.run_panel.run_button.isEnabled()


@pytest.mark.parametrize("stalled", [True, False])
@pytest.mark.one_binding
def test_cancel_ends_a_download(dino_hub, dock, qtbot, stalled, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 60)  # longer than the hub waits
    dino_hub.pause = 0.2
    dino_hub.stall_after = 100_000 if stalled else None
    dock.weights.look_up()
    request_for_dino(dock, qtbot)
    dock.engine_panel.lines[0].button.click()
    qtbot.waitUntil(lambda: "MB" in dock.status_panel.stage.text(), timeout=10_000)
    dock.status_panel.cancel_button.click()
    qtbot.waitUntil(lambda: dock.job is None, timeout=30_000)
    assert not dino_hub.waited_in_vain
    assert dino_hub.sent < 400_000
    assert "Cancelled" in message(dock)
    assert dock.engine_panel.lines[0].button.isEnabled()


def test_a_model_of_open_clips_table_is_offered_for_download(hub, dock, qtbot):
    name = "open_clip:roberta-ViT-B-32/laion2b_s12b_b32k"
    repository = "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"
    hub.files[repository, "open_clip_model.safetensors"] = os.urandom(20_000)
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        hub.files["roberta-base", file] = b"{}" * 20
    dock.engine_panel.setValue(SegmentationConfig(model=name, refiner="pamr", device="cpu"))
    qtbot.waitUntil(lambda: len(dock.engine_panel.lines) == 1, timeout=60_000)
    dock.engine_panel.lines[0].button.click()
    qtbot.waitUntil(lambda: dock.job is None and dock.weights.idle, timeout=20_000)
    assert "has been downloaded" in message(dock)
    assert dock.engine_panel.lines == []
    assert any(request.startswith("GET /roberta-base/") for request in hub.requested)


@pytest.mark.one_binding
def test_clearing_the_weights_asks_and_says_what_goes(dino_hub, dock, qtbot, monkeypatch):
    asked = []
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]

    def question(_parent, _title, text):
        asked.append(text)
        return answers[len(asked) - 1]

    monkeypatch.setattr(QMessageBox, "question", question)
    fetch(DINO)
    assert dino_hub.requested
    dock.weights.look_up()
    request_for_dino(dock, qtbot)
    assert dock.engine_panel.lines == []
    dock.frame.go_to("settings")
    memory = dock.panels["memory"]
    (fold,) = (one for one in dock.engine_panel.form.folds.folds if one.isAncestorOf(memory))
    fold.set_open(is_open=True)
    clear = memory.weights.clear
    qtbot.waitUntil(clear.isEnabled, timeout=20_000)
    for gone in (False, True):
        clear.click()
        assert DINO.repositories[0] in asked[-1]
        assert constants.HF_HUB_CACHE in asked[-1]
        qtbot.waitUntil(lambda: dock.job is None and dock.weights.idle, timeout=20_000)
        assert (cached(DINO) is None) == gone
        assert len(dock.engine_panel.lines) == gone  # offered for download again
    assert len(asked) == 2
    assert "deleted" in message(dock)
    qtbot.waitUntil(lambda: not clear.isEnabled(), timeout=20_000)
