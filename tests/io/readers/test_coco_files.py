"""COCO files of other programs are read as pycocotools draws them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from label_files import ROWS
from label_maps import HARD
from pycocotools import mask as coco_masks

from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.files import FileError
from napari_cliper.io.readers.coco import open_coco, read_coco
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError


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
        ({"annotations": {"1": square}}, "not COCO JSON: images, annotations and categories"),
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
