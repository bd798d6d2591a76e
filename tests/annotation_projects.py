"""Annotations to save in a project, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import skimage.io

from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.annotation.project.project import Project
from napari_cliper.labels.label_class import ClassRow

RNG = np.random.default_rng(0)
CLASSES = {
    1: ClassRow("nucleus", ("cell nucleus",), colour=(1, 2, 255)),
    7: ClassRow("核 / \"quoted\" & 'it'", visible=False, prompt="a photo of {}"),
    300: ClassRow("ground", background=True),
}


def state_of(shape=(12, 15), classes=CLASSES, **record) -> AnnotationState:
    labels = RNG.integers(0, 65536, shape, dtype=np.uint16)
    return AnnotationState(labels, RNG.integers(0, 4, shape, dtype=np.uint8), classes, record)


def picture(path: Path, shape=(12, 15)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    skimage.io.imsave(path, RNG.integers(0, 256, shape, dtype=np.uint8), check_contrast=False)
    return path


def assert_same(found: AnnotationState | None, expected: AnnotationState) -> None:
    assert found is not None
    assert found.labels.dtype == np.uint16
    assert found.edit_mask.dtype == np.uint8
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.edit_mask, expected.edit_mask)
    assert dict(found.classes) == dict(expected.classes)
    assert found.record == expected.record


def arrays_of(project: Project, name: str) -> tuple[Path, Path]:
    """The files of the present save, as its annotation record names them."""
    folder = project.folder / "annotations"
    annotation_record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return folder / annotation_record["labels"], folder / annotation_record["edit_mask"]


def all_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def counted(count, size=40):
    """A state whose labels, edit mask, classes and record all have the same number."""
    digits = [count // 3**i % 3 for i in range(12)]
    return AnnotationState(
        np.full((size, size), count, np.uint16),
        np.resize(np.array(digits, np.uint8), (size, size)),
        {1: ClassRow(f"class {count}")},
        {"count": count},
    )


def check_whole(folder: Path) -> int:
    """The number of the save that is there; labels, edit mask and record are of that one."""
    state = Project.open(folder).load("a")
    assert state is not None
    count = state.record["count"]
    assert_same(state, counted(count, state.labels.shape[0]))
    return count
