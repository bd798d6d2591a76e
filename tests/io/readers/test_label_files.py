"""Labels from files of this and other programs, and what their classes are called here."""

from __future__ import annotations

import json
import os
import zlib

import numpy as np
import pytest
import tifffile
from label_maps import HARD
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pycocotools import mask as coco_masks

from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.files import FileError
from napari_cliper.io.readers.coco import open_coco, read_coco
from napari_cliper.io.readers.label_files import (
    read_label_png,
    read_label_tiff,
    read_labels,
)
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.io.writers.png import write_indexed_png, write_plain_png
from napari_cliper.io.writers.tiff import write_label_tiff, write_ome_tiff
from napari_cliper.labels.class_matching import apply, match_classes
from napari_cliper.labels.imported_labels import Imported, fitted
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

ROWS = {
    1: ClassRow('cell / "nucleus" = <b>', ("Zellkern",), colour=(10, 20, 30)),
    2: ClassRow("細胞 é 🧫"),
    3: ClassRow("12", colour=(255, 255, 255)),
    200: ClassRow("1 = 2", visible=False, prompt="a {}"),
}
TIFFS = {"a.tif": write_label_tiff, "a.ome.tif": write_ome_tiff}
PNGS = {"indexed.png": write_indexed_png, "plain.png": write_plain_png}
WRITERS = {**TIFFS, **PNGS}


def written(tmp_path, name, image):
    WRITERS[name](tmp_path / name, image)
    return read_labels(tmp_path / name)


# ---------------------------------------------------------------------- our own files


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        pytest.param(name, labels, id=f"{name}-{kind}")
        for name in WRITERS
        for kind, labels in HARD.items()
        if name != "indexed.png" or labels.max() <= 254  # an indexed PNG ends there
    ],
)
def test_labels_come_back(tmp_path, name, labels):
    found = written(tmp_path, name, LabelledImage("a", labels, {}))
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == (np.uint16 if labels.max() > 255 else np.uint8)
    assert dict(found.classes) == {}
    assert found.ignored is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", WRITERS)
def test_names_and_colours_come_back(tmp_path, name, dtype):
    labels = np.array([[0, 1, 2], [3, 7, 200]], dtype)
    image = LabelledImage("a", labels, ROWS)
    found = written(tmp_path, name, image)
    assert {label: row.name for label, row in found.classes.items()} == {
        label: row.name for label, row in ROWS.items()
    }
    assert {label: row.colour for label, row in found.classes.items()} == image.colours
    assert {label: found.colours[label] for label in ROWS} == image.colours
    if name in PNGS:  # the text chunk holds all there is
        assert found.classes[1].synonyms == ("Zellkern",)
        assert found.classes[200].prompt == "a {}"
        assert not found.classes[200].visible


@pytest.mark.parametrize("name", TIFFS)
def test_stacks_come_back_with_their_axes(tmp_path, name):
    micro = "micrometer"
    for axes, shape in (
        ("TYX", (3, 4, 5)), ("ZYX", (3, 4, 5)), ("TZYX", (2, 3, 4, 5)), ("ZTYX", (2, 3, 4, 5)),
        ("CZYX", (2, 3, 4, 5)), ("TZCYX", (2, 1, 3, 4, 5)), ("TZYX", (1, 3, 4, 5)),
        ("ZTYX", (1, 1, 7, 1)), ("TYX", (1, 1, 1)), ("QYX", (3, 4, 5)), ("QQYX", (3, 1, 4, 5)),
        ("YX", (4, 5)), ("QTYX", (3, 3, 4, 5)),
    ):  # fmt: skip
        labels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        sizes = {"T": 2.0, "Z": 0.75, "C": 1.0, "Q": 1.0, "Y": 0.25, "X": 0.5}
        units = {"T": "second", "Z": micro, "C": "pixel", "Q": "pixel", "Y": micro, "X": micro}
        image = LabelledImage(
            "a", labels, ROWS, axes=axes,
            pixel_size=tuple(sizes[one] for one in axes), units=tuple(units[one] for one in axes),
        )  # fmt: skip
        found = written(tmp_path, name, image)
        assert found.axes == axes
        np.testing.assert_array_equal(found.labels, labels)
        for axis, letter in enumerate(axes):
            if shape[axis] > 1 or letter in "YXT":
                assert found.pixel_size[axis] == pytest.approx(sizes[letter]), (axes, letter)
                assert found.units[axis] == units[letter], (axes, letter)


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


