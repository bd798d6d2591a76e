"""An export of many images needs no more memory than one of a few."""

from __future__ import annotations

import tracemalloc

import numpy as np
from PIL import Image

from napari_cliper.annotation.edit_mask import ACCEPTED, AnnotationState
from napari_cliper.annotation.project.project import Project
from napari_cliper.demo.scenes import KINDS
from napari_cliper.io.formats import FORMATS
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.io.writers.png import write_indexed_png
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
    for count in (1, 2, 8):  # the first time is for what is loaded once
        for kind, sources in many_images(tmp_path / str(count), count).items():
            out = tmp_path / str(count) / f"{kind} out"
            formats = list(FORMATS) if kind == "project" else ("coco", "yolo")
            options = [option for name in formats for option in ("--format", name)]
            if kind != "project":
                options += ["--images", tmp_path / str(count) / "pictures"]
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
