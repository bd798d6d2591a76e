"""What is no label file, or a damaged one, is named."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from label_files import ROWS, WRITERS
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_cliper.io.files import FileError
from napari_cliper.io.readers.label_files import read_label_png, read_label_tiff, read_labels
from napari_cliper.io.writers.tiff import write_ome_tiff
from napari_cliper.labels.class_matching import match_classes
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

GREY = np.full((8, 8), 0.5)


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (GREY.astype(np.float32), "float32.*probability map"),
        (np.zeros((8, 8, 3), np.uint8), "has colours.*as numbers"),
        (np.full((8, 8), -1, np.int16), "labels from -1 to -1"),
        (np.full((8, 8), 70000, np.uint32), "labels from 70000 to 70000"),
    ],
)
def test_tiffs_that_are_no_labels_are_refused(tmp_path, array, what):
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(InvalidInputError, match=rf"a\.tif.*{what}"):
        read_label_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_pngs_of_colours_are_refused(tmp_path, mode):
    Image.new(mode, (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match=r"a\.png has colours.*indexed or grey PNG"):
        read_label_png(tmp_path / "a.png")


def test_a_jpeg_by_another_name_is_refused(tmp_path):
    Image.new("L", (3, 3)).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(InvalidInputError, match="has the format JPEG"):
        read_label_png(tmp_path / "a.png")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.1, 0.3, 0.6, 0.9])
def test_a_file_that_ends_early_is_named(tmp_path, name, keep):
    labels = np.random.default_rng(0).integers(0, 250, (300, 300), np.uint8)
    WRITERS[name](tmp_path / name, LabelledImage("a", labels, ROWS))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(FileError, match=name.replace(".", r"\.")):
        read_labels(tmp_path / name)


def test_an_ome_tiff_without_its_last_bytes_has_its_pixels_but_no_names(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_ome_tiff(tmp_path / "a.ome.tif", LabelledImage("a", labels, ROWS))
    (tmp_path / "a.ome.tif").write_bytes((tmp_path / "a.ome.tif").read_bytes()[:-9])
    found = read_label_tiff(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(found.labels, labels)
    assert match_classes(found, ROWS).open == tuple(range(1, 256))


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.json", "a.npy", "a"])
def test_missing_files_and_other_formats_are_named(tmp_path, name):
    what = "does not exist" if name[1:] in (".tif", ".png", ".json") else "can be imported from"
    with pytest.raises(FileError, match=what):
        read_labels(tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="permissions are otherwise there")
def test_a_folder_in_place_of_a_file(tmp_path):
    for name in ("a.tif", "a.png", "a.json"):
        (tmp_path / name).mkdir()
        with pytest.raises(FileError, match="there is a folder of that name"):
            read_labels(tmp_path / name)


@pytest.mark.parametrize(
    "chunk",
    ["{", "[]", '{"classes": [1], "ignore": 255}', '{"classes": [], "ignore": "x"}',
     '{"classes": [{"label": 0, "name": "a"}], "ignore": null}',
     '{"classes": [{"label": 1, "name": " "}], "ignore": null}'],
)  # fmt: skip
def test_a_damaged_list_of_classes_is_named(tmp_path, chunk):
    info = PngInfo()
    info.add_itxt("napari-cliper classes", chunk)
    Image.new("L", (3, 3)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(FileError, match="list of classes in"):
        read_label_png(tmp_path / "a.png")