@pytest.mark.parametrize("name", PNGS)
def test_a_plane_comes_back_with_its_place(tmp_path, name):
    stack = LabelledImage("a", np.zeros((3, 2, 4, 5), np.uint8), ROWS, axes="TZYX")
    for plane in stack.planes():
        assert written(tmp_path, name, plane).position == plane.position


@pytest.mark.parametrize("name", PNGS)
def test_undecided_pixels_come_back(tmp_path, name):
    labels = np.array([[1, 2, 0], [1, 2, 0]], np.uint8)
    ignored = np.array([[True, False, True], [False, False, False]])
    found = written(tmp_path, name, LabelledImage("a", labels, ROWS, ignored=ignored))
    np.testing.assert_array_equal(found.ignored, ignored)
    np.testing.assert_array_equal(found.labels, np.where(ignored, 0, labels))


def test_coco_comes_back(tmp_path, subtests):
    for options in [{}, {"segmentation": "rle"}, {"kind": "stuff"}]:
        for name, labels in HARD.items():
            with subtests.test(options=options, labels=name):
                images = [LabelledImage("a", labels, ROWS, image_file="plate 1/a.tif"),
                          LabelledImage("b", np.ones((2, 2), np.uint8), ROWS)]  # fmt: skip
                write_coco(tmp_path / "set.json", images, **options)
                assert open_coco(tmp_path / "set.json").names == ("plate 1/a.tif", "b")
                for name in ("plate 1/a.tif", "a.tif", "a"):
                    found = read_coco(tmp_path / "set.json", name)
                    np.testing.assert_array_equal(found.labels, labels)
                for label, row in ROWS.items():
                    assert found.classes[label].name == row.name
                    assert found.classes[label].colour == images[0].colours[label]
                assert dict(found.renumbered) == {}


# ---------------------------------------------------------------------- other programs' files


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


# ---------------------------------------------------------------------- COCO of other programs


def coco_file(tmp_path, annotations, categories=((1, "cell"), (2, "fibre")), size=(6, 8), **image):
    record = {
        "images": [{"id": 5, "file_name": "a.png", "height": size[0], "width": size[1], **image}],
        "annotations": [
            {"id": number, "image_id": 5, "category_id": category, "segmentation": segmentation}
            for number, (category, segmentation) in enumerate(annotations, 10)
        ],
        "categories": [{"id": number, "name": name} for number, name in categories],
    }
    path = tmp_path / "set.json"
    path.write_text(json.dumps(record))
    return path


def box(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def code_of(mask, *, compressed):
    code = coco_masks.encode(np.asfortranarray(mask, np.uint8))
    if compressed:
        return {"size": code["size"], "counts": code["counts"].decode()}
    flat = np.concatenate([[0], mask.T.ravel(), [0]]).astype(int)
    bounds = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], bounds, [mask.size]])).tolist()
    return {"size": list(mask.shape), "counts": counts}


@pytest.mark.parametrize("compressed", [False, True])
def test_codes_are_read_as_pycocotools_writes_them(tmp_path, compressed):
    masks = [HARD[name] == 1 for name in HARD] + [make_scene((96, 128), seed=1).labels > 0]
    for mask in masks:
        path = coco_file(tmp_path, [(1, code_of(mask, compressed=compressed))], size=mask.shape)
        np.testing.assert_array_equal(read_coco(path).labels, mask)


