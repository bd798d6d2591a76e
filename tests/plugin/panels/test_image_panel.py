"""The panel follows the viewer, keeps what a person chose, and stops when it is closed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_cliper.plugin import ui_text
from napari_cliper.plugin.layers.image_layers import OUTPUT_KEY
from napari_cliper.plugin.panels.image_panel import ImagePanel
from napari_cliper.segmentation import Reduction


@pytest.fixture(params=[False, True], ids=["viewer", "as plugins get it"])
def viewer(request):
    model = ViewerModel()
    return PublicOnlyProxy(model) if request.param else model


@pytest.fixture
def panel(viewer, qtbot):
    widget = ImagePanel(viewer)
    qtbot.addWidget(widget)
    widget.changes = []
    widget.valueChanged.connect(lambda: widget.changes.append(1))
    return widget


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def box(top, left, bottom, right):
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)], dtype=float)


def offered(combo):
    return [combo.itemText(index) for index in range(combo.count())]


def choose(combo, text):
    index = combo.findText(text)
    assert index >= 0, offered(combo)
    combo.setCurrentIndex(index)
    combo.activated.emit(index)  # as a user's choice does, also of what was shown before


# ------------------------------------------------------------------ which image


def test_without_an_image(panel):
    assert panel.value() is None
    assert panel.why_not().startswith("There is no image.")
    assert panel.context.words.text() == "No image"
    for combo in (panel.images, panel.regions):
        assert not combo.isEnabled()
        assert combo.toolTip() == panel.why_not()


def test_the_combo_follows_the_layers(viewer, panel):
    viewer.add_image(pixels(20, 30), name="one")
    assert panel.value().name == "one"
    assert panel.changes
    viewer.add_image(pixels(20, 30, 3), name="two")
    viewer.add_labels(np.zeros((20, 30), np.uint8), name="painted")
    viewer.add_image(np.zeros((5, 5)), name="cat score", metadata={OUTPUT_KEY: {}})
    assert offered(panel.images) == ["two", "one"]
    choose(panel.images, "one")
    viewer.layers["one"].name = "other"
    assert offered(panel.images) == ["two", "other"]
    assert panel.value().name == panel.images.currentText() == "other"
    viewer.layers.move(0, 2)
    assert offered(panel.images) == ["other", "two"]
    assert panel.value().name == panel.images.currentText() == "other"


def test_the_active_image_comes_first(viewer, qtbot):
    for name in ("one", "two", "three"):
        viewer.add_image(pixels(20, 30), name=name)
    labels = viewer.add_labels(np.zeros((20, 30), np.uint8))
    for selected, expected in (
        ([viewer.layers["one"]], "one"),
        ([viewer.layers["two"], labels], "two"),
        ([labels], "three"),
        ([], "three"),
    ):
        viewer.layers.selection = set(selected)
        panel = ImagePanel(viewer)
        qtbot.addWidget(panel)
        assert panel.value().name == panel.images.currentText() == expected


def test_a_choice_is_kept_until_its_layer_is_gone(viewer, panel):
    for name in ("one", "two", "three"):
        viewer.add_image(pixels(20, 30), name=name)
    viewer.layers.selection.active = viewer.layers["one"]
    assert panel.value().name == panel.images.currentText() == "one"
    viewer.add_labels(np.zeros((20, 30), np.uint8))
    assert panel.value().name == "one"
    choose(panel.images, "two")
    viewer.layers.selection.active = viewer.layers["one"]
    viewer.add_image(pixels(20, 30), name="four")
    assert panel.value().name == "two"
    viewer.layers.selection.active = viewer.layers["one"]
    viewer.layers.remove("two")
    assert panel.value().name == panel.images.currentText() == "one"
    viewer.layers.clear()
    assert panel.value() is None
    assert offered(panel.images) == []


def test_a_choice_holds_the_layer_itself(viewer, panel):
    viewer.add_image(pixels(20, 30), name="one")
    choice = panel.value()
    assert type(choice.layer).__module__.startswith("napari.layers")
    assert not isinstance(choice.layer, PublicOnlyProxy)
    assert choice.layer in viewer.layers
    assert choice.key == panel.value().key
    np.testing.assert_array_equal(choice.read(), viewer.layers["one"].data)


# ------------------------------------------------------------------ which plane


def test_planes_are_asked_for_only_in_stacks(viewer, panel):
    viewer.add_image(pixels(20, 30, 3), name="flat", rgb=True)
    panel.show()
    assert panel.planes.isHidden()
    labels = ("t", "z", "y", "x")
    viewer.add_image(pixels(2, 5, 20, 30, 3), name="deep", rgb=True, axis_labels=labels)
    assert not panel.planes.isHidden()
    assert panel._axes.isHidden()
    choose(panel.planes, "chosen plane")
    assert [label.text() for label, _ in panel._spins] == ["t", "z"]
    assert [spin.maximum() for _, spin in panel._spins] == [1, 4]
    assert not panel._axes.isHidden()
    viewer.layers["deep"].axis_labels = ("time", "depth", "y", "x")
    assert [label.text() for label, _ in panel._spins] == ["time", "depth"]
    choose(panel.images, "flat")
    assert panel.planes.isHidden()
    assert panel._axes.isHidden()
    assert panel.value().plane == ()


def test_the_current_plane_follows_the_slider(viewer, panel):
    viewer.add_image(pixels(6, 20, 30), name="deep", scale=(2.5, 1, 1))
    panel.changes.clear()
    for z in (4, 1):
        viewer.dims.set_current_step(0, z)
        assert panel.value().plane == (z,)
        assert panel.context.words.text() == f"20 x 30 px \N{MIDDLE DOT} plane {z}/5"
    assert len(panel.changes) == 2
    before = panel.value()
    viewer.dims.set_current_step(0, 3)
    np.testing.assert_array_equal(before.read(), viewer.layers[0].data[1])


def test_a_chosen_plane_stays(viewer, panel):
    viewer.add_image(pixels(2, 6, 20, 30), name="deep")
    viewer.dims.current_step = (1, 4, 0, 0)
    choose(panel.planes, "chosen plane")
    assert panel.value().plane == (1, 4)  # it begins where the viewer stands
    panel.changes.clear()
    viewer.dims.current_step = (0, 2, 0, 0)
    assert panel.value().plane == (1, 4)
    assert not panel.changes
    panel._spins[1][1].setValue(5)
    assert panel.value().plane == (1, 5)
    assert len(panel.changes) == 1
    viewer.dims.ndisplay = 3
    assert panel.value().plane == (1, 5)


def test_a_3d_view_has_no_current_plane(viewer, panel):
    viewer.add_image(pixels(6, 20, 30), name="deep")
    viewer.dims.ndisplay = 3
    assert panel.value() is None
    assert "no current plane" in panel.why_not()
    assert panel.changes
    viewer.add_image(pixels(20, 30), name="flat")
    choose(panel.images, "flat")  # needs no 2-D view
    assert panel.value().plane == ()
    choose(panel.regions, ui_text.REGIONS["visible"])
    assert "in the 2-D view" in panel.why_not()
    viewer.dims.ndisplay = 2
    assert panel.why_not() == ""


@pytest.mark.parametrize("which", ["current plane", "chosen plane"])
def test_other_data_of_another_shape(viewer, panel, which):
    viewer.add_image(pixels(6, 20, 30), name="changing")
    viewer.add_image(pixels(9, 9, 20, 30), name="other")
    viewer.dims.current_step = (8, 5, 0, 0)
    choose(panel.images, "changing")
    choose(panel.planes, which)
    for shape in ((3, 20, 30), (4, 6, 20, 30), (40, 50), (2, 2, 2, 20, 30), (5, 9, 20, 30)):
        viewer.layers["changing"].data = pixels(*shape)
        viewer.dims.point = (0,) * viewer.dims.ndim
        assert len(panel.value().plane) == len(shape) - 2
        assert panel.value().read().shape == shape[-2:]


# ------------------------------------------------------------------ which part


def test_rectangles_are_offered_where_there_are_any(viewer, panel):
    viewer.add_image(pixels(40, 50), name="one")
    item = panel.regions.model().item(2)
    assert item.text() == "rectangle in a Shapes layer"
    assert not item.isEnabled()
    assert item.toolTip() == ui_text.NO_RECTANGLE
    panel.regions.setCurrentIndex(2)  # such as by a key: it chooses nothing
    assert (panel.regions.currentText(), panel.value().region) == ("whole image", None)
    shapes = viewer.add_shapes(name="drawn", ndim=2)
    shapes.add_ellipses(box(0, 0, 30, 30))
    assert not panel.regions.model().item(2).isEnabled()
    shapes.add_rectangles(box(10, 5, 29, 24))
    assert offered(panel.regions) == [
        "whole image",
        ui_text.REGIONS["visible"],
        "rectangle in drawn",
    ]
    shapes.name = "other"
    choose(panel.regions, "rectangle in other")
    assert panel.value().region == (slice(10, 30), slice(5, 25))
    assert panel.context.words.text() == "20 x 20 of 40 x 50 px"
    np.testing.assert_array_equal(panel.value().read(), viewer.layers[0].data[10:30, 5:25])


def test_the_rectangle_follows_what_is_drawn_selected_and_moved(viewer, panel):
    image = viewer.add_image(pixels(40, 50), name="one")
    shapes = viewer.add_shapes([box(10, 5, 29, 24)], shape_type="rectangle", name="drawn")
    choose(panel.regions, "rectangle in drawn")
    panel.changes.clear()
    shapes.add_rectangles(box(0, 0, 15, 15))
    assert panel.value().region == (slice(0, 16), slice(0, 16))
    shapes.selected_data = {0}
    assert panel.value().region == (slice(10, 30), slice(5, 25))
    image.translate = (2, 2)
    assert panel.value().region == (slice(8, 28), slice(3, 23))
    shapes.translate = (2, 2)
    assert panel.value().region == (slice(10, 30), slice(5, 25))
    assert len(panel.changes) == 4
    image.opacity = 0.5
    viewer.layers.selection.active = image
    assert len(panel.changes) == 4


def test_a_rectangle_that_goes(viewer, panel):
    viewer.add_image(pixels(40, 50), name="one")
    shapes = viewer.add_shapes([box(10, 5, 29, 24)], shape_type="rectangle", name="drawn")
    choose(panel.regions, "rectangle in drawn")
    shapes.selected_data = {0}
    shapes.remove_selected()  # perhaps to draw another
    assert panel.value() is None
    assert "drawn contains no rectangle" in panel.why_not()
    shapes.add_rectangles(box(90, 90, 120, 120))
    assert "lies outside one" in panel.why_not()
    shapes.add_rectangles(box(1, 1, 4, 30))
    assert "4 x 30 pixels; each side needs at least 8" in panel.why_not()
    assert panel.context.words.text() == panel.why_not()
    viewer.layers.remove("drawn")
    assert panel.regions.currentText() == "whole image"
    assert panel.value().region is None


def test_what_is_visible_follows_the_camera(viewer, panel):
    viewer.add_image(pixels(400, 500), name="one")
    choose(panel.regions, ui_text.REGIONS["visible"])
    panel.changes.clear()
    viewer.canvas.size = (300, 600)
    viewer.scene.camera.zoom = 6
    viewer.scene.camera.center = (0, 200, 250)
    assert panel.value().region == (slice(175, 226), slice(200, 301))
    assert len(panel.changes) >= 2
    viewer.scene.camera.center = (0, 9000, 250)
    assert "visible region lies outside one" in panel.why_not()


def test_a_tiny_image(viewer, panel):
    viewer.add_image(pixels(5, 50), name="tiny")
    assert panel.why_not() == "tiny has 5 x 50 pixels; each side needs at least 8."
    assert panel.value() is None


@pytest.mark.parametrize(
    ("shape", "axes", "told"),
    [
        ((60, 80, 12), ("y", "x", "c"), "stack has its axis c last"),
        ((60, 80, 12), ("y", "x", "z"), "stack has its axis z last"),
        ((60, 12, 80), ("y", "time", "x"), "stack has its axis time second to last"),
        ((60, 80, 5), None, "its shape is 60 x 80 x 5. If the last axis has channels"),
    ],
)
def test_planes_that_are_not_last_are_told_with_what_opens_them(viewer, panel, shape, axes, told):
    layer = viewer.add_image(pixels(*shape), name="stack", rgb=False, axis_labels=axes)
    assert panel.value() is None
    assert told in panel.why_not()
    before = panel.why_not()
    panel.choose("visible", current_plane=True)
    assert panel.value() is None
    panel.choose("whole")
    command = before[before.index("viewer.add_image(") :].removesuffix(".")
    eval(command, {"viewer": viewer})
    viewer.layers.remove(layer)
    assert panel.why_not() == ""
    assert panel.value().shape == (60, 80)


# ------------------------------------------------------------------ habits


def test_it_fits_a_narrow_dock(viewer, panel, qtbot):
    viewer.add_image(pixels(2, 6, 20, 30), name="a name of many words " * 5)
    viewer.add_shapes([box(1, 1, 19, 19)], shape_type="rectangle", name="another long name " * 5)
    choose(panel.planes, "chosen plane")
    panel.regions.setCurrentIndex(2)
    assert panel.minimumSizeHint().width() <= 300
    panel.resize(320, 200)
    panel.show()
    qtbot.waitExposed(panel)
    for widget in (panel.images, panel.region_button, panel.context.words):
        assert widget.geometry().right() < 320
    assert panel.planes.window().minimumSizeHint().width() <= 320  # of the menu
    assert "another long name another" in panel.regions.toolTip()
    assert "many words a name" in panel.images.toolTip()


def test_the_keyboard_reaches_everything_in_order(viewer, panel):
    viewer.add_image(pixels(2, 6, 20, 30), name="deep")
    choose(panel.planes, "chosen plane")
    chain, widget = [], panel.planes
    for _ in range(40):
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget not in chain:
            chain.append(widget)
        widget = widget.nextInFocusChain()
    spins = [spin for _, spin in panel._spins]
    expected = [panel.planes, *spins, panel.regions]
    assert [one for one in chain if one in expected] == expected


def callbacks(viewer):
    """How many living callbacks each event has of the viewer and its layers."""
    groups = [
        viewer.layers.events,
        viewer.dims.events,
        viewer.scene.camera.events,
        viewer.canvas.events,
        *(layer.events for layer in viewer.layers),
    ]
    return [
        sum(not isinstance(one, tuple) or one[0]() is not None for one in emitter.callbacks)
        for group in groups
        for emitter in group.emitters.values()
    ]


def filled():
    viewer = ViewerModel()
    viewer.add_image(pixels(6, 40, 50), name="deep")
    viewer.add_image(pixels(40, 50), name="flat")
    viewer.add_shapes([box(1, 1, 19, 19)], shape_type="rectangle")
    return viewer


def use(viewer):
    """What would reach a widget that still listens."""
    viewer.add_image(pixels(30, 30))
    viewer.dims.set_current_step(0, 3)
    viewer.layers[0].name = "renamed"
    viewer.layers.pop()


@pytest.mark.parametrize("how", ["close", "deleteLater", "parent", "forgotten"])
@pytest.mark.usefixtures("qtbot")
def test_nothing_listens_afterwards(how):
    viewer = filled()
    before = callbacks(viewer)
    parent = QWidget() if how == "parent" else None
    panel = ImagePanel(viewer, parent)
    panel.show()
    told = []
    panel.valueChanged.connect(lambda: told.append(1))
    assert sum(callbacks(viewer)) > sum(before) + 20
    if how == "close":
        panel.close()
    elif how == "forgotten":
        gone = weakref.ref(panel)
        del panel
        gc.collect()
        assert gone() is None
    else:
        (parent or panel).deleteLater()
        QApplication.sendPostedEvents(None, 52)  # DeferredDelete
    use(viewer)
    assert callbacks(viewer) == before
    assert not told
    if how == "close":
        panel.show()  # it catches up
        viewer.layers["flat"].name = "again"
        assert "again" in offered(panel.images)
        panel.close()
        panel.deleteLater()


def test_removed_layers_are_let_go(panel, viewer):
    layer = viewer.add_image(pixels(20, 30))
    shapes = viewer.add_shapes([box(1, 1, 19, 19)], shape_type="rectangle")
    panel.regions.setCurrentIndex(2)
    raw = [one for one in viewer.layers]  # noqa: C416 - not the proxies
    gone = [weakref.ref(one) for one in raw]
    assert panel._image is raw[0]
    viewer.layers.clear()
    del layer, shapes, raw
    gc.collect()
    assert panel._image is None
    assert panel.regions.currentText() == "whole image"
    held = [ref() for ref in gone if ref() is not None]
    assert not any(panel in gc.get_referrers(one) for one in held)


def test_two_panels_choose_for_themselves(viewer, panel, qtbot):
    other = ImagePanel(viewer)
    qtbot.addWidget(other)
    viewer.add_image(pixels(20, 30), name="one")
    viewer.add_image(pixels(20, 30), name="two")
    choose(panel.images, "two")
    viewer.layers.selection.active = viewer.layers["one"]
    assert (panel.value().name, other.value().name) == ("two", "one")


@pytest.mark.parametrize("how", ["dock removed", "window closed"])
@pytest.mark.one_binding
def test_in_a_real_window(make_napari_viewer, qtbot, how):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(pixels(6, 200, 300), name="deep")
    before = callbacks(viewer)
    panel = ImagePanel(viewer)
    gone = []
    panel.destroyed.connect(lambda: gone.append(1))
    dock = viewer.window.add_dock_widget(panel, name="panel")
    choose(panel.regions, ui_text.REGIONS["visible"])
    viewer.scene.camera.zoom *= 4
    viewer.scene.camera.center = (0, 100, 150)
    qtbot.waitUntil(lambda: viewer.layers[0].corner_pixels[0, 1] > 0)
    rows, columns = panel.value().region
    corners = viewer.layers[0].corner_pixels
    np.testing.assert_allclose((rows.start, columns.start), corners[0, 1:], atol=1)
    if how == "window closed":
        viewer.close()
    else:
        viewer.window.remove_dock_widget(dock)
        panel.deleteLater()
        qtbot.waitUntil(lambda: bool(gone))
        assert callbacks(viewer) == before
        use(viewer)


def test_the_line_below_the_image_says_size_plane_pixel_size_and_model(viewer, panel):
    scale = (2, 0.25, 0.25)
    viewer.add_image(
        pixels(20, 30, 40), name="stack", scale=scale, units="um", axis_labels=("z", "y", "x")
    )
    viewer.dims.set_current_step(0, 9)
    panel.show_context("demo", None)
    assert panel.context.words.text().split(" \N{MIDDLE DOT} ") == [
        "30 x 40 px", "z 9/19", "0.25 \N{MICRO SIGN}m"
    ]  # fmt: skip
    assert panel.context.model.text() == "demo"
    panel.resize(120, panel.height())
    model = panel.context.model
    assert model.width() > model.fontMetrics().horizontalAdvance(model.text())  # never elided
    viewer.layers["stack"].scale = (2, 0.25, 0.5)
    assert "0.25 \N{MICRO SIGN}m x 0.5 \N{MICRO SIGN}m" in panel.context.words.text()
    panel.show_context("demo", Reduction(2.9))
    # Before the pixel size and the colours, which may not fit.
    assert "z 9/19 \N{MIDDLE DOT} objects \u2265 23 px" in panel.context.words.text()
    panel.context.resize(210, 20)
    panel.show_context("demo", Reduction(2.9))  # what does not fit is in the tooltip
    assert panel.context.words.text() == "30 x 40 px \N{MIDDLE DOT} z 9/19"
    assert "\u2265 23 px" in panel.context.toolTip()
    assert not panel.offer.isVisibleTo(panel)
    panel.show_context("demo", Reduction(24))
    assert panel.offer.isVisibleTo(panel)
    assert "190 px" in panel.warning.text()
    panel.show_context("demo", Reduction(24), offer=False)
    assert not panel.offer.isVisibleTo(panel)
