"""Other programs' label files are read as they mean it."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cliper.io.readers.label_files import read_label_png, read_label_tiff, read_labels
from napari_cliper.labels.class_matching import match_classes
from napari_cliper.labels.label_class import ClassRow


def test_the_axes_of_other_programs_files_are_read(tmp_path):
    labels = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    path = tmp_path / "a.tif"
    for options, axes in (
        ({"imagej": True, "metadata": {"axes": "TZYX"}}, "TZYX"),
        ({"imagej": True, "metadata": {"axes": "TCYX"}}, "TCYX"),
        ({"ome": True, "metadata": {"axes": "TZYX"}}, "TZYX"),
        ({"metadata": {"axes": "ZTYX"}}, "ZTYX"),
        ({"photometric": "minisblack"}, "QQYX"),
        ({"photometric": "minisblack", "metadata": None}, "QYX"),  # pages one after the other
    ):
        tifffile.imwrite(path, labels, **{"photometric": "minisblack", **options})
        found = read_labels(path)
        assert found.axes == axes, options
        np.testing.assert_array_equal(found.labels.ravel(), labels.ravel())


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("palette", [False, True])
def test_pngs_of_few_bits_hold_their_numbers(tmp_path, bits, palette):
    labels = np.arange(2**bits, dtype=np.uint8).reshape(1, -1).repeat(3, axis=0)
    if palette:
        picture = Image.fromarray(labels)
        picture.putpalette([7] * 3 * 2**bits)
        picture.save(tmp_path / "a.png", bits=bits)
    elif bits == 1:
        Image.fromarray(labels.astype(bool)).save(tmp_path / "a.png")
    else:
        # Pillow does not write greys of few bits: an indexed file without its palette is one.
        picture = Image.fromarray(labels)
        picture.putpalette([7] * 3 * 2**bits)
        picture.save(tmp_path / "p.png", bits=bits)
        (tmp_path / "a.png").write_bytes(as_grey((tmp_path / "p.png").read_bytes()))
    assert read_label_png(tmp_path / "a.png").labels.tolist() == labels.tolist()


def as_grey(png):
    """An indexed PNG as a grey one: another type of colour, no palette."""
    chunks, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            data = data[:9] + b"\0" + data[10:]
        if kind != b"PLTE":
            check = zlib.crc32(kind + data).to_bytes(4, "big")
            chunks.append(len(data).to_bytes(4, "big") + kind + data + check)
        at += length + 12
    return png[:8] + b"".join(chunks)


def test_a_mask_of_pascal_voc(tmp_path):
    indices = np.array([[0, 15, 255]], np.uint8)
    picture = Image.fromarray(indices)
    table = np.zeros((256, 3), np.uint8)
    table[15], table[255] = (192, 128, 128), (224, 224, 192)
    picture.putpalette(table.tobytes())
    picture.save(tmp_path / "voc.png")
    found = read_label_png(tmp_path / "voc.png")
    assert found.labels.tolist() == [[0, 15, 0]]
    assert found.ignored.tolist() == [[False, False, True]]
    assert dict(found.colours) == {15: (192, 128, 128)}
    assert match_classes(found, {15: ClassRow("person")}).unknown == (15,)


@pytest.mark.parametrize("dtype", [bool, np.int16, np.int32, np.uint32, np.int64])
def test_whole_numbers_of_any_kind_are_labels(tmp_path, dtype):
    labels = np.array([[0, 1], [1, 0]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(np.uint8) if dtype is bool else labels)
    found = read_label_tiff(tmp_path / "a.tif").labels
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, labels)


def test_lines_of_a_microscope_are_no_classes(tmp_path):
    labels = np.array([[0, 1]], np.uint8)
    for info in ("1 = cell\nBitsPerPixel = 8", "Objective = 63x", "1 = "):
        tifffile.imwrite(tmp_path / "a.tif", labels, imagej=True, metadata={"Info": info})
        assert dict(read_label_tiff(tmp_path / "a.tif").classes) == {}


def test_annotations_of_others_in_ome_xml_are_no_classes(tmp_path):
    note = {"Namespace": "openmicroscopy.org/omero/bulk_annotations", "Value": {"1": "well"}}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", np.ones((2, 2), np.uint8), metadata={"MapAnnotation": note}
    )
    assert dict(read_label_tiff(tmp_path / "a.ome.tif").classes) == {}