def test_polygons_are_read_as_pycocotools_draws_them(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(20):
        rings = [rng.uniform(-3, 40, 2 * count).round(2).tolist() for count in (3, 5, 9)]
        path = coco_file(tmp_path, [(1, [*rings, [1, 1, 2, 2]])], size=(30, 35))
        expected = coco_masks.area(coco_masks.merge(coco_masks.frPyObjects(rings, 30, 35)))
        labels = read_coco(path).labels
        assert labels.sum() == expected
        code = coco_masks.merge(coco_masks.frPyObjects(rings, 30, 35))
        assert coco_masks.encode(np.asfortranarray(labels))["counts"] == code["counts"]


def test_smaller_ones_lie_on_top_and_later_ones_of_one_size(tmp_path):
    small, large, moved = box(2, 2, 2, 2), box(0, 0, 6, 5), box(3, 2, 2, 2)
    labels = read_coco(coco_file(tmp_path, [(1, small), (2, large)])).labels
    assert (labels == 1).sum() == 4
    assert (labels == 2).sum() == 26
    for categories in ((1, 2), (2, 1)):
        path = coco_file(tmp_path, list(zip(categories, (small, moved), strict=True)))
        assert read_coco(path).labels[2, 2:5].tolist() == [categories[0], *[categories[1]] * 2]


def test_ids_that_are_no_labels_take_free_ones_and_say_so(tmp_path):
    annotations = [(0, box(0, 0, 1, 1)), (7, box(1, 0, 1, 1)), (90000, box(2, 0, 1, 1))]
    path = coco_file(tmp_path, annotations, [(0, "cell"), (7, "fibre"), (90000, "wall")])
    found = read_coco(path)
    assert found.labels[0, :3].tolist() == [8, 7, 9]
    assert dict(found.renumbered) == {0: 8, 90000: 9}
    assert {label: row.name for label, row in found.classes.items()} == {
        7: "fibre", 8: "cell", 9: "wall",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ([], "no segmentation"),
        (None, "no segmentation"),
        ([[1, 1, 2, 2, 3]], "not a list of x, y"),
        ([[1, 1, 2, "x", 3, 3]], "cannot be drawn"),
        ([1, 1, 2, 2, 3, 3], "not a list of x, y"),
        ([[1, 1, 1e9, 2, 3, 3]], "far outside"),
        ([[1, 1, float("nan"), 2, 3, 3]], "far outside"),
        ({"size": [6, 8], "counts": [5, 10]}, "15 pixels of 48"),
        ({"size": [6, 8], "counts": [50, -2]}, "length of a run is not"),
        ({"size": [6, 8], "counts": [47.0, 1]}, "length of a run is not"),
        ({"size": [8, 6], "counts": [48]}, r"its size is \[8, 6\]"),
        ({"size": [6, 8], "counts": "~~"}, "cannot be drawn"),
        ({"size": [6, 8], "counts": "o" * 40}, "code is damaged"),
        ({"size": [6, 8], "counts": "o"}, "ends too early"),
        ({"size": [6, 8], "counts": "é"}, "cannot be drawn"),
        ({"size": [6, 8]}, "'counts'"),
    ],
)
def test_annotations_that_cannot_be_drawn_are_named(tmp_path, segmentation, what):
    path = coco_file(tmp_path, [(1, box(0, 0, 1, 1)), (1, segmentation)])
    with pytest.raises(FileError, match=rf"(?s)Annotation 11 of a\.png.*{what}"):
        read_coco(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100000,
        b'{"images": [{}], "annotations": [], "categories": []}',
        b'{"images": [], "annotations": [], "categories": [{"id": "a", "name": "b"}]}',
        b'{"images": {"a": 1}, "annotations": [], "categories": []}',
        b'{"images": [], "annotations": null, "categories": []}',
    ],
)
def test_what_is_no_coco_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FileError, match=r"a\.json (is not COCO JSON|has no|is not valid)"):
        open_coco(tmp_path / "a.json")


def test_an_image_must_be_chosen_and_be_there(tmp_path):
    images = [LabelledImage(name, np.ones((2, 2), np.uint8), {}) for name in ("p/a.png", "q/a.png")]
    write_coco(tmp_path / "set.json", images)
    with pytest.raises(InvalidInputError, match=r"2 images .*Choose the one"):
        read_coco(tmp_path / "set.json")
    with pytest.raises(InvalidInputError, match=r"no image 'b'.*p/a\.png, q/a\.png"):
        read_coco(tmp_path / "set.json", "b")
    with pytest.raises(InvalidInputError, match=r"2 images that match 'a\.png'"):
        read_coco(tmp_path / "set.json", "a.png")


