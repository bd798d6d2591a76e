"""The dock in a real viewer, with the real engine and the demo model."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import pytest
from napari import settings
from napari._qt.qt_main_window import _QtMainWindow
from napari._qt.widgets.qt_welcome import QtWelcomeWidget
from napari._vispy import canvas
from napari.settings import NapariSettings
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication
from small_sams import save_onnx

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin import preferences
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.pytorch_loading import load_pytorch
from napari_cliper.plugin.worker import running_jobs
from napari_cliper.segmentation import SegmentationConfig

SCENE = make_scene((96, 128), 1_000_008)
ENGINE = SegmentationConfig(model="demo", device="cpu")


@pytest.fixture(autouse=True)
def user_data(tmp_path, monkeypatch):
    """A folder of the test's own for what docks save by themselves, of child processes too."""
    folder = tmp_path / "user data"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: folder / name)
    return folder / "napari-cliper"


@pytest.fixture(autouse=True)
def _own_preferences(tmp_path, monkeypatch):
    """Preferences of the test's own, not those of whoever runs the tests."""
    settings._clear_plugin_settings_cache()
    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    yield
    settings._clear_plugin_settings_cache()


@pytest.fixture(scope="session", autouse=True)
def _settings_of_napari():
    """napari's own settings lie in no file: each viewer would write them five times."""
    settings.get_settings().config_path = None


@pytest.fixture(scope="session", autouse=True)
def _networks():
    """The networks of the demo model are loaded once: docks share them with this segmenter.

    So PyTorch is there before the first dock, too, whose job to load it cannot be stopped midway.
    """
    load_pytorch()
    from napari_cliper.segmentation import Segmenter  # noqa: PLC0415 - PyTorch must come first

    segmenter = Segmenter(ENGINE)
    segmenter.load()
    yield
    segmenter.unload()


@pytest.fixture(autouse=True)
def _little_garbage():
    """Set aside what tests have imported: napari collects garbage for each removed layer."""
    if len(gc.get_objects()) > 20_000:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _manifests():
    """Read the manifests of the installed plugins once; napari reads them twice for each viewer."""
    found = list(PluginManifest.discover())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManifest, "discover", lambda paths=(): iter(found))
        yield


@pytest.fixture(scope="session", autouse=True)
def _light_windows():
    """Windows without what costs napari a quarter of the time of opening one, and shows nothing.

    Its filter asks of every event of the program whether a hidden menu bar should appear. The
    welcome screen, which viewers of tests do not have, is written anew for each of 90 shortcuts.
    Before and after each viewer all settings are made again, although no test has changed one.
    """

    def refresh(_welcome, _event=None):
        pass

    settings_of_napari, reset = settings.get_settings(), NapariSettings.reset
    reset(settings_of_napari)
    as_made = settings_of_napari.model_dump()

    def reset_what_changed(self):
        if self.model_dump() != as_made:
            reset(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(_QtMainWindow, "eventFilter")
        patch.setattr(QtWelcomeWidget, "refresh", refresh)
        patch.setattr(NapariSettings, "reset", reset_what_changed)
        yield


@pytest.fixture
def colour_sam(tmp_path):
    """A model for outlines, chosen in the preferences: it follows the colour of a click."""
    folder = save_onnx(tmp_path / "colour sam", side=128, cells=64)
    preferences.write(sam=str(folder))
    return folder


@pytest.fixture
def dock(make_napari_viewer, qtbot, monkeypatch):
    """A dock beside a scene, its words typed, ready to run; leaks fail the test."""
    viewer = make_napari_viewer()
    before = {id(widget) for widget in QApplication.topLevelWidgets()}
    widget = CliperWidget(viewer)
    viewer.window.add_dock_widget(widget, name="CLIPer segmentation")
    viewer.add_image(SCENE.image, name="scene")
    widget.engine_panel.setValue(ENGINE)
    qtbot.waitUntil(lambda: widget.weights.idle, timeout=20_000)
    widget.classes_panel.add_words("pollen grain, red blood cell, bacterium, fibre")
    yield widget
    widget.close_down()
    assert all(job.stopping for job in running_jobs())  # the dock leaves none that it forgot
    qtbot.waitUntil(lambda: not running_jobs(), timeout=20_000)
    assert not viewer.layers.events.removed.callbacks or all(
        "Predictions" not in str(callback) for callback in viewer.layers.events.removed.callbacks
    )
    leaked = [
        w
        for w in QApplication.topLevelWidgets()
        if id(w) not in before and w.isVisible() and w is not viewer.window._qt_window
    ]
    assert not leaked
    # The window ends with its layers: no garbage need be looked for before they are gone.
    monkeypatch.setattr(canvas, "gc", SimpleNamespace(collect=lambda: None))


@pytest.fixture
def laptop(dock, qtbot):
    """Show the window as small as any that is supported, with layouts as a person sees them."""

    def show(width=1280, height=640):
        window = dock.viewer.window._qt_window
        window.resize(width, height)
        window.show()
        qtbot.waitUntil(
            lambda: (window.width(), window.height()) == (width, height), timeout=10_000
        )
        qtbot.wait(100)  # layouts follow in several steps

    return show


@pytest.fixture
def run(qtbot):
    """Press Run and wait for the end."""

    def press(dock):
        qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)
        dock.run()
        assert dock.job is not None, dock.status_panel.message.text()
        qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)

    return press


@pytest.fixture
def settle(qtbot):
    """Wait until prediction and uncertainty are up to date with all hints."""

    def still(dock):
        return dock.result.idle and dock.correction_controller.idle

    def for_good(dock):
        if not still(dock):
            return False
        qtbot.wait(15)  # a stroke is told of a little later
        return still(dock)

    def wait(dock):
        qtbot.waitUntil(lambda: for_good(dock), timeout=60_000)

    return wait
