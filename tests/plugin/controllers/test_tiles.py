"""Runs in tiles from the window: offered, measured, estimated, stopped and continued."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin import tile_costs, ui_text
from napari_cliper.plugin.layers import image_layers
from napari_cliper.segmentation import (
    InvalidInputError,
    OutOfMemoryError,
    SegmentationConfig,
    Segmenter,
    TileMemory,
    Tiles,
)
from napari_cliper.segmentation.image_reader import ImageReader

LARGE = make_scene((700, 700), 1_000_003, unit=256).image


@pytest.fixture
def large(dock):
    """A dock with an image that is reduced more than three times."""
    dock.viewer.add_image(LARGE, name="large")
    dock.engine_panel.setValue(SegmentationConfig(model="demo", refiner="none", device="cpu"))
    return dock


@pytest.fixture
def passes(monkeypatch):
    """The number of tiles that the image network has encoded."""
    seen = []
    features = ImageReader.features

    def counted(self, *given):
        seen.append(1)
        return features(self, *given)

    monkeypatch.setattr(ImageReader, "features", counted)
    return seen


def buttons(panel):
    return {button.text(): button for button in panel.buttons}


def costs(dock, qtbot):
    qtbot.waitUntil(lambda: dock.tiles.idle, timeout=60_000)
    return dock.tiles_panel.costs.text()


def test_a_large_image_offers_tiles_which_run_by_one_click(large, laptop, qtbot):
    laptop()
    dock, images = large, large.image_panel
    assert images.offer.isVisible()
    assert "25 px" in images.warning.text()
    images.tiles_button.click()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    config = dock.shown.config
    assert config.tiles == Tiles(264)
    assert not images.offer.isVisible()
    assert "\u2265 9 px" in images.context.words.text()
    segmenter = Segmenter(config, tile_store=TileMemory())
    expected = segmenter.score(segmenter.embed(LARGE), dock.shown.outcome.scores.classes)
    np.testing.assert_array_equal(dock.result.seen().labels, expected.to_labels())
    assert "16 tiles:" in costs(dock, qtbot)
    assert "disk" not in costs(dock, qtbot)  # all of them are in the cache now
    assert dock.frame.current.verticalScrollBar().maximum() == 0
    page = dock.frame.current
    assert page.widget().minimumSizeHint().width() <= page.viewport().width()
    dock.tiles_panel.size.setValue(40)
    assert "25 tiles:" in costs(dock, qtbot)
    dock.tiles_panel.off.click()
    assert dock.engine_panel.value().tiles is None
    assert images.offer.isVisible()
    assert not dock.tiles_panel.isVisible()


@pytest.mark.one_binding
def test_a_stopped_run_keeps_its_tiles_and_the_next_one_goes_on(large, qtbot, user_cache, passes):
    dock = large
    dock.tiles.turn_on()

    stages = set()

    def stop(progress):
        stages.add(progress.stage)
        if progress.stage == "Encoding the tiles" and progress.done == 5:
            dock.cancel()

    dock.main_job.progressed.connect(stop)
    dock.run()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert "tiles that are done are kept" in dock.status_panel.message.text()
    assert dock.shown is None
    kept = len(list(user_cache.rglob("*.zarr.zip")))
    assert 5 <= kept < 16
    assert not {stage for stage in stages if "layers" in stage}  # the bar counts tiles only
    dock.main_job.progressed.disconnect(stop)
    passes.clear()
    dock.run()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(passes) == 16 - kept
    assert dock.shown is not None


@pytest.mark.one_binding
def test_nothing_is_written_to_disk_on_request(large, qtbot, user_cache):
    large.session.tiles_on_disk = False
    large.tiles.turn_on()
    large.run()
    qtbot.waitUntil(lambda: large.job is None, timeout=60_000)
    assert large.shown is not None
    assert not list(user_cache.rglob("*.zarr.zip"))
    assert "disk" not in large.tiles_panel.costs.text()


@pytest.mark.one_binding
def test_a_long_run_waits_for_consent_and_one_without_room_is_refused(
    large, qtbot, monkeypatch, passes
):
    dock = large
    monkeypatch.setattr(tile_costs, "LONG_RUN", 0)
    dock.run_controller.run_with_tiles()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(passes) == 2  # the tile that was timed
    assert "16 tiles:" in dock.status_panel.message.text()
    assert "memory" in dock.status_panel.message.text()
    buttons(dock.status_panel)["Start"].click()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert dock.shown is not None
    part = LARGE[:320, :320]
    dock.viewer.add_image(np.stack([part, part[::-1]]), name="stack", rgb=True)
    dock.image_panel.images.setCurrentText("stack")
    dock.all_planes.run(0)
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert dock.status_panel.message.text().startswith("This takes long. 2 planes, 8 tiles: ")
    assert not dock.result.kept.planes_of(dock.viewer.layers["stack"])
    buttons(dock.status_panel)["Start"].click()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert dock.status_panel.message.text().startswith("2 planes run")
    dock.image_panel.images.setCurrentText("large")
    little = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=2_000_000))
    monkeypatch.setattr(tile_costs, "psutil", little)
    dock.tiles_panel.size.setValue(50)
    dock.run()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert "GB of memory are free" in dock.status_panel.message.text()


def drag(layer, start, end):
    """Drag the mouse over a layer, in data coordinates."""
    steps = (
        (mouse_press_callbacks, "mouse_press", start),
        (mouse_move_callbacks, "mouse_move", end),
        (mouse_release_callbacks, "mouse_release", end),
    )
    for send, kind, place in steps:
        event = SimpleNamespace(
            type=kind, position=place, pos=place, is_dragging=kind == "mouse_move",
            modifiers=(), button=1, view_direction=None, up_direction=None,
            dims_displayed=[0, 1], dims_point=[0, 0],
        )  # fmt: skip
        send(layer, ReadOnlyWrapper(event))


@pytest.mark.one_binding
def test_the_size_is_measured_on_one_object(large, qtbot):
    dock, viewer, panel = large, large.viewer, large.tiles_panel
    dock.tiles.turn_on()
    before = list(viewer.layers)
    panel.measure.click()
    box = viewer.layers.selection.active
    assert box.mode == "add_rectangle"
    drag(box, (100, 100), (130, 130))
    qtbot.waitUntil(lambda: not panel.measure.isChecked(), timeout=10_000)
    assert panel.value() == pytest.approx(30, abs=1), dock.status_panel.message.text()
    assert list(viewer.layers) == before
    panel.measure.click()
    panel.measure.click()  # stops without a box
    assert list(viewer.layers) == before
    square = np.array([[10, 10], [10, 90], [30, 90], [30, 10]], float)
    shapes = viewer.add_shapes([square], shape_type="ellipse", name="ring")
    viewer.layers.selection.active = shapes
    shapes.selected_data = {0}
    panel.measure.click()
    assert panel.value() == pytest.approx(40, abs=1)  # the side of a square of the same area
    annotation = dock.annotation_controller.begin(viewer.layers["large"], "large")
    viewer.layers.selection.active = annotation.layer
    annotation.layer.selected_label = 1
    annotation.layer.brush_size = 5
    for column in range(200, 225, 5):
        annotation.layer.paint((300, column), 1)
    qtbot.waitUntil(lambda: annotation.edits.edit_mask.any(), timeout=10_000)
    panel.measure.click()
    qtbot.waitUntil(lambda: panel.value() == pytest.approx(25, abs=2), timeout=10_000)
    assert dock.engine_panel.value().tiles.side == pytest.approx(25 * 4.4, abs=9)


class Slide:
    """An array of 20,000 x 20,000 pixels that repeats a scene; counts the pixels that are read."""

    def __init__(self, step):
        self._scene = LARGE[: 640 // step * step : step, : 640 // step * step : step]
        self.shape = (20_000 // step, 20_000 // step, 3)
        self.dtype, self.ndim = np.dtype(np.uint8), 3
        self.read = 0

    def __getitem__(self, index):
        rows, columns = (
            np.arange(*part.indices(n)) for part, n in zip(index[:2], self.shape[:2], strict=True)
        )
        self.read += len(rows) * len(columns)
        return self._scene[np.ix_(rows % len(self._scene), columns % len(self._scene))]


@pytest.mark.one_binding
def test_of_a_slide_only_the_visible_part_is_read(dock, qtbot, monkeypatch):
    levels = [Slide(step) for step in (1, 2, 4, 8, 16, 32)]
    arrays = [da.from_array(one, chunks=(512, 512, 3), asarray=False) for one in levels]
    viewer = dock.viewer
    viewer.layers.clear()
    viewer.add_image(arrays, multiscale=True, rgb=True, name="slide")
    dock.engine_panel.setValue(SegmentationConfig(model="demo", refiner="none", device="cpu"))
    free = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=4_000_000_000))
    monkeypatch.setattr(image_layers, "psutil", free)
    dock.run()
    assert dock.job is None
    assert "20000 x 20000" in dock.status_panel.message.text()
    assert "4.0 GB" in dock.status_panel.message.text()
    viewer.scene.camera.center = (0, 9000, 9000)
    viewer.scene.camera.zoom = min(viewer.canvas.viewbox_size(viewer.layers)) / 600
    qtbot.wait(50)
    for one in levels:
        one.read = 0
    buttons(dock.status_panel)["Visible part"].click()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    region = dock.shown.choice.region
    assert all(400 < part.stop - part.start < 2000 for part in region)
    labels = dock.result.seen().labels
    assert labels.shape == tuple(part.stop - part.start for part in region)
    assert labels.any()
    assert 0 < levels[0].read < 50 * labels.size
    dock.annotation_controller.accept()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)  # it learns from what was accepted
    (annotation,) = dock.annotation_controller.all
    assert annotation.layer.data.shape == (4096, 4096)  # a window of it
    np.testing.assert_array_equal(annotation.edits.labels[region] > 0, labels > 0)
    square = np.array([[5000, 5000], [5000, 6499], [6499, 6499], [6499, 5000]], float)
    viewer.add_shapes([square], shape_type="rectangle", name="square")
    dock.image_panel.choose(dock.image_panel.rectangles()[0])
    dock.tiles_panel.size.setValue(400)  # a coarser level has all that is needed
    costs(dock, qtbot)
    levels[0].read = 0
    dock.run()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert dock.result.seen().labels.shape == (1500, 1500)
    # Once for corrections, once with borders and a sample for prototypes; the tiles need less.
    assert levels[0].read < 3 * 1536 * 1536
    free.virtual_memory = lambda: SimpleNamespace(available=1_000)
    viewer.add_image(np.zeros((2, 40, 50), np.uint8), name="stack")
    with pytest.raises(InvalidInputError, match="annotation of stack"):
        dock.annotation_controller.begin(viewer.layers["stack"], "stack")


@pytest.mark.one_binding
def test_what_is_visible_is_labelled_first_and_again_when_all_tiles_are_in(large, qtbot, passes):
    dock, camera = large, large.viewer.scene.camera
    config = replace(dock.engine_panel.value(), tiles=Tiles(64, overlap=16))
    dock.engine_panel.setValue(config)
    name, seen = ui_text.provisional_layer("large"), []

    def look(_progress):
        if name in dock.viewer.layers and not seen:
            layer = dock.viewer.layers[name]
            seen.append((layer.data.copy(), layer.extent.world))
            dock.cancel()

    use, tiles = dock.session.use, []

    def counted(*given):
        before = len(passes)
        found = use(*given)
        tiles.append(len(passes) - before)
        return found

    dock.session.use = counted
    dock.main_job.progressed.connect(look)
    for zoom, most in ((8.0, 12), (0.2, 1)):
        camera.zoom, camera.center = zoom, (0, 300, 400)
        half = np.array(dock.viewer.canvas.viewbox_size(dock.viewer.layers)) / zoom / 2
        passes.clear()
        seen.clear()
        dock.run_controller.run(agreed=True)
        qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
        ((labels, extent),) = seen
        assert tiles[-1] <= most
        assert name not in dock.viewer.layers
        assert labels.any()
        middle = np.array([300, 400])
        corners = np.clip([middle - half, middle + half], -0.5, 699.5)
        np.testing.assert_allclose(extent, corners, atol=1.5)
    dock.main_job.progressed.disconnect(look)
    assert any(tiles)

    def too_large(*_given):
        raise OutOfMemoryError("too large")

    choice, asked = dock.image_panel.value(), dock.requests.of_run()[2]
    dock.session.use = too_large
    first = dock.provisional.first(choice, (), asked)
    first(lambda _progress: None, lambda: False)  # the run itself goes on
    dock.image_panel.choose("visible", current_plane=True)
    assert dock.provisional.first(dock.image_panel.value(), (), dock.requests.of_run()[2]) is None
