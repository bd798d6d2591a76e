"""Which files napari opens with this plugin's reader."""

import pytest
from npe2 import PluginManager

from napari_cliper.plugin.napari_version import check_napari

pytestmark = pytest.mark.one_binding


def test_the_reader_claims_project_files_alone(tmp_path):
    manager = PluginManager()
    manager.discover()

    def requested(path):
        return {reader.plugin_name for reader in manager.iter_compatible_readers(path)}

    for name in ("a.png", "a.tif", "a.ome.zarr", "a.zarr", "a.csv", "a.json", "folder"):
        path = tmp_path / name
        path.mkdir() if "." not in name or name.endswith("zarr") else path.touch()
        assert "napari-cliper" not in requested(str(path)), name
    project = tmp_path / "project.cliper.json"
    project.touch()
    (tmp_path / "folder" / project.name).touch()
    assert "napari-cliper" not in requested(str(tmp_path / "folder"))
    assert "napari-cliper" in requested(str(project))


def test_an_old_napari_is_named_with_the_way_to_upgrade(monkeypatch):
    check_napari()
    monkeypatch.setattr("napari_cliper.plugin.napari_version.version", lambda name: "0.8.3rc1")
    with pytest.raises(RuntimeError, match=r'napari 0.8.3rc1 is .*pip install.*"napari>=0.9"'):
        check_napari()
