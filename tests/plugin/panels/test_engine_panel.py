"""The engine's form: what a person sees, and the configuration behind it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_cliper.demo.scenes import KINDS
from napari_cliper.plugin import ui_text
from napari_cliper.plugin.panels.engine_panel import EnginePanel
from napari_cliper.plugin.panels.preset_buttons import ENGINE_PRESETS
from napari_cliper.plugin.qt.accordion import Accordion
from napari_cliper.plugin.ui_text import (
    PRESET_NAMES,
    TEMPLATE_NAMES,
    plain_name,
)
from napari_cliper.segmentation import (
    BACKGROUND_WORDS,
    METHODS,
    PRECISIONS,
    REFINERS,
    REGISTRY,
    TEMPLATE_SETS,
    InvalidInputError,
    SegmentationConfig,
    listed_models,
)
from napari_cliper.segmentation.config import presets
from napari_cliper.segmentation.models.registry import ROWS

NARROW = 308  # what is left of 320 pixels between the dock's margins


@pytest.fixture
def panel(qtbot):
    """A panel in a window of the dock's width that scrolls as the dock does."""
    window = QScrollArea()
    qtbot.addWidget(window)
    inside = QWidget()
    made = EnginePanel()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.addWidget(made)
    layout.addStretch(1)
    window.setWidgetResizable(True)
    window.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    window.setFrameShape(QFrame.Shape.NoFrame)
    window.setWidget(inside)
    window.resize(320, 760)
    window.show()
    yield made
    window.close()


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


def on_disk(*names):
    return {name: name in names or name == "demo" for name in REGISTRY}


