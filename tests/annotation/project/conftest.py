"""A project to work on."""

from __future__ import annotations

import pytest
from annotation_projects import picture

from napari_cliper.annotation.project.project import Project


@pytest.fixture
def project(tmp_path) -> Project:
    images = [picture(tmp_path / "images" / f"{name}.png") for name in "abc"]
    return Project.create(tmp_path / "project", images)
