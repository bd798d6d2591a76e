"""Preferences: the manifest and the code agree, and values come back in the next session."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from napari.settings import _clear_plugin_settings_cache, get_plugin_settings
from npe2 import PluginManifest

import napari_cliper
from napari_cliper.plugin import preferences
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.preferences import PLUGIN, Preferences
from napari_cliper.segmentation import SegmentationConfig

MANIFEST = Path(napari_cliper.__file__).with_name("napari.yaml")


@pytest.fixture
def registered(request, npe2pm):
    """napari knows the plugin, and keeps its preferences in a folder of the test."""
    request.getfixturevalue("plugin_settings")
    npe2pm.register(PluginManifest.from_file(MANIFEST))


@pytest.mark.usefixtures("registered")
def test_the_manifest_declares_the_defaults():
    assert preferences.read() == Preferences()
    groups = get_plugin_settings(PLUGIN).model_dump(exclude={"config_path", "schema_version"})
    declared = {name for group in groups.values() for name in group}
    assert declared == set(Preferences.__dataclass_fields__)
    assert preferences.read().config == SegmentationConfig()


@pytest.mark.usefixtures("registered")
def test_values_are_there_in_the_next_session():
    changed = Preferences(
        model="demo",
        refiner="none",
        device="cpu",
        offline=True,
        cache_gigabytes=0.5,
        tile_cache=False,
        scheduler="tcp://here:8786",
        folder="/exports/here",
        purposes=("training", "fiji"),
        left_out=("coco",),
        overwrite=True,
        validation=20,
    )
    preferences.write(**vars(changed))
    _clear_plugin_settings_cache()  # as in another process: read from the file
    assert preferences.read() == changed
    assert preferences.read().config == SegmentationConfig(
        model="demo", refiner="none", device="cpu", offline=True
    )
    assert preferences.read().cache_bytes == 500_000_000
    preferences.write(device="cuda:1")
    _clear_plugin_settings_cache()
    written = yaml.safe_load(get_plugin_settings(PLUGIN).config_path.read_text())
    assert written["engine"]["device"] == "cuda:1"
    assert written["export"] == {
        "folder": "/exports/here",
        "purposes": "training, fiji",
        "left_out": "coco",
        "overwrite": True,
        "validation": 20,
    }


@pytest.mark.usefixtures("registered")
def test_values_that_cannot_work_give_way_to_the_defaults(caplog):
    preferences.write(model="ViT-B/61", device="cpu")
    assert preferences.read().config == SegmentationConfig()
    assert "ViT-B/61" in caplog.text


@pytest.mark.usefixtures("plugin_settings")
def test_without_a_registered_plugin_nothing_is_remembered(tmp_path):
    preferences.write(model="demo")
    assert preferences.read() == Preferences()
    assert list(tmp_path.rglob("*.yaml")) == []


@pytest.mark.usefixtures("registered")
@pytest.mark.one_binding
def test_the_dock_starts_with_them_and_writes_a_persons_changes_back(make_napari_viewer, qtbot):
    preferences.write(model="demo", device="cpu", cache_gigabytes=0.5)
    dock = CliperWidget(make_napari_viewer())
    qtbot.addWidget(dock)
    assert dock.engine_panel.value() == SegmentationConfig(model="demo", device="cpu")
    assert dock.session.capacity == 500_000_000
    assert dock.panels["memory"].capacity.value() == 0.5

    dock.engine_panel.setValue(SegmentationConfig(device="mps"))  # as a project does
    qtbot.wait(600)
    assert preferences.read().device == "cpu"

    dock.engine_panel.presets.buttons["fast"].click()
    dock.engine_panel.form.device.setEditText("cuda:1")
    dock.panels["memory"].capacity.setValue(3)
    dock.close_down()
    assert preferences.read() == Preferences(
        refiner="pamr", device="cuda:1", cache_gigabytes=3, model="ViT-B/16"
    )
