"""Small files that decode to far more than their size: refused, or decoded as far as needed."""

from __future__ import annotations

import lzma
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import psutil
import pytest
import tifffile
from resident_memory import most_resident_during

from napari_cliper.io.files import FileError
from napari_cliper.io.images import read_image_file
from napari_cliper.io.readers.label_files import read_label_tiff
from napari_cliper.io.writers.ome_zarr import write_ome_zarr
from napari_cliper.labels.labelled_image import LabelledImage

SIDE = 64
BLOCK = 200 * 2**20
"""Bytes that the only strip decodes to, of an image of 64 x 64 pixels."""


def tiff(path: Path, compression: int, data: bytes) -> Path:
    tags = {256: SIDE, 257: SIDE, 258: 8, 259: compression, 262: 1, 273: 0, 277: 1, 278: SIDE}
    tags[279] = len(data)
    tags[273] = 8 + 2 + 12 * len(tags) + 4  # where the strip starts
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    path.write_bytes(head + entries + struct.pack("<I", 0) + data)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_strip_is_decoded_no_further_than_its_pixels(tmp_path):
    zeros = bytes(BLOCK)
    frames = imagecodecs.zstd_encode(bytes(2**16)) * (BLOCK // 2**16)
    files = [
        tiff(tmp_path / "lzma.tif", 34925, lzma.compress(zeros, preset=0)),
        tiff(tmp_path / "deflate.tif", 8, zlib.compress(zeros, 1)),
        tiff(tmp_path / "zstd.tif", 50000, imagecodecs.zstd_encode(zeros)),
        tiff(tmp_path / "frames.tif", 50000, frames),
        tiff(tmp_path / "lzw.tif", 5, imagecodecs.lzw_encode(zeros)),
        tiff(tmp_path / "packbits.tif", 32773, b"\x81\0" * (BLOCK // 128)),
    ]
    del zeros
    for read in (read_image_file, read_label_tiff):
        for path in files:
            assert path.stat().st_size < BLOCK // 30
            with most_resident_during() as most:
                try:
                    read(path)
                except FileError as error:
                    assert "is damaged" in str(error)  # noqa: PT017 - or it gives the pixels
            assert most.added < BLOCK // 4, path.name


def test_pixels_that_do_not_fit_into_memory_are_refused_before_they_are_decoded(
    tmp_path, monkeypatch
):
    labels = np.zeros((300, 400), np.uint8)
    labels[5:9] = 1
    tifffile.imwrite(tmp_path / "a.tif", labels, compression="lzma")
    write_ome_zarr(tmp_path / "a.ome.zarr", LabelledImage("a", labels, {}, image=labels))
    free = labels.nbytes
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    for name in ("a.tif", "a.ome.zarr"):
        assert read_image_file(tmp_path / name).shape == labels.shape
    free -= 1
    for name in ("a.tif", "a.ome.zarr"):
        with pytest.raises(FileError, match=rf"{name} needs more memory than is available\. Crop"):
            read_image_file(tmp_path / name)
