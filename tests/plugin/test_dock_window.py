"""The dock in a window: its size, its keys, and a process of its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QDockWidget, QLabel

from napari_cliper.plugin.frame import STEPS
from napari_cliper.plugin.panels.plane_strip import Planes
from napari_cliper.plugin.panels.state_panel import State, StateButton
from napari_cliper.plugin.qt.accordion import Accordion
from napari_cliper.plugin.ui_text import OTHERS_HOW, hints_used, sam_needed
from napari_cliper.segmentation import REGISTRY, Reduction


@pytest.mark.one_binding
def test_opening_the_dock_imports_no_torch():
    code = (
        "import sys\nimport napari_cliper.plugin.dock\n"
        "assert not {'torch', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.one_binding
def test_the_demo_in_a_window_of_its_own(tmp_path):
    """A process that has not loaded torch before OpenGL: Triton and Mesa bring two LLVMs."""
    picture = tmp_path / "window.png"
    command = [sys.executable, "-m", "napari_cliper", "demo", "--screenshot", str(picture)]
    subprocess.run(command, check=True, timeout=300)
    with Image.open(picture) as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(1 << 24)) > 1000


def test_keys_work_from_anywhere_in_the_window(dock, qtbot, monkeypatch):
    window = dock.viewer.window._qt_window
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=10_000)
    started = []
    monkeypatch.setattr(dock.main_job, "start", lambda *_: started.append(True))
    canvas = window._qt_viewer.canvas.native
    dock.frame.go_to("correct")
    for place in (canvas, dock.frame.tabs, dock.classes_panel.field, dock.classes_panel.table):
        if dock.frame.page == "correct" and place not in (canvas, dock.frame.tabs):
            dock.frame.go_to("find")
        place.setFocus()
        started.clear()
        qtbot.keyClick(place, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        assert started, place
    if sys.platform != "darwin":  # there, Alt types characters
        field = dock.classes_panel.field
        field.setFocus()
        qtbot.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.AltModifier)
        assert "no prediction yet" in dock.status_panel.message.text()
        assert field.text() == ""
    started.clear()
    table = dock.classes_panel.table
    cell = dock.classes_panel.model.index(0, 1)
    table.setCurrentIndex(cell)
    table.edit(cell)
    editor = table.indexWidget(cell)
    editor.setText("nucleus")
    qtbot.keyClick(editor, Qt.Key.Key_Enter, Qt.KeyboardModifier.ControlModifier)
    assert started
    assert dock.classes_panel.value()[0].name == "nucleus"


def test_layers_are_removed_in_the_context_of_the_canvas(dock, laptop, qtbot):
    """napari deletes their textures at once; without a context, the next drawing may crash."""
    laptop()
    layers, canvas = dock.viewer.layers, dock.viewer.window._qt_viewer.canvas.native
    qtbot.waitUntil(canvas.isValid, timeout=10_000)
    contexts = []

    def see(_event):
        contexts.append(QOpenGLContext.currentContext())
        canvas.doneCurrent()

    for event in (layers.events.removed, layers.events.end_batch):
        event.connect(see)  # after napari
    parent = dock
    while not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    for floating in (True, False):
        parent.setFloating(floating)
        for remove in (layers.pop, layers.remove_selected, layers.clear):
            for _ in range(2):
                layers.selection.active = dock.viewer.add_image(np.zeros((8, 8)))
            canvas.doneCurrent()
            contexts.clear()
            remove()
            assert contexts, remove
            assert all(one is canvas.context() for one in contexts), (remove, floating)


def test_a_high_window_says_everything_while_more_is_open(dock, run, laptop, settle):
    """A window of a laptop keeps to what fits; in a high one, nothing is left out."""
    run(dock)
    thresholds = dock.threshold_panel
    thresholds.more.set_open(is_open=True)

    def words():
        shown = [label.text() for label in thresholds.findChildren(QLabel) if label.isVisible()]
        return {"more classes", "fewer classes", "larger regions", "smaller regions"} & {*shown}

    laptop(1280, 640)
    assert not words()
    laptop(1280, 800)
    assert len(words()) == 4
    dock.tiles_panel.setValue(40.0)
    dock.tiles_panel.show_costs("12 tiles of 448 px, about 3 min and 1.2 GB on disk.")
    settle(dock)
    assert dock.tiles_panel.costs.isVisible()
    thresholds.class_slider.setValue(thresholds.class_slider.maximum())
    settle(dock)
    assert dock.state_panel.text.text().startswith("Nothing was found. Not above")
    assert dock.frame.current.verticalScrollBar().maximum() == 0
    laptop(1280, 640)
    assert not words()
    assert dock.state_panel.text.text() == "Nothing found."


def test_every_page_fits_a_laptop(dock, run, laptop, qtbot):
    """A window of 1280 x 640 leaves 322 x 575 pixels beside napari's bars."""
    run(dock)
    dock.annotation_controller.accept()
    laptop()
    assert dock.width() == 322
    assert dock.height() < 580
    dock.classes_panel.add_words("yeast, bubble, crystal, nucleus")
    thresholds = dock.threshold_panel

    def settled():
        qtbot.waitUntil(lambda: dock.idle, timeout=60_000)

    def room():
        page = dock.frame.current
        inside, view = page.widget(), page.viewport()
        assert inside.minimumSizeHint().width() <= view.width()
        layout = inside.layout()
        if layout.hasHeightForWidth():
            return view.height() - layout.minimumHeightForWidth(view.width())
        return view.height() - layout.minimumSize().height()

    def check(state, at_least=0):
        """No page scrolls, and if all is shown at once, most of a line of text is left."""
        bar = dock.frame.current.verticalScrollBar()
        fits = lambda: bar.maximum() == 0 and room() >= at_least  # noqa: E731
        try:
            qtbot.waitUntil(fits, timeout=10_000)  # layouts follow in steps
        except qtbot.TimeoutError:
            pytest.fail(f"{state}: {room()} pixels are left")

    def check_all(state, at_least=0):
        for name in (*STEPS, "settings"):
            dock.frame.go_to(name)
            assert dock.frame.page == name
            check((state, name), at_least)
            for accordion in dock.frame.current.findChildren(Accordion):
                for fold in accordion.folds:
                    fold.set_open(is_open=True)
                    check((state, name, fold.header.text()), at_least)
        dock.frame.go_to("find")

    thresholds.more.set_open(is_open=True)
    thresholds.own.click()
    settled()
    check_all("result")
    thresholds.class_slider.setValue(thresholds.class_slider.maximum())
    settled()
    dock.frame.go_to("find")
    assert dock.state_panel.isVisible()
    assert dock.state_panel.text.text() == "Nothing found."  # in one line, while *More* is open
    assert [one.text() for one in dock.state_panel.buttons] == ["Lower threshold", "Click one"]
    for widget in (dock.state_panel.text, *dock.state_panel.buttons):
        assert widget.sizeHint().width() <= widget.width(), widget.text()
    thresholds.more.set_open(is_open=False)
    assert dock.state_panel.text.text().startswith("Nothing was found. Not above")
    thresholds.more.set_open(is_open=True)

    # All that can be said at once is on the screen, whatever comes first.
    dock.project_panel.line.setVisible(True)
    dock.viewer.layers.remove(dock.annotation_controller.all[0].layer)
    dock.image_panel.strip.setValue(Planes("z", ("open", "predicted", "decided"), 1))
    dock.axes_panel.ask("3 planes are:", "", "ZTC")
    hints = hints_used(clicked=3, painted=1200, left_out=["cell", "hair"], follows=False)
    dock.corrections_panel.show_state(hints)
    needed = State(sam_needed(REGISTRY["sam2.1-hiera-tiny"]), (StateButton("Download", list),) * 2)
    dock.panels["objects"].object_state.show_state(needed)
    dock.panels["objects"].show_hint(OTHERS_HOW, warning=True)
    settled()
    assert dock.offers_panel.isVisible()
    assert not dock.axes_panel.isVisible()  # it comes next
    warned = dock.image_panel.offer
    foot = dock.status_panel.height()
    for state in ("tiles", "warning", "warning and job"):
        tiled = state == "tiles"
        dock.tiles_panel.setValue(40.0 if tiled else None)
        settled()
        dock.tiles_panel.show_costs("12 tiles of 448 px, about 3 min and 1.2 GB on disk. " * 2)
        if not tiled:  # the warning offers tiles
            dock.image_panel.show_context("demo", Reduction(24))
        assert warned.isVisible() != tiled
        thresholds.offer_planes(several=True)
        thresholds.set_working(working=True)
        for is_open in (True, False):
            thresholds.more.set_open(is_open=is_open)
            assert dock.state_panel.isVisible()
            check((state, is_open), at_least=12)
        if "job" in state:
            dock.status_panel.begin()
            dock.corrections_panel.show_object(needed)
        assert dock.status_panel.height() == foot
        check_all(state, at_least=12)
    assert dock.status_panel.cancel_button.isVisible()
    dock.status_panel.end("")
    dock.offers_panel.hide()
    assert dock.axes_panel.isVisible()
    dock.classes_panel.field.setText("nucleus=nuclei, nucleus, yeast")
    dock.classes_panel.add_button.click()
    assert dock.classes_panel.message.isVisible()
    assert not dock.state_panel.isVisible()
    check_all("a word that is refused", at_least=12)
    assert dock.frame.minimumSizeHint().width() == 322
