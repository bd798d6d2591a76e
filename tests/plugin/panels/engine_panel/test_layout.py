"""The engine panel in a narrow dock, and its keyboard."""

from __future__ import annotations

import subprocess
import sys

import pytest
from engine_panel_actions import CONFIGS, choose, on_disk, reveal
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_cliper.plugin import ui_text
from napari_cliper.plugin.ui_text import plain_name
from napari_cliper.segmentation import SegmentationConfig

NARROW = 308  # what is left of 320 pixels between the dock's margins


def labels(panel):
    """The wrapping lines that should be seen."""
    known = [panel.known_label] if panel.value().model == "demo" else []
    return known + [line.text for line in panel.lines]


def whole(label):
    return label.isVisible() and label.height() >= label.heightForWidth(label.width())


@pytest.mark.parametrize("config", [CONFIGS[0], *CONFIGS[-12:]])
@pytest.mark.one_binding
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
            # layouts follow in several steps
            qtbot.waitUntil(lambda: panel.minimumSizeHint().height() <= 380, timeout=10_000)


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
