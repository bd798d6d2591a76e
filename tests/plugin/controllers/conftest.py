"""Docks that have a result, or a project."""

from __future__ import annotations

import pytest
from PIL import Image as Picture
from project_actions import loaded

from napari_cliper.demo.scenes import make_scene

SHAPE = (96, 128)


@pytest.fixture
def result(dock, run):
    """The dock after a run."""
    run(dock)
    return dock


@pytest.fixture
def pictures(tmp_path):
    """Three scenes as PNG files."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        scene = make_scene(SHAPE, 1_000_008 + index)
        Picture.fromarray(scene.image).save(folder / f"scene {index + 1}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def project(dock, pictures, tmp_path, qtbot):
    """The dock with a project of three images, at the first."""
    dock.viewer.layers.clear()
    dock.project_controller.create(tmp_path / "project", pictures)
    loaded(dock, qtbot, "scene 1")
    return dock
