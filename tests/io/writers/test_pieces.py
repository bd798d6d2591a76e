"""Files that are written piece by piece equal those of whole arrays."""

from __future__ import annotations

import numpy as np
import tifffile
import zarr

from napari_cliper.io.export import export_images, export_notes
from napari_cliper.io.formats import FORMATS
from napari_cliper.labels import pieces
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.labels.pieces import Pieces

RNG = np.random.default_rng(0)


def in_pieces(array, seen):
    def read(rows, columns):
        seen.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return array[rows, columns]

    return Pieces(read, array.shape, array.dtype)


def content(path):
    if path.is_dir():
        group = zarr.open_group(path, mode="r")
        arrays = {name: one[...] for name, one in group.members(max_depth=None)
                  if isinstance(one, zarr.Array)}  # fmt: skip
        return arrays, dict(group.attrs)
    with tifffile.TiffFile(path) as file:
        return {"": file.asarray()}, file.ome_metadata.split("MapAnnotation")[1:]


def test_pieces_make_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 256)
    monkeypatch.setattr("napari_cliper.io.writers.tiff._TILE", 128)
    for shape in ((301, 597, 3), (301, 597)):
        image = RNG.integers(0, 255, shape, np.uint8)
        labels = RNG.integers(0, 4, shape[:2], np.uint8)
        whole = LabelledImage("slide", labels, {1: ClassRow("nucleus")}, image=image)
        seen = []
        lazy = LabelledImage(
            "slide", in_pieces(labels, seen), whole.classes, image=in_pieces(image, seen)
        )
        for name in (name for name, one in FORMATS.items() if one.pieces):
            folder = tmp_path / f"{name}{len(shape)}"
            (first,) = export_images(folder / "a", [whole], [name])
            (second,) = export_images(folder / "b", [lazy], [name])
            expected, found = content(first), content(second)
            assert expected[1] == found[1]
            assert expected[0].keys() == found[0].keys()
            for key, array in expected[0].items():
                np.testing.assert_array_equal(found[0][key], array)
            assert export_notes(whole, [name]) == export_notes(lazy, [name])
        assert max(seen) < labels.size / 2
