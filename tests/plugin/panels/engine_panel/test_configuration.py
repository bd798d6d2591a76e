"""Any configuration of the engine panel is chosen, shown and given back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_panel_actions import CONFIGS, choose, on_disk, type_into
from qtpy.QtCore import Qt

from napari_cliper.plugin import ui_text
from napari_cliper.plugin.panels.engine_panel import EnginePanel
from napari_cliper.plugin.panels.preset_buttons import ENGINE_PRESETS
from napari_cliper.plugin.ui_text import PRESET_NAMES, TEMPLATE_NAMES
from napari_cliper.segmentation import (
    METHODS,
    REFINERS,
    REGISTRY,
    TEMPLATE_SETS,
    SegmentationConfig,
)
from napari_cliper.segmentation.config import presets
from napari_cliper.segmentation.models.registry import ROWS


def test_a_row_of_a_table_is_an_entry_of_the_form(qtbot, monkeypatch):
    for table, row in (
        (METHODS, replace(METHODS["clip"], name="toy", title="A toy method")),
        (REFINERS, replace(REFINERS["pamr"], name="toy", title="A toy refiner")),
        (ROWS, replace(REGISTRY["dino-vits8"], name="toy-encoder")),
    ):
        monkeypatch.setitem(table, row.name, row)
    panel = EnginePanel()
    qtbot.addWidget(panel)
    panel.form.set_config(
        SegmentationConfig(method="toy", refiner="toy", foundation_model="toy-encoder")
    )
    assert panel.form.method.currentText() == "A toy method"
    assert panel.form.refiner.currentText() == "A toy refiner"
    assert panel.form.foundation.currentText().startswith("toy-encoder")
    config = panel.form.config()
    assert (config.method, config.refiner, config.foundation_model) == ("toy", "toy", "toy-encoder")


def test_a_new_panel_has_the_engines_defaults_and_is_folded(panel):
    assert panel.value() == SegmentationConfig()
    assert panel.problem() == ""
    assert not panel.problem_label.isVisible()
    assert not any(fold.is_open for fold in panel.form.folds.folds)
    assert panel.summary_label.text() == "CLIPer · ViT-B/16 · Stable Diffusion"


def test_a_panel_starts_with_a_configuration(qtbot):
    config = SegmentationConfig(model="demo", device="cpu")
    panel = EnginePanel(config)
    qtbot.addWidget(panel)
    assert panel.value() == config


def pressed(panel):
    return [name for name, button in panel.presets.buttons.items() if button.isChecked()]


def test_presets_choose_models_and_show_what_is_in_use(panel, qtbot):
    assert pressed(panel) == ["best"]  # the engine's default
    kept = {"device": "cpu", "background": ("soil",), "seed": 4}
    panel.setValue(SegmentationConfig(shorter_side=64, logit_scale=3, **kept))
    assert pressed(panel) == []
    for name, expected in (
        ("demo", SegmentationConfig(model="demo", refiner="pamr", **kept)),
        ("fast", SegmentationConfig(refiner="pamr", **kept)),
        ("best", SegmentationConfig(refiner="stable-diffusion", **kept)),
    ):
        with qtbot.waitSignals([panel.valueChanged, panel.edited]):
            qtbot.mouseClick(panel.presets.buttons[name], Qt.MouseButton.LeftButton)
        assert panel.value() == expected
        assert pressed(panel) == [name]
        qtbot.mouseClick(panel.presets.buttons[name], Qt.MouseButton.LeftButton)
        assert pressed(panel) == [name]  # a second press changes nothing
    choose(qtbot, panel.form.refiner, "as published")
    assert pressed(panel) == ["best"]  # the same by another name
    choose(qtbot, panel.form.method, "SCLIP")
    assert pressed(panel) == []
    panel.setValue(SegmentationConfig(model="demo"))
    assert pressed(panel) == ["demo"]


def test_presets_tell_sizes_and_licences_of_the_registry(panel):
    clip, diffusion = REGISTRY["ViT-B/16"], REGISTRY["stable-diffusion-2.1"]
    assert ENGINE_PRESETS["demo"].weights == ()
    assert ENGINE_PRESETS["best"].weights == (clip, diffusion)
    texts = {name: button.text() for name, button in panel.presets.buttons.items()}
    assert texts == {"demo": "Demo", "fast": "Fast (599 MB)", "best": "Best (3.2 GB)"}
    tip = panel.presets.buttons["best"].toolTip()
    assert clip.licence in tip
    assert diffusion.licence in tip
    assert ui_text.RESTRICTED in tip
    assert ui_text.RESTRICTED not in panel.presets.buttons["fast"].toolTip()


def test_edited_tells_of_a_persons_changes_only(panel, qtbot):
    with qtbot.assertNotEmitted(panel.edited):
        panel.setValue(SegmentationConfig(model="demo"))
        panel.set_cached(on_disk())
    with qtbot.waitSignal(panel.edited):
        type_into(qtbot, panel.form.shorter_side, "64")


@pytest.mark.one_binding
def test_any_configuration_comes_back_as_it_was(panel, subtests):
    for config in CONFIGS:
        with subtests.test(config=config):
            panel.setValue(config)
            assert panel.value() == config
            panel.set_cached(on_disk("ViT-B/16"))  # renames entries, chooses none
            assert panel.value() == config
            panel.setValue(SegmentationConfig())
            assert panel.value() == SegmentationConfig()


def test_after_every_configuration_the_next_one_comes_back_too(panel):
    for config in CONFIGS:
        panel.setValue(config)
        assert panel.value() == config


def test_every_published_row_and_template_set_has_a_name():
    assert set(PRESET_NAMES) == {name for _, _, name in presets()}
    assert set(TEMPLATE_NAMES) == set(TEMPLATE_SETS)


@pytest.mark.one_binding
def test_what_a_person_chooses_and_types_is_in_the_configuration(panel, qtbot):
    form = panel.form
    choose(qtbot, form.method, "SCLIP")
    choose(qtbot, form.model.box, "ViT-L/14")
    choose(qtbot, form.refiner, "DINO")
    choose(qtbot, form.foundation, "dinov2-vits14")
    choose(qtbot, form.background.box, ui_text.BACKGROUND_OWN)
    type_into(qtbot, form.background.edit, "soil, leaf litter,")
    choose(qtbot, form.templates.box, ui_text.OWN_TEMPLATES)
    type_into(qtbot, form.templates.edit, "a {} in a dish | {}")
    choose(qtbot, form.preset, "Cityscapes")
    type_into(qtbot, form.shorter_side, "448")
    choose(qtbot, form.windows.box, ui_text.WINDOWS_OWN)
    type_into(qtbot, form.windows.size, "224")
    type_into(qtbot, form.stride, "56")
    type_into(qtbot, form.device.lineEdit(), "cuda:1 ")
    choose(qtbot, form.precision, "bfloat16")
    qtbot.keyClick(form.offline, Qt.Key.Key_Space)
    assert panel.value() == SegmentationConfig(
        method="sclip",
        model="ViT-L/14",
        refiner="foundation",
        foundation_model="dinov2-vits14",
        background=("soil", "leaf litter"),
        templates=("a {} in a dish", "{}"),
        preset="cityscapes",
        shorter_side=448,
        window=224,
        stride=56,
        device="cuda:1",
        precision="bfloat16",
        offline=True,
    )


def test_changed_tells_of_persons_and_of_other_configurations_only(panel, qtbot):
    with qtbot.waitSignal(panel.valueChanged):
        choose(qtbot, panel.form.method, "ProxyCLIP")
    with qtbot.waitSignals([panel.valueChanged] * 2):
        type_into(qtbot, panel.form.shorter_side, "64")
    told = []
    panel.valueChanged.connect(lambda: told.append(panel.value()))
    panel.setValue(panel.value())
    panel.set_cached(on_disk())
    panel.set_vocabulary(("nucleus",))
    assert told == []
    panel.setValue(SegmentationConfig(model="demo"))
    assert told == [SegmentationConfig(model="demo")]


def test_nothing_or_zero_is_as_published(panel, qtbot):
    assert panel.form.shorter_side.placeholderText() == "as published (336 px)"
    for text in ("0", ""):
        type_into(qtbot, panel.form.shorter_side, text)
        assert panel.value().shorter_side is None
    type_into(qtbot, panel.form.shorter_side, "-3x4")
    assert panel.form.shorter_side.text() == "34"
    assert panel.value().shorter_side == 34


def test_a_replaced_configuration_differs_in_one_field_only(panel):
    config = SegmentationConfig(model="demo", background=("a, b",), seed=3)
    panel.setValue(config)
    panel.form.precision.choose("float32")
    assert panel.value() == replace(config, precision="float32")
