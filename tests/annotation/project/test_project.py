"""Annotation projects: what is kept comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.io
import tifffile
import torch
import zarr
from annotation_projects import (
    CLASSES,
    RNG,
    all_files,
    arrays_of,
    assert_same,
    picture,
    state_of,
)
from full_disk import small_files
from PIL import Image

from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.annotation.export import labelled_of
from napari_cliper.annotation.project.annotation_store import ChangedOnDiskError
from napari_cliper.annotation.project.project import Project
from napari_cliper.io.class_list import read_classes
from napari_cliper.io.files import FileError
from napari_cliper.io.tiff_decoding import LazyTiff
from napari_cliper.io.writers.tiff import CLASSES_NAMESPACE
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import (
    InvalidInputError,
    Prototype,
    Prototypes,
    SegmentationConfig,
    Thresholds,
)


@pytest.mark.parametrize(
    "shape",
    [(12, 15), (1, 1), (1, 9), (9, 1), (3, 5, 6), (3, 5, 3), (1, 5, 6), (2, 3, 4, 5),
     (2, 1, 4, 1), (2, 3, 4, 5, 6), (1, 1, 3, 5, 6), (2, 1, 3, 2, 4, 5)],
)  # fmt: skip
def test_every_pixel_comes_back(project, shape):
    state = state_of(shape, model="demo", seed=3, scores={"nucleus": 0.5}, file="核.tif")
    project.save("a", state, "done")
    again = Project.open(project.folder)
    assert_same(again.load("a"), state)
    assert [image.status for image in again.images] == ["done", "open", "open"]
    assert again.load("b") is None


def test_the_highest_label_has_a_class(project):
    state = state_of(classes={65535: ClassRow("last")})
    project.save("a", state)
    assert_same(Project.open(project.folder).load("a"), state)


def test_an_annotation_of_nothing_comes_back(project):
    nothing = AnnotationState(np.zeros((4, 5), np.uint16), np.zeros((4, 5), np.uint8), {})
    project.save("a", nothing)
    assert_same(project.load("a"), nothing)


def test_arrays_that_are_views_or_read_only_are_saved(project):
    labels = np.arange(200, dtype=np.uint16).reshape(10, 20)[::2, ::-1]
    labels.flags.writeable = False
    state = AnnotationState(labels, np.asfortranarray(np.ones((5, 20), np.uint8)), CLASSES)
    project.save("a", state)
    assert_same(project.load("a"), state)


def test_other_programs_read_the_arrays(project):
    state = state_of()
    project.save("a", state)
    for path, expected in zip(
        arrays_of(project, "a"), (state.labels, state.edit_mask), strict=True
    ):
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), expected)
        np.testing.assert_array_equal(skimage.io.imread(path), expected)
    with tifffile.TiffFile(arrays_of(project, "a")[0]) as file:
        maps = tifffile.xml2dict(file.ome_metadata)["OME"]["StructuredAnnotations"]
    names = next(one for one in maps["MapAnnotation"] if one["Namespace"] == CLASSES_NAMESPACE)
    told = {str(one["K"]): one["value"] for one in names["Value"]["M"]}
    assert told["1"] == "nucleus"
    assert told["7"] == CLASSES[7].name


def test_what_a_save_leaves_is_what_is_needed(project):
    for _ in range(3):
        project.save("a", state_of())
        project.save("b", state_of())
    files = all_files(project.folder)
    assert len(files) == 8  # the list, the folder, and a record and two arrays of each
    assert {path.name for path in arrays_of(project, "a")} <= {Path(name).name for name in files}


def test_thresholds_are_kept_with_the_image(project):
    used = Thresholds(0.25, 0.5, min_max=True, per_class={"核 / x": 0.125})
    project.save("a", state_of(), thresholds=used)
    again = Project.open(project.folder)
    assert again.thresholds("a") == used
    assert again.thresholds("b") is None
    again.set_status("a", "done")
    assert again.thresholds("a") == used


def test_settings_go_along(project):
    rows = tuple(CLASSES.values())
    thresholds = Thresholds(0.1, 0.2, per_class={"nucleus": 0.75})
    config = SegmentationConfig(model="demo", templates=("a {}",), background=("sky",), window=224)
    project.save_settings(rows, thresholds, config)
    found = Project.open(project.folder).settings()
    assert found.classes == rows == read_classes(project.folder / "classes.yaml")
    assert (found.thresholds, found.config) == (thresholds, config)
    project.save_settings((), thresholds, config)
    assert Project.open(project.folder).settings().classes == ()


def test_a_project_begins_beside_files_of_others(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    theirs = {
        "classes.yaml": b"names: [0, 1]\n", "Settings.json": b"{", "prototypes.safetensors": b"x",
        "project classes.yaml": b"also theirs",
    }  # fmt: skip
    for name, content in theirs.items():
        (folder / name).write_bytes(content)
    project = Project.create(folder, [picture(tmp_path / "a.png")])
    assert project.settings().classes == ()
    for _ in range(2):
        save_prototypes(project, prototype_fusion("nucleus"))
        project = Project.open(folder)
        found = project.settings()
        assert [row.name for row in found.classes] == ["nucleus"]
        assert found.prototypes is not None
    save_prototypes(project, None)
    assert Project.open(folder).settings().prototypes is None
    assert {name: (folder / name).read_bytes() for name in theirs} == theirs


def prototype_fusion(*names: str) -> Prototypes:
    items = []
    for name in names:
        vector = RNG.normal(size=4).astype(np.float32)
        picture = RNG.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        vector /= np.linalg.norm(vector)
        items.append(Prototype(name, torch.from_numpy(vector), 3, ("a", "核"), picture))
    return Prototypes("demo", "weights of demo", tuple(items))


def save_prototypes(project: Project, prototypes: Prototypes | None, **more) -> None:
    options = [ClassRow("nucleus")], Thresholds(0, 0), SegmentationConfig(model="demo")
    project.save_settings(*options, prototypes=prototypes, **more)


def test_what_classes_look_like_goes_along(project):
    prototypes = prototype_fusion("nucleus", "核", "")
    save_prototypes(project, prototypes, prototype_weight=0.25)
    again = Project.open(project.folder)
    found = again.settings()
    assert found.prototype_weight == 0.25
    assert (found.prototypes.model, found.prototypes.identity) == ("demo", "weights of demo")
    for one, expected in zip(found.prototypes.items, prototypes.items, strict=True):
        assert (one.name, one.patches, one.sources) == (
            expected.name, expected.patches, expected.sources
        )  # fmt: skip
        np.testing.assert_array_equal(one.vector.numpy(), expected.vector.numpy())
        np.testing.assert_array_equal(one.thumbnail, expected.thumbnail)
    file = project.folder / "prototypes.safetensors"
    written = file.stat().st_mtime_ns
    save_prototypes(again, found.prototypes)  # the same ones are not written again
    assert file.stat().st_mtime_ns == written
    assert Project.open(project.folder).settings().prototype_weight is None
    fewer = found.prototypes.without(found.prototypes.items[0])
    save_prototypes(again, fewer)
    assert len(Project.open(project.folder).settings().prototypes) == 2
    save_prototypes(again, None)
    assert not file.exists()
    assert Project.open(project.folder).settings().prototypes is None


def test_a_project_without_prototypes_can_be_read_by_older_versions(project):
    save_prototypes(project, None)
    record = json.loads((project.folder / "settings.json").read_text(encoding="utf-8"))
    assert set(record) == {"thresholds", "config"}
    found = Project.open(project.folder).settings()
    assert (found.prototypes, found.prototype_weight) == (None, None)


def test_damaged_prototypes_are_named(project):
    save_prototypes(project, prototype_fusion("nucleus"))
    file = project.folder / "prototypes.safetensors"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(FileError, match=r"prototypes\.safetensors"):
        Project.open(project.folder).settings()


@pytest.mark.parametrize("ours", [("ours",), ()], ids=["other ones", "none"])
def test_prototypes_of_another_program_are_not_replaced_without_asking(project, ours):
    save_prototypes(project, prototype_fusion("ours"))
    save_prototypes(Project.open(project.folder), prototype_fusion("theirs"), overwrite=True)
    mine = prototype_fusion(*ours) if ours else None
    with pytest.raises(ChangedOnDiskError, match="saved by another program"):
        save_prototypes(project, mine)
    (found,) = Project.open(project.folder).settings().prototypes.items
    assert found.name == "theirs"
    save_prototypes(project, mine, overwrite=True)
    found = Project.open(project.folder).settings().prototypes
    assert [one.name for one in (found.items if found else ())] == list(ours)


def test_prototypes_on_a_full_disk_keep_the_last_ones(project):
    save_prototypes(project, prototype_fusion("kept"))
    before = all_files(project.folder)
    with small_files(), pytest.raises(FileError, match="Cannot write"):
        save_prototypes(project, prototype_fusion(*"abcdef"))
    assert all_files(project.folder) == before
    (found,) = Project.open(project.folder).settings().prototypes.items
    assert found.name == "kept"


def test_another_order_is_kept(project, tmp_path):
    project.save("b", state_of(), "done")
    other = Project.open(project.folder)
    other.add_files([picture(tmp_path / "images" / "d.png")])
    found = project.reorder(["c", "a", "b"])
    assert [image.name for image in found] == ["c", "a", "b", "d"]
    assert [image.name for image in Project.open(project.folder).images] == ["c", "a", "b", "d"]
    assert project.image("b").status == "done"
    for wrong, message in ((["c", "c"], "'c' is there twice"), (["x"], "no image named 'x'")):
        with pytest.raises(InvalidInputError, match=message):
            project.reorder(wrong)
    assert [image.name for image in project.images] == ["c", "a", "b", "d"]


def test_a_new_project_has_the_defaults_of_the_engine(project):
    found = project.settings()
    published = SegmentationConfig().settings()
    assert found.classes == ()
    assert found.config == SegmentationConfig()
    assert found.thresholds.class_threshold == published.class_threshold
    assert found.thresholds.background_threshold == published.background_threshold


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"config": {"modell": "demo"}}', r"'modell'.*Did you mean 'model'"),
        ('{"config": {"seed": "5"}}', r"seed is '5'"),
        ('{"config": {"model": "ViT-B/17"}}', r"ViT-B/16"),
        ('{"thresholds": {"class_threshold": NaN, "background_threshold": 0}}', r"is nan"),
        ('{"thresholds": {"class_threshold": 1}}', r"background_threshold"),
        ('{"config": []', r"not JSON"),
        ("[]", r"it is \[\]\. Give a mapping"),
        ('{"prototype_weight": 1.5}', r"prototype_weight is 1\.5"),
        ('{"prototype_weight": "much"}', r"prototype_weight is 'much'"),
    ],
)
def test_settings_that_make_no_sense_are_named(project, content, named):
    (project.folder / "settings.json").write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=rf"settings\.json.*{named}"):
        project.settings()


def test_large_images_are_read_by_plane_as_they_are_read_whole(tmp_path, monkeypatch):
    stack = np.arange(2 * 3 * 9 * 8, dtype=np.uint16).reshape(2, 3, 9, 8)
    colours = np.arange(2 * 9 * 8 * 3, dtype=np.uint8).reshape(2, 9, 8, 3)
    tifffile.imwrite(tmp_path / "file.tif", stack[:1], photometric="minisblack")
    project = Project.create(tmp_path / "project", [tmp_path / "file.tif"])
    project.add_image("copy", stack[:, :1], axes="TZYX")
    project.add_image("colours", colours[:, None], rgb=True)
    expected = {one.name: project.open_image(one.name) for one in project.images}
    monkeypatch.setattr("napari_cliper.io.images.LAZY_PIXELS", 50)
    for name, (whole, axes) in expected.items():
        lazy, found = project.open_image(name)
        assert isinstance(lazy, LazyTiff)
        assert (found, lazy.shape, lazy.dtype) == (axes, whole.shape, whole.dtype)
        for index in (..., (), 0, -1, (0, 0), (slice(None), 0, slice(2, 5))):
            np.testing.assert_array_equal(lazy[index], whole[index])
        np.testing.assert_array_equal(np.asarray(lazy), whole)


def test_axes_stay_with_images_and_annotations(tmp_path):
    series = np.zeros((3, 1, 9, 8), np.uint8)
    tifffile.imwrite(tmp_path / "series.tif", series[:, 0], imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "project", [tmp_path / "series.tif"])
    project.add_image("copy", series, axes="TZYX")
    project.add_image("unnamed", series)
    project = Project.open(project.folder)
    for name, axes in (("series", "TYX"), ("copy", "TZYX"), ("unnamed", "QQYX")):
        pixels, found = project.open_image(name)
        assert (found, pixels.ndim) == (axes, len(axes))
    for axes, shape in (
        ("TZYX", (3, 2, 9, 8)), ("ZTYX", (3, 2, 9, 8)), ("ZTYX", (3, 3, 9, 8)),
        ("TZYX", (3, 1, 9, 8)), ("TCYX", (1, 2, 9, 8)), ("", (3, 2, 9, 8)),
    ):  # fmt: skip
        other = Project.create(tmp_path / f"{axes} {shape}")
        other.add_image("a", np.zeros(shape, np.uint8), axes=axes)
        labels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
        edit_mask = np.ones(shape, np.uint8)
        geometry = {"geometry": {"axes": axes}} if axes else {}  # as old projects have none
        other.save("a", AnnotationState(labels, edit_mask, {}, geometry))
        state = Project.open(other.folder).load("a")
        np.testing.assert_array_equal(state.labels, labels)
        assert labelled_of(state, "a", None).axes == (axes or "QQYX")
        (folder,) = (other.folder / "annotations").glob("*.zarr")
        names = zarr.open_array(folder, mode="r").metadata.dimension_names
        assert names[1:] == (tuple(axes.lower()) or (None, None, "y", "x"))