def test_a_file_is_read_once_for_all_its_images(tmp_path):
    arrays = {f"{name}.png": labels for name, labels in HARD.items() if labels.max() < 201}
    images = [LabelledImage(name, labels, ROWS) for name, labels in arrays.items()]
    path = tmp_path / "set.json"
    write_coco(path, images)
    expected = {name: read_coco(path, name) for name in arrays}
    coco = open_coco(path)
    path.unlink()
    assert coco.names == tuple(arrays)
    for name in reversed(coco.names):
        found = coco.read(name)
        np.testing.assert_array_equal(found.labels, expected[name].labels)
        assert found.classes == expected[name].classes
        assert found.source == expected[name].source


@pytest.mark.parametrize("size", [(10**6, 10**6), (0, 8), (-6, 8), (6.0, 8)])
def test_images_of_impossible_sizes_are_named(tmp_path, size):
    with pytest.raises(FileError, match=r"Image number 1 of .*set\.json.* pixels"):
        read_coco(coco_file(tmp_path, [], size=size))


# ---------------------------------------------------------------------- what they are here


def imported(labels, **classes):
    """Labels in a row, with the classes given as c1="name" or c1=("name", "synonym")."""
    rows = {}
    for key, words in classes.items():
        name, *synonyms = (words,) if isinstance(words, str) else words
        rows[int(key[1:])] = ClassRow(name, tuple(synonyms))
    return Imported("a.png", np.array([labels], np.uint8), rows)


HERE = {1: ClassRow("Nucleus", ("cell nucleus",)), 2: ClassRow("fibre"), 5: ClassRow("bubble")}


@pytest.mark.parametrize(
    ("file", "certain", "unknown", "clashing"),
    [
        (imported([0, 1, 2], c1="nucleus", c2="FIBRE"), {1: 1, 2: 2}, (), ()),
        (imported([1, 2], c1="fibre", c2="nucleus"), {1: 2, 2: 1}, (), ()),
        (imported([7], c7="Cell Nucleus"), {7: 1}, (), ()),
        (imported([7], c7=("Zellkern", "nucleus")), {7: 1}, (), ()),
        (imported([7], c7=("nucleus", "fibre")), {7: 1}, (), ()),
        (imported([7], c7="pollen"), {}, (7,), ()),
        (imported([2, 5, 9]), {}, (2, 5, 9), ()),
        (imported([2], c2="pollen"), {}, (), (2,)),
        (imported([7], c7=("round", "nucleus", "bubble")), {}, (), (7,)),
        (imported([7, 8], c7="nucleus", c8="cell nucleus"), {}, (), (7, 8)),
        (imported([7, 0], c7="nucleus", c8="cell nucleus", c2="pollen"), {7: 1}, (), ()),
        (imported([0, 0], c1="pollen"), {}, (), ()),
    ],
)
def test_names_settle_what_they_can_and_numbers_nothing(file, certain, unknown, clashing):
    found = match_classes(file, HERE)
    assert dict(found.certain) == certain
    assert found.unknown == unknown
    assert tuple(found.clashing) == clashing
    assert found.open == tuple(sorted((*unknown, *clashing)))


def test_labels_are_renamed_all_at_once():
    file = imported([0, 1, 2, 7], c1="fibre", c2="nucleus", c7="pollen")
    matching = match_classes(file, HERE)
    assert apply(file, matching, {7: None}).tolist() == [[0, 2, 1, 0]]
    assert apply(file, matching, {7: 1}).tolist() == [[0, 2, 1, 1]]
    assert apply(file, matching, {7: 6, 1: 5}).tolist() == [[0, 5, 1, 6]]
    wide = apply(file, matching, {7: 300})
    assert (wide.dtype, wide.tolist()) == (np.uint16, [[0, 2, 1, 300]])
    assert file.labels.tolist() == [[0, 1, 2, 7]]


