"""Files of version 0.1, written before keys were renamed, still open and hold the same."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from napari_cliper.annotation.project.project import Project
from napari_cliper.io.class_list import read_classes
from napari_cliper.io.prototype_file import read_prototypes

OLD = Path(__file__).parent / "old_files"


@pytest.fixture
def project(tmp_path):
    return Project.open(copytree(OLD / "project", tmp_path / "project"))


def test_an_old_project_opens_with_all_that_was_saved(project):
    expected = np.load(OLD / "expected.npz")
    assert [image.name for image in project.images] == ["scene", "copied stack"]
    assert [image.status for image in project.images] == ["started", "done"]
    assert project.current.name == "scene"
    for name, prefix in (("scene", ""), ("copied stack", "stack_")):
        state = project.load(name)
        np.testing.assert_array_equal(state.labels, expected[f"{prefix}labels"])
        np.testing.assert_array_equal(state.edit_mask, expected[f"{prefix}edit_mask"])
        assert set(np.unique(state.edit_mask)) >= {0, 2}
        assert project.read_image(name).shape[: state.labels.ndim] == state.labels.shape
    scene = project.load("scene")
    assert 1 in scene.edit_mask
    assert [scene.classes[label].name for label in (1, 2)] == ["nucleus", "pollen grain"]
    assert scene.record["clicks"] == {"nucleus": [[10.0, 20.0]], "background": [[50.0, 60.0]]}
    np.testing.assert_array_equal(
        project.read_image("copied stack"), np.arange(240).reshape(2, 10, 12)
    )


def test_old_settings_keep_their_values(project):
    settings = project.settings()
    assert settings.prototype_weight == 0.3
    assert settings.thresholds.per_class == {"nucleus": 0.25}
    assert (settings.thresholds.class_threshold, settings.thresholds.background_threshold) == (
        0.4,
        0.6,
    )
    assert settings.config.refiner == "none"
    assert settings.config.preset == "coco-object"
    assert [row.name for row in settings.classes] == ["nucleus", "pollen grain", "dirt"]
    assert len(settings.prototypes) == 9


def test_an_old_annotation_is_saved_under_the_new_names(project):
    state = project.load("scene")
    project.save("scene", state, "done")
    again = Project.open(project.folder)
    loaded = again.load("scene")
    np.testing.assert_array_equal(loaded.labels, state.labels)
    np.testing.assert_array_equal(loaded.edit_mask, state.edit_mask)
    names = [path.name for path in (project.folder / "annotations").glob("scene.*.tif")]
    assert len(names) == 2  # those of the old save are gone
    assert sum(name.endswith("_edit_mask.tif") for name in names) == 1


def test_old_prototypes_and_class_lists_are_read():
    prototypes = read_prototypes(OLD / "learnt.prototypes.safetensors")
    assert len(prototypes) == 9
    assert prototypes.images_of("nucleus") == 1
    rows = read_classes(OLD / "classes.yaml")
    assert rows == read_classes(OLD / "classes.json")
    assert rows[2].background
    assert rows[2].synonyms == ("dust", "debris")
    assert [row.name for row in read_classes(OLD / "classes.txt")] == ["nucleus", "pollen grain"]
