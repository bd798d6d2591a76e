"""A disk that fills up, or is read-only, is named as such, and nothing is left."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from full_disk import small_files

from napari_cliper.io.files import FileError, whole_files
from napari_cliper.io.writers.measurements import write_measurements
from napari_cliper.io.writers.npz import write_npz
from napari_cliper.io.writers.ome_zarr import write_ome_zarr
from napari_cliper.io.writers.png import write_indexed_png, write_plain_png
from napari_cliper.io.writers.tiff import write_label_tiff, write_ome_tiff
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage

resource = pytest.importorskip("resource")

WRITERS = [
    write_label_tiff, write_ome_tiff, write_indexed_png, write_plain_png, write_npz,
    write_ome_zarr, write_measurements,
]  # fmt: skip
LABELS = np.random.default_rng(0).integers(0, 254, (72, 80), np.uint8)  # more than 4 KiB


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_a_write_that_fails_says_why_and_leaves_nothing(tmp_path, writer):
    labels = LABELS[:16] if writer is write_measurements else LABELS  # a row for each pixel
    image = LabelledImage("a", labels, {1: ClassRow("one")})
    with (
        small_files(),
        pytest.raises(FileError, match="Cannot write") as failed,
        whole_files(tmp_path) as folder,
    ):
        writer(folder / "a", image)
    assert failed.value.__cause__.errno in (errno.EFBIG, errno.ENOSPC)
    assert list(tmp_path.glob("[!.]*")) == []


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_a_folder_that_is_gone_is_an_error_of_files(tmp_path, writer):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        writer(tmp_path / "file" / "a", LabelledImage("a", LABELS[:8, :8], {}))


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_arrays_that_are_read_only_are_written(tmp_path, writer):
    labels = LABELS[:8, :8].copy()
    labels.flags.writeable = False
    image = LabelledImage("a", labels, {1: ClassRow("one")}, image=labels)
    writer(tmp_path / "a", image)
    assert (tmp_path / "a").exists()
