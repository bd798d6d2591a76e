"""Missing weights are offered in the engine panel, and known words shown."""

from __future__ import annotations

from engine_panel_actions import choose, on_disk
from qtpy.QtCore import Qt

from napari_cliper.demo.scenes import KINDS
from napari_cliper.plugin import ui_text
from napari_cliper.segmentation import SegmentationConfig

# ---------------------------------------------------------------------- weights


def missing_texts(panel):
    return [line.text.text() for line in panel.lines]


def test_missing_weights_are_offered(panel, qtbot):
    assert panel.missing() == ()  # nothing is known yet
    panel.set_cached(on_disk())
    assert missing_texts(panel) == [
        "ViT-B/16: 599 MB, MIT",
        "Stable Diffusion 2.1: 2.6 GB, CreativeML Open RAIL++-M",
    ]
    assert panel.lines[0].text.toolTip() == "ViT-B/16 is not on this machine."
    assert ui_text.USE_PAMR in panel.lines[1].text.toolTip()
    qtbot.waitUntil(lambda: all(line.isVisible() for line in panel.lines))
    assert [row.name for row in panel.missing()] == ["ViT-B/16", "stable-diffusion-2.1"]
    with qtbot.waitSignal(panel.download_requested) as signal:
        qtbot.mouseClick(panel.lines[1].button, Qt.MouseButton.LeftButton)
    assert signal.args == ["stable-diffusion-2.1"]

    panel.set_cached({"stable-diffusion-2.1": True})  # the rest stays as it was
    assert [row.name for row in panel.missing()] == ["ViT-B/16"]
    panel.setValue(SegmentationConfig(model="demo"))
    assert panel.missing() == ()
    assert panel.lines == []
    panel.setValue(SegmentationConfig(method="proxyclip", model="open_clip:ViT-B-16/openai"))
    assert missing_texts(panel) == ["dino-vitb8: 343 MB, Apache-2.0"]
    panel.setValue(SegmentationConfig(model="demo", refiner="foundation"))
    assert "PAMR" in panel.lines[0].text.toolTip()  # here DINO only refines


def test_choosing_pamr_is_the_workaround(panel, qtbot):
    panel.set_cached(on_disk("ViT-B/16"))
    assert len(panel.lines) == 1
    choose(qtbot, panel.form.refiner, "PAMR")
    assert panel.lines == []


def test_offline_forbids_downloads_and_says_so(panel):
    panel.set_cached(on_disk())
    panel.setValue(SegmentationConfig(offline=True))
    assert not panel.lines[0].button.isEnabled()
    assert "Offline" in panel.lines[0].button.toolTip()
    panel.setValue(SegmentationConfig())
    assert panel.lines[0].button.isEnabled()


def test_entries_say_what_is_on_disk(panel):
    box = panel.form.model.box
    assert [box.itemText(index) for index in range(3)] == [
        "demo (included)",
        "ViT-B/16 (599 MB)",
        "ViT-L/14 (1.7 GB)",
    ]
    panel.set_cached(on_disk("ViT-L/14"))
    assert [box.itemText(index) for index in range(3)] == [
        "demo (included)",
        "ViT-B/16 (599 MB to download)",
        "ViT-L/14 (on disk)",
    ]


# ---------------------------------------------------------------------- words of the demo model


def test_the_demo_models_words_stay_in_sight(panel):
    panel.set_vocabulary(("nucleus", "Yeast cell"))
    assert not panel.known_label.isVisible()
    assert panel.unknown_words(("cat",)) == ()  # another model may know anything
    panel.setValue(SegmentationConfig(model="demo"))
    assert panel.known_label.isVisible()
    assert all(kind.name in panel.known_label.text() for kind in KINDS)
    assert panel.known_label.toolTip() == ui_text.demo_words(("nucleus", "Yeast cell"))
    assert panel.unknown_words(("NUCLEUS", "yeast cell", "cat", "Dog")) == ("cat", "Dog")
    panel.set_vocabulary(())
    assert not panel.known_label.isVisible()
    assert panel.unknown_words(("cat",)) == ()
