"""Memory of an export: that of a few images for many, and that of a few pieces for a slide."""

from __future__ import annotations

import tracemalloc

import numpy as np
import tifffile
from PIL import Image

from napari_cliper.annotation import stored_state
from napari_cliper.annotation.edit_mask import ACCEPTED, OPEN, PAINTED, AnnotationState
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.stored_state import StoredState
from napari_cliper.demo.scenes import KINDS
from napari_cliper.io import export as export_module
from napari_cliper.io import images
from napari_cliper.io.formats import FORMATS
from napari_cliper.io.readers.label_files import read_labels
from napari_cliper.io.tiff_decoding import LazyTiff
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.io.writers.png import write_indexed_png
from napari_cliper.labels import pieces
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage

CLASSES = {number: ClassRow(kind.name) for number, kind in enumerate(KINDS, 1)}


def many_images(folder, count):
    """One image under many names, with its labels in files, in a project and as COCO."""
    picture, labels = np.zeros((250, 300, 3), np.uint8), np.zeros((250, 300), np.uint8)
    labels[50:100, 25:150], labels[150:175, 25:150] = 1, 2
    for kind in ("pictures", "labels"):
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        Image.fromarray(picture).save(folder / "pictures" / f"{index}.png")
        write_indexed_png(
            folder / "labels" / f"{index}.png", LabelledImage(str(index), labels, CLASSES)
        )
    names = [str(index) for index in range(count)]
    project = Project.create(
        folder / "project", [folder / "pictures" / f"{name}.png" for name in names]
    )
    state = AnnotationState(labels.astype(np.uint16), np.full_like(labels, ACCEPTED), CLASSES, {})
    for name in names:
        project.save(name, state, "done")
    write_coco(folder / "set.json", [LabelledImage(name, labels, CLASSES) for name in names])
    label_files = [folder / "labels" / f"{name}.png" for name in names]
    return {"files": label_files, "project": [project.folder], "coco": [folder / "set.json"]}


def test_memory_does_not_grow_with_the_number_of_images(export, tmp_path):
    peaks = {}
    for count in (1, 2, 8):
        for kind, sources in many_images(tmp_path / str(count), count).items():
            out = tmp_path / str(count) / f"{kind} out"
            formats = list(FORMATS) if kind == "project" else ("coco", "yolo")
            options = [option for name in formats for option in ("--format", name)]
            if kind != "project":
                options += ["--images", tmp_path / str(count) / "pictures"]
            if count > 1:  # the first time is for what is loaded once
                tracemalloc.start()
            try:
                result = export(*sources, *options, "--output", out)
                peaks[kind, count] = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert result.exit_code == 0, result.output
            assert len(list((out / "yolo" / "images" / "train").iterdir())) == count
    for kind in ("files", "project", "coco"):
        assert peaks[kind, 8] < 1.2 * peaks[kind, 2], peaks


def test_a_slide_of_a_project_is_read_by_piece(export, tmp_path, monkeypatch):
    shape = (600, 1100)
    path = tmp_path / "slide.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb")
    store = LabelStore(shape)
    store.write((slice(40, 400), slice(500, 700)), np.uint16(1), np.uint8(PAINTED))
    store.write((slice(590, 600), slice(0, 1100)), np.uint16(2), np.uint8(ACCEPTED))
    expected, edit_mask = store.read((slice(0, 600), slice(0, 1100)))
    project = Project.create(tmp_path / "project", [path])
    project.save("slide", StoredState(store, {1: CLASSES[1], 2: CLASSES[2]}))
    monkeypatch.setattr(images, "LAZY_PIXELS", 0)
    monkeypatch.setattr(pieces, "PIECE", 256)
    monkeypatch.setattr("napari_cliper.io.writers.tiff._TILE", 128)
    read = []

    def counted(method):
        def part(self, where):
            found = method(self, where)
            read.append(found.shape[0] * found.shape[1])
            return found

        return part

    for kind, name in (
        (LabelStore, "read_labels"), (LabelStore, "read_edit_mask"), (LazyTiff, "__getitem__")
    ):  # fmt: skip
        monkeypatch.setattr(kind, name, counted(getattr(kind, name)))
    formats = ("--format", "ome-tiff", "--format", "ome-zarr")
    with monkeypatch.context() as little:
        little.setattr(stored_state, "WHOLE_BYTES", 10**15)
        little.setattr(export_module, "EXPORT_BYTES", 10**15)
        result = export(project.folder, *formats)
        assert result.exit_code == 0, result.output
        assert max(read) <= 128 * 1100
        refused = export(project.folder, "--format", "png", "--output", tmp_path / "png")
        assert refused.exit_code == 2
        assert "OME-TIFF" in refused.output
    for name in ("ome-tiff/slide.ome.tif", "ome-zarr/slide.ome.zarr"):
        found = read_labels(tmp_path / "out" / name)
        np.testing.assert_array_equal(found.labels, expected)
        assert found.classes[2].name == CLASSES[2].name
    np.testing.assert_array_equal(
        images.read_image_file(tmp_path / "out" / "ome-zarr" / "slide.ome.zarr"), pixels
    )
    result = export(project.folder, "--format", "png", "--output", tmp_path / "png")
    assert result.exit_code == 0, result.output
    indexed = np.asarray(Image.open(tmp_path / "png" / "slide.png"))
    np.testing.assert_array_equal(indexed, np.where(edit_mask == OPEN, 255, expected))