def test_what_is_open_must_be_settled():
    file = imported([1, 2, 7, 8], c1="nucleus", c2="pollen", c7="wall")
    matching = match_classes(file, HERE)
    with pytest.raises(InvalidInputError) as failed:
        apply(file, matching, {7: 5})
    message = str(failed.value)
    assert "label 2 ('pollen'): label 2 is 'pollen' in the file and 'fibre' here" in message
    assert "label 8" in message
    assert "'wall'" not in message
    assert "label 1" not in message


@pytest.mark.parametrize(
    ("assignments", "what"),
    [({9: 1}, "no label 9"), ({1: 70000}, "cannot become 70000"), ({1: -1}, "cannot become -1")],
)
def test_assignments_of_nothing_are_refused(assignments, what):
    file = imported([1], c1="nucleus")
    with pytest.raises(InvalidInputError, match=what):
        apply(file, match_classes(file, HERE), assignments)


def test_an_empty_file_needs_nothing():
    file = imported([0, 0])
    assert apply(file, match_classes(file, HERE)).tolist() == [[0, 0]]


def test_the_highest_labels_are_mapped_too(tmp_path):
    labels = np.array([[0, 65535, 300]], np.uint16)
    rows = {65535: ClassRow("fibre"), 300: ClassRow("nucleus")}
    found = written(tmp_path, "a.tif", LabelledImage("a", labels, rows))
    assert apply(found, match_classes(found, HERE)).tolist() == [[0, 2, 1]]


def test_sizes_must_be_the_images():
    file = imported([1, 2, 3])
    place, _ = fitted(file, (1, 3), "YX", ())
    assert place == (slice(None), slice(None))
    with pytest.raises(InvalidInputError, match=r"a\.png are 1 x 3 pixels, .* 3 x 1"):
        fitted(file, (3, 1), "YX", ())


def test_nothing_of_a_coco_file_is_read_as_empty(tmp_path):
    image = {"id": 7, "file_name": "a.png", "height": 6, "width": 8}
    square = {"id": 5, "image_id": 7, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
    category = {"id": 1, "name": "cell"}

    def read(images=(image,), annotations=(square,), categories=(category,)):
        record = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / "a.json").write_text(json.dumps(record))
        return read_coco(tmp_path / "a.json")

    labels = read().labels
    assert (labels == 1).sum() == 16
    for alike in (
        {"annotations": [square | {"image_id": "7", "category_id": "1"}]},
        {"images": [image | {"id": "7"}], "categories": [category | {"id": "1"}]},
        {"images": [image | {"id": 7.0}]},
        {"images": [image | {"id": "x"}], "annotations": [square | {"image_id": "x"}]},
    ):
        np.testing.assert_array_equal(read(**alike).labels, labels)
    for wrong, wrong_part in (
        ({"annotations": [square, square | {"id": 6, "image_id": 9}]},
         r"Annotation 6 \(number 2\)"),
        ({"annotations": [square | {"category_id": None}]}, "Annotation number 1"),
        ({"annotations": [square | {"image_id": [[]]}]}, "Annotation number 1"),
        ({"annotations": ["a"]}, "Annotation number 1"),
        ({"annotations": {"1": square}}, "not COCO JSON"),
        ({"images": [image, image | {"file_name": "b.png"}]}, "number 1 and 2"),
        ({"categories": [category, {"id": 1, "name": "nucleus"}]}, "number 1 and 2"),
        ({"categories": [{"id": 1, "name": None}]}, "Category number 1"),
        ({"categories": [{"id": "x", "name": "cell"}]}, "Category number 1"),
        ({"annotations": [square | {"segmentation": [[]]}]}, "Annotation 5"),
        ({"annotations": [square | {"segmentation": [1, 1, 5, 1, 5, 5]}]}, "Annotation 5"),
        ({"annotations": [square | {"segmentation": [[[1, 1], [5, 1], [5, 5]]]}]}, "Annotation 5"),
        ({"annotations": [square | {"segmentation": [["1", "1", "5", "1", "5", "5"]]}]},
         "Annotation 5"),
        ({"annotations": [square | {"segmentation": {"x": [1, 5, 5], "y": [1, 1, 5]}}]},
         "Annotation 5"),
    ):  # fmt: skip
        with pytest.raises(FileError, match=wrong_part):
            read(**wrong)