def reveal(widget):
    """Open the fold that a field is in, as a person does before using it."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, Accordion):
        parent = parent.parentWidget()
    if parent is not None:
        parent.open_at(widget)


def choose(qtbot, box, start):
    """Choose an entry as a person does: with the keyboard."""
    reveal(box)
    texts = [box.itemText(index) for index in range(box.count())]
    (row,) = [index for index, text in enumerate(texts) if text.startswith(start)]
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.count()):
        if box.currentIndex() == row:
            return
        qtbot.keyClick(box, Qt.Key.Key_Down)
    raise AssertionError(f"{start} cannot be reached in {texts}")


def type_into(qtbot, edit, text):
    reveal(edit)
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClick(edit, Qt.Key.Key_Delete)
    qtbot.keyClicks(edit, text)


# ---------------------------------------------------------------------- configuration


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
    assert ui_text.RAIL in tip
    assert ui_text.RAIL not in panel.presets.buttons["fast"].toolTip()


def test_edited_tells_of_a_persons_changes_only(panel, qtbot):
    with qtbot.assertNotEmitted(panel.edited):
        panel.setValue(SegmentationConfig(model="demo"))
        panel.set_cached(on_disk())
    with qtbot.waitSignal(panel.edited):
        type_into(qtbot, panel.form.shorter_side, "64")


CONFIGS = (
    *(SegmentationConfig(method=method) for method in METHODS),
    *(SegmentationConfig(refiner=refiner) for refiner in REFINERS),
    *(SegmentationConfig(precision=precision) for precision in PRECISIONS),
    *(SegmentationConfig(templates=name) for name in TEMPLATE_SETS),
    *(SegmentationConfig(preset=name) for name in PRESET_NAMES),
    *(SegmentationConfig(background=words) for words in BACKGROUND_WORDS.values()),
    *(SegmentationConfig(model="demo", background=words) for words in BACKGROUND_WORDS.values()),
    *(
        SegmentationConfig(**{{"clip": "model"}.get(row.kind, f"{row.kind}_model"): row.name})
        for row in REGISTRY.values()
        if row.kind != "sam"
    ),
    SegmentationConfig(model="open_clip:ViT-B-16/laion2b_s34b_b88k"),
    SegmentationConfig(model=" /a folder/with & signs .pt"),
    SegmentationConfig(diffusion_model="/models/sd"),
    SegmentationConfig(diffusion_model="relative/sd ", refiner="none"),
    SegmentationConfig(background=("a, b", "", " c ")),
    SegmentationConfig(background=("photo",)),
    SegmentationConfig(background=("",)),
    SegmentationConfig(templates=("a | b {}", "{} ")),
    SegmentationConfig(templates=("line\n{}",)),
    SegmentationConfig(window=0, stride=5),
    SegmentationConfig(window=2**40, stride=2**33, shorter_side=2**62, seed=2**63 - 1),
    SegmentationConfig(select_layer=-3, logit_scale=12.5, attention_threshold=0.0),
    SegmentationConfig(device="cuda:1", offline=True, shorter_side=32),
    SegmentationConfig(device="  nonsense"),
)


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


# ---------------------------------------------------------------------- what cannot work


def test_problems_are_the_engines_words(panel, qtbot):
    form = panel.form
    choose(qtbot, form.model.box, ui_text.OTHER_MODEL)
    assert panel.problem().startswith("No model is named.")
    assert panel.summary_label.text().startswith("CLIPer · no model")
    assert panel.problem_label.isVisible()
    type_into(qtbot, form.model.edit, "ViT-B/61")
    with pytest.raises(InvalidInputError) as error:
        SegmentationConfig(model="ViT-B/61")
    assert panel.problem() == str(error.value)
    assert panel.problem_label.text() == str(error.value)
    with pytest.raises(InvalidInputError):
        panel.value()
    type_into(qtbot, form.model.edit, "ViT-L/14")
    assert panel.problem() == ""
    assert panel.value().model == "ViT-L/14"


@pytest.mark.parametrize(
    ("field", "entry", "text", "words"),
    [
        ("background", "custom", "soil,,air", "empty background word"),
        ("templates", "custom", "a photo", "no place for the word"),
        ("windows", "custom", "0", ui_text.NO_WINDOW_SIZE),
        ("windows", "custom", "64", "gaps"),
        ("diffusion", "a folder", "", "No folder is named"),
        ("diffusion", "a folder", "sd21", "Unknown diffusion model"),
    ],
)
def test_what_is_typed_wrong_is_named(panel, qtbot, field, entry, text, words):
    composite = getattr(panel.form, field)
    choose(qtbot, composite.box, entry)
    type_into(qtbot, composite.edit, text)
    assert words in panel.problem()


def test_a_grey_row_is_in_nobodys_way(panel, qtbot):
    choose(qtbot, panel.form.diffusion.box, "a folder")
    for text in ("", "no such name"):
        type_into(qtbot, panel.form.diffusion.edit, text)
        assert panel.problem()
        choose(qtbot, panel.form.refiner, "PAMR")
        assert panel.problem() == ""
        choose(qtbot, panel.form.refiner, "Stable Diffusion (m")


def test_the_models_of_open_clip_are_searched_by_typing(panel, qtbot):
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    panel.set_models(listed_models())
    field = panel.form.model
    choose(qtbot, field.box, ui_text.OTHER_MODEL)
    popup = field.edit.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    assert popup.model().rowCount() == len(listed_models()) > 50  # all of them, to look through
    popup.hide()
    type_into(qtbot, field.edit, "B-16/LAION2B")
    assert popup.isVisible()
    shown = [popup.model().index(row, 0).data() for row in range(popup.model().rowCount())]
    assert shown == [name for name in listed_models() if "b-16/laion2b" in name.lower()]
    wanted = "open_clip:ViT-B-16/laion2b_s34b_b88k"
    for _ in range(shown.index(wanted) + 1):
        qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert panel.value().model == wanted


def test_browse_puts_the_file_there(panel, qtbot, monkeypatch):
    answer = ["/somewhere/own clip.safetensors"]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (answer[0], ""))
    choose(qtbot, panel.form.model.box, ui_text.OTHER_MODEL)
    assert not panel.form.diffusion.browse.isVisible()
    qtbot.mouseClick(panel.form.model.browse, Qt.MouseButton.LeftButton)
    assert panel.value().model == "/somewhere/own clip.safetensors"
    assert panel.summary() == "CLIPer · own clip.safetensors · Stable Diffusion"
    answer[0] = ""  # dismissed
    qtbot.mouseClick(panel.form.model.browse, Qt.MouseButton.LeftButton)
    assert panel.value().model == "/somewhere/own clip.safetensors"


# ---------------------------------------------------------------------- greying, defaults in words


def grey(panel):
    return {
        label.text().replace("&", "")
        for field, (label, _) in panel.form._labels.items()
        if not getattr(field, "box", field).isEnabled()
    }


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"DINO", "Stride"}),
        ({"refiner": "pamr"}, {"Diffusion", "Seed", "DINO", "Stride"}),
        ({"refiner": "foundation"}, {"Diffusion", "Seed", "Stride"}),
        ({"method": "proxyclip"}, {"Diffusion", "Seed"}),
        ({"method": "proxyclip", "window": 0}, {"Diffusion", "Seed", "Stride"}),
        ({"window": 224}, {"DINO"}),
        ({"model": "demo"}, {"Diffusion", "Seed", "DINO", "Stride", ui_text.PRESET_LABEL}),
    ],
)
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


# ---------------------------------------------------------------------- layout and keyboard


def labels(panel):
    """The wrapping lines that should be seen."""
    known = [panel.known_label] if panel.value().model == "demo" else []
    return known + [line.text for line in panel.lines]


def whole(label):
    return label.isVisible() and label.height() >= label.heightForWidth(label.width())


@pytest.mark.parametrize("config", [CONFIGS[0], *CONFIGS[-12:]])
def test_fits_a_narrow_dock(panel, qtbot, config):
    panel.set_cached(on_disk())
    panel.set_vocabulary([f"word number {index}" for index in range(30)])
    panel.setValue(config)
    qtbot.waitUntil(lambda: all(whole(label) for label in labels(panel)))
    assert panel.minimumSizeHint().width() <= 300
    assert panel.width() <= NARROW
    for part in panel.findChildren(QWidget):
        if part.isVisible():
            right = part.mapTo(panel, QPoint(part.width(), 0)).x()
            assert right <= panel.width(), part


def test_rows_that_open_push_the_others_down(panel, qtbot):
    def gap():
        form = panel.form
        return form.preset.mapTo(form, QPoint(0, 0)).y() - form.model.mapTo(form, QPoint(0, 0)).y()

    reveal(panel.form.model)
    qtbot.wait(1)
    before = gap()
    choose(qtbot, panel.form.model.box, ui_text.OTHER_MODEL)
    qtbot.waitUntil(lambda: gap() > before)
    assert panel.form.model.edit.height() >= panel.form.model.edit.minimumSizeHint().height()
    assert panel.form.height() >= panel.form.minimumSizeHint().height()


def test_a_long_summary_is_whole_in_its_tooltip(panel):
    model = "open_clip:ViT-B-16-SigLIP-and-more/a_very_long_tag_of_pretrained_weights & more"
    panel.setValue(SegmentationConfig(model=model))
    assert panel.width() <= NARROW
    assert model in panel.summary_label.toolTip()


def tab_chain(qtbot, first, count):
    first.setFocus()
    chain = [first]
    for _ in range(count):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        chain.append(QApplication.focusWidget())
    return chain


def test_tab_walks_the_rows_in_order_and_passes_by_what_is_folded(panel, qtbot):
    panel.set_cached(on_disk())
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    qtbot.waitUntil(lambda: all(line.isVisible() for line in panel.lines))
    form = panel.form
    model, refiner, prompts, resolution = (fold.header for fold in form.folds.folds)
    inside = {
        model: [form.method, form.model.box, form.preset],
        refiner: [form.refiner, form.diffusion.box, form.seed],
        prompts: [form.background.box, form.background.edit, form.templates.box],
        resolution: [form.shorter_side, form.windows.box, form.precision],
    }
    for opened in inside:
        opened.click()
        wanted = [
            *panel.presets.buttons.values(),
            *(line.button for line in panel.lines),
            form.device,
            form.offline,
        ]
        for header, fields in inside.items():
            wanted += [header, *(fields if header is opened else [])]
        assert tab_chain(qtbot, wanted[0], len(wanted) - 1) == wanted


def test_the_page_keeps_its_height_whatever_is_open(panel, qtbot):
    """What is left of 578 pixels below the head and above the foot, while weights are missing."""
    panel.set_cached(on_disk())
    for config in (SegmentationConfig(), SegmentationConfig(model="demo")):
        panel.setValue(config)
        for fold in panel.form.folds.folds:
            fold.set_open(is_open=True)
            qtbot.wait(10)
            assert panel.minimumSizeHint().height() <= 380, fold.header.text()


def test_the_wheel_passes_over_boxes_without_the_focus(panel):
    box = panel.form.method
    panel.form.offline.setFocus()
    middle = QPointF(box.rect().center())
    event = QWheelEvent(
        middle,
        box.mapToGlobal(middle),
        QPoint(0, -120),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, event)
    assert panel.value() == SegmentationConfig()


def test_names_are_as_people_write_them():
    assert plain_name("stable-diffusion-1.5") == "Stable Diffusion 1.5"
    assert plain_name("ViT-B/16") == "ViT-B/16"
    assert plain_name("folder/of/clip.safetensors") == "clip.safetensors"
    assert plain_name("open_clip:ViT-B-16/x/clip.pt") == "open_clip:ViT-B-16/x/clip.pt"


@pytest.mark.one_binding
def test_the_panel_does_not_load_torch():
    module = "napari_cliper.plugin.panels.engine_panel"
    program = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_replaced_configuration_differs_in_one_field_only(panel):
    config = SegmentationConfig(model="demo", background=("a, b",), seed=3)
    panel.setValue(config)
    panel.form.precision.choose("float32")
    assert panel.value() == replace(config, precision="float32")
