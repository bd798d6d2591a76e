"""Entries that do not apply are grey, and defaults are said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_panel_actions import choose, type_into
from qtpy.QtCore import Qt

from napari_cliper.plugin import ui_text
from napari_cliper.segmentation import (
    BACKGROUND_WORDS,
    SegmentationConfig,
    Tiles,
    objects_of_tiles,
    tiles_for_objects,
)

SAM = ("SAM", "Masks")


def grey(panel):
    return {
        label.text().replace("&", "")
        for field, (label, _) in panel.form._labels.items()
        if not getattr(field, "box", field).isEnabled()
    }


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"DINO", "Stride", *SAM}),
        ({"refiner": "pamr"}, {"Diffusion", "Seed", "DINO", "Stride", *SAM}),
        ({"refiner": "foundation"}, {"Diffusion", "Seed", "Stride", *SAM}),
        ({"refiner": "sam"}, {"Diffusion", "Seed", "DINO", "Stride", "Masks"}),
        ({"method": "proxyclip"}, {"Diffusion", "Seed", *SAM}),
        ({"method": "corrclip"}, {"Diffusion", "Seed", "SAM"}),
        ({"method": "corrclip", "masks": "sam"}, {"Diffusion", "Seed"}),
        ({"method": "trident"}, {"Diffusion", "Seed", "Masks"}),
        ({"method": "proxyclip", "window": 0}, {"Diffusion", "Seed", "Stride", *SAM}),
        ({"window": 224}, {"DINO", *SAM}),
        ({"model": "demo"}, {"Diffusion", "Seed", "DINO", "Stride", "Preset", *SAM}),
    ],
)
@pytest.mark.one_binding
def test_what_does_not_apply_is_grey_and_says_why(panel, settings, expected):
    panel.setValue(SegmentationConfig(**settings))
    assert grey(panel) == expected
    form = panel.form
    if "Diffusion" in expected:
        for part in (form.diffusion.box, form.diffusion.edit, form._labels[form.diffusion][0]):
            assert part.toolTip().startswith("Used only by the refiner Stable Diffusion.")
    if "Stride" in expected:
        assert form.stride.toolTip() == ui_text.WINDOWS_ARE_OFF
    if ui_text.PRESET_LABEL in expected:
        assert form.preset.toolTip() == ui_text.one_preset(model="demo")
    panel.setValue(SegmentationConfig())
    assert "Used only" not in form.diffusion.box.toolTip()
    assert "Used only" not in form._labels[form.diffusion][0].toolTip()


def test_as_published_says_what_it_means(panel, qtbot):
    form = panel.form
    assert form.refiner.currentText() == "as published (Stable Diffusion)"
    choose(qtbot, form.method, "SCLIP")
    assert form.refiner.currentText() == "as published (no refiner)"
    assert form.windows.box.currentText() == "as published (224 px)"
    assert form.templates.box.currentText() == "as published (80 by OpenAI)"
    choose(qtbot, form.model.box, "demo")
    assert form.refiner.currentText() == "as published (PAMR)"
    assert form.background.box.currentText() == "as published (demo)"
    assert form.background.edit.placeholderText() == ", ".join(BACKGROUND_WORDS["demo"])


def test_background_lists_fill_the_line_and_typing_makes_them_own(panel, qtbot):
    field = panel.form.background
    choose(qtbot, field.box, "microscopy")
    assert field.edit.text() == ", ".join(BACKGROUND_WORDS["microscopy"])
    assert panel.value().background == BACKGROUND_WORDS["microscopy"]
    field.edit.setFocus()
    qtbot.keyClick(field.edit, Qt.Key.Key_End)
    qtbot.keyClicks(field.edit, ", pollen")
    assert field.box.currentText() == ui_text.BACKGROUND_OWN
    assert panel.value().background == (*BACKGROUND_WORDS["microscopy"], "pollen")
    type_into(qtbot, field.edit, "none")
    qtbot.keyClick(field.edit, Qt.Key.Key_Return)
    assert field.box.currentText() == "none"
    assert panel.value().background == ()


def test_the_demo_list_is_offered_with_the_demo_model(panel):
    box = panel.form.background.box
    item = box.model().item(box.findText("demo"))
    assert not item.isEnabled()
    assert item.toolTip() == ui_text.DEMO_BACKGROUND_WHY_NOT
    panel.setValue(SegmentationConfig(model="demo"))
    assert item.isEnabled()


def test_settings_without_a_row_are_shown_and_can_be_dropped(panel, qtbot):
    assert not panel.form.further.isVisible()
    panel.setValue(SegmentationConfig(logit_scale=40, select_layer=-2))
    assert panel.form.further.isVisible()
    assert "layer -2, logit scale 40" in panel.form.further.text()
    with qtbot.waitSignal(panel.valueChanged):
        qtbot.keyClick(panel.form.further, Qt.Key.Key_Space)
    assert panel.value() == SegmentationConfig()
    assert not panel.form.further.isVisible()


def test_tiles_are_kept_and_follow_the_model(panel):
    """Tiles of a project stay as they are; those for objects of a size suit every model."""
    stored = SegmentationConfig(model="demo", tiles=Tiles(300, 50, 0.5))
    panel.setValue(stored)
    assert panel.value() == stored
    assert "tiles of 300 px" in panel.form.further.text()
    panel.setValue(replace(stored, tiles=None))
    assert panel.value().tiles is None
    for size in (20, 60, 500):
        panel.setValue(SegmentationConfig(model="demo"))
        panel.set_object_size(size)
        for preset in ("demo", "best", "fast", "best", "demo"):
            panel.presets.buttons[preset].click()
            config = panel.value()
            assert panel.problem() == ""
            assert config.tiles == tiles_for_objects(size, config)
            assert objects_of_tiles(config) == pytest.approx(size, rel=0.02)
            assert panel.presets.buttons[preset].isChecked()
    panel.setValue(stored)
    panel.presets.buttons["best"].click()  # Stable Diffusion needs 512 px
    assert panel.problem() == ""
    assert panel.value().tiles.side >= 512
