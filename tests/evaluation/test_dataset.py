"""Ground truth from folders, COCO JSON and the layouts of known datasets."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as mask_tool
from pycocotools.coco import COCO
from truth_files import SHAPE, coco_file, numbers, save, truths, write_image

from napari_cliper.evaluation.dataset import from_files
from napari_cliper.evaluation.metrics import IGNORED
from napari_cliper.io.files import FileError
from napari_cliper.io.readers.coco import read_coco
from napari_cliper.segmentation import InvalidInputError, Monitor, SegmentationConfig


@pytest.fixture
def folders(tmp_path):
    classes = tmp_path / "classes.txt"
    classes.write_text("nucleus, nuclei\ncell, \u7d30\u80de\n'odd/ name'\n", encoding="utf-8")
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    return images, labels, classes


def indexed(array):
    image = Image.fromarray(array)
    image.putpalette([c for i in range(256) for c in (255 - i, i, 0)])
    return image


# ---------------------------------------------------------------------- folders


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(".png", np.uint8), (".png", np.uint16), (".tif", np.uint8), (".tiff", np.uint16),
     (".tif", np.int32), (".TIF", np.uint8)],
)  # fmt: skip
def test_label_numbers_are_read_as_they_are(folders, suffix, dtype):
    images, labels, classes = folders
    write_image(images / "a b.jpg")
    if suffix == ".TIF":
        tifffile.imwrite(labels / "a b.TIF", numbers(0, 1, 3, 255, dtype=dtype))
    else:
        save(labels / f"a b{suffix}", numbers(0, 1, 3, 255, dtype=dtype))
    (truth,) = truths(from_files(images, labels, classes))
    assert truth[0, :4].tolist() == [0, 1, 3, IGNORED]


def test_an_indexed_png_is_its_indices_not_its_colours(folders):
    images, labels, classes = folders
    write_image(images / "a.png")
    indexed(numbers(0, 2, 255)).save(labels / "a.png")
    (truth,) = truths(from_files(images, labels, classes))
    assert truth[0, :3].tolist() == [0, 2, IGNORED]


def test_ignored_numbers_are_a_choice(folders):
    images, labels, classes = folders
    write_image(images / "a.png")
    save(labels / "a.png", numbers(1, 0, 9))
    (truth,) = truths(from_files(images, labels, classes, ignore=(0, 9)))
    assert truth[0, :3].tolist() == [1, IGNORED, IGNORED]


def test_255_is_a_class_where_there_are_so_many(folders):
    images, labels, classes = folders
    classes.write_text("\n".join(f"word {i}" for i in range(300)))
    write_image(images / "a.png")
    save(labels / "a.png", numbers(0, 255, 300, dtype=np.uint16))
    (truth,) = truths(from_files(images, labels, classes))
    assert truth[0, :3].tolist() == [0, 255, 300]


def test_background_rows_have_no_label_but_compete(folders):
    images, labels, classes = folders
    classes = classes.with_suffix(".yaml")
    classes.write_text("- {name: agar, synonyms: [jelly], background: true}\n- cell\n")
    write_image(images / "a.png")
    save(labels / "a.png", numbers(0, 1))
    dataset = from_files(images, labels, classes)
    assert dataset.names == ("cell",)
    config = dataset.configured(SegmentationConfig(background=("sky",)))
    assert config.background == ("sky", "agar", "jelly")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (numbers(0, 4, 7), "labels 4, 7, but there are only 3 classes"),
        (numbers(0, 1)[:, :-1], r"a.png is 17 x 12 pixels, its ground truth 16 x 12"),
        (np.zeros((*SHAPE, 3), np.uint8), r"a\.png has colours"),
        (np.zeros((*SHAPE, 4), np.uint8), r"a\.png has colours"),
    ],
    ids=["labels", "size", "rgb", "rgba"],
)
def test_wrong_labels_are_named_before_any_work(folders, label, words):
    images, labels, classes = folders
    write_image(images / "a.png")
    save(labels / "a.png", label)
    with pytest.raises(InvalidInputError, match=words):
        from_files(images, labels, classes).check(Monitor())


@pytest.mark.parametrize(
    "array",
    [
        np.full(SHAPE, 0.5, np.float32),
        np.zeros((2, 3, *SHAPE), np.uint8),
        np.full(SHAPE, -1, np.int16),
    ],
    ids=["float", "stack", "negative"],
)
def test_wrong_tiffs_are_refused(folders, array):
    images, labels, classes = folders
    write_image(images / "a.png")
    tifffile.imwrite(labels / "a.tif", array, photometric="minisblack")
    with pytest.raises(InvalidInputError, match=r"a\.tif"):
        from_files(images, labels, classes).check(Monitor())


def test_all_problems_are_listed_and_many_counted(folders):
    images, labels, classes = folders
    for index in range(14):
        write_image(images / f"{index:02}.png")
        save(labels / f"{index:02}.png", numbers(0, 200))
    with pytest.raises(InvalidInputError) as error:
        from_files(images, labels, classes).check(Monitor())
    lines = str(error.value).splitlines()
    assert len(lines) == 11
    assert "09.png" in lines[9]
    assert "4 more" in lines[10]


def test_damaged_files_are_named(folders):
    images, labels, classes = folders
    write_image(images / "a.png")
    (labels / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    with pytest.raises(InvalidInputError, match=r"a\.png"):
        from_files(images, labels, classes).check(Monitor())


def test_images_without_labels_are_refused_and_labels_without_images_noted(folders):
    images, labels, classes = folders
    for name in ("a", "b"):
        write_image(images / f"{name}.png")
    save(labels / "a.png", numbers(0, 1))
    with pytest.raises(InvalidInputError, match=r"b\.png"):
        from_files(images, labels, classes)
    save(labels / "b.png", numbers(0, 1))
    save(labels / "c.png", numbers(0, 1))
    dataset = from_files(images, labels, classes)
    assert [pair.name for pair in dataset.pairs] == ["a", "b"]
    assert "c.png" in dataset.notes[0]


def test_two_files_of_one_name_are_refused(folders):
    images, labels, classes = folders
    write_image(images / "a.png")
    write_image(images / "a.jpg")
    with pytest.raises(InvalidInputError, match="differ only in the suffix"):
        from_files(images, labels, classes)


@pytest.mark.parametrize("which", [0, 1])
def test_missing_and_empty_folders(folders, which, tmp_path):
    images, labels, classes = folders
    write_image(images / "a.png")
    given = [images, labels]
    given[which] = tmp_path / "nowhere"
    with pytest.raises(FileError, match="nowhere"):
        from_files(*given, classes)
    given[which].mkdir()
    with pytest.raises(InvalidInputError, match="has no"):
        from_files(*given, classes)


def test_limit(folders):
    images, labels, classes = folders
    for name in "abc":
        write_image(images / f"{name}.png")
        save(labels / f"{name}.png", numbers(0, 1))
    dataset = from_files(images, labels, classes)
    assert [pair.name for pair in dataset.first(2).pairs] == ["a", "b"]
    assert "first 2 of 3" in dataset.first(2).notes[0]
    assert dataset.first(0) is dataset.first(3) is dataset
    with pytest.raises(InvalidInputError, match="-1"):
        dataset.first(-1)


# ---------------------------------------------------------------------- COCO


def rle(mask, *, compressed):
    code = mask_tool.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": code["size"], "counts": code["counts"].decode()}
    runs = np.diff(np.flatnonzero(np.diff(np.r_[-1, mask.ravel("F").astype(int), -1])), prepend=0)
    runs = [*runs.tolist()]
    return {"size": list(mask.shape), "counts": runs if not mask[0, 0] else [0, *runs]}


SHAPES = {
    "polygon": [[2, 2, 9, 2, 9, 8, 2, 8], [11, 1, 15, 1, 13, 6]],
    "compressed": rle(np.arange(12 * 17).reshape(SHAPE) % 5 == 1, compressed=True),
    "uncompressed": rle(np.arange(12 * 17).reshape(SHAPE) % 7 < 3, compressed=False),
}


# pycocotools' own arrays do not know numpy 2's way of asking for a copy.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("kind", SHAPES)
def test_coco_masks_are_those_of_pycocotools(folders, kind, capsys):
    images, labels, classes = folders
    write_image(images / "a.png")
    path = coco_file(
        labels / "truth.json", [{"category_id": 15, "segmentation": SHAPES[kind], "area": 9}]
    )
    (truth,) = truths(from_files(images, path, classes))
    coco = COCO(path)
    capsys.readouterr()
    expected = coco.annToMask(coco.loadAnns([0])[0])
    assert expected.any()
    np.testing.assert_array_equal(truth, expected * 2)  # "cell" is label 2


def test_small_annotations_lie_over_large_ones_whatever_their_order(folders):
    images, labels, classes = folders
    write_image(images / "a.png")
    small = {"category_id": 5, "segmentation": [[4, 4, 7, 4, 7, 7, 4, 7]], "area": 9}
    large = {"category_id": 15, "segmentation": [[1, 1, 15, 1, 15, 11, 1, 11]], "area": 140}
    both = [
        truths(from_files(images, coco_file(labels / "t.json", order), classes))[0]
        for order in ([small, large], [large, small])
    ]
    np.testing.assert_array_equal(*both)
    imported = read_coco(labels / "t.json").labels  # as a person would import the same file
    np.testing.assert_array_equal(np.array([0, 5, 15])[both[0]], imported)
    assert both[0][5, 5] == 1
    assert both[0][2, 2] == 2


def test_categories_are_found_by_synonyms_and_any_case(folders):
    images, labels, classes = folders
    write_image(images / "a.png")
    path = coco_file(
        labels / "t.json",
        [{"category_id": 5, "segmentation": SHAPES["polygon"]}],
        categories=("NUCLEI",),
    )
    assert set(np.unique(truths(from_files(images, path, classes))[0])) == {0, 1}


def test_a_category_that_is_no_class_is_named(folders):
    images, labels, classes = folders
    write_image(images / "a.png")
    path = coco_file(
        labels / "t.json",
        [{"category_id": 5, "segmentation": SHAPES["polygon"]}],
        categories=("giraffe",),
    )
    with pytest.raises(InvalidInputError, match="giraffe"):
        from_files(images, path, classes).check(Monitor())


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [3, 3], "counts": [4, 5]},
        {"size": list(SHAPE), "counts": [4, 5]},
        {"size": list(SHAPE), "counts": "ZZ"},
        {"size": list(SHAPE), "counts": "o" * 40},
        {"size": list(SHAPE), "counts": "~~"},
        {"size": list(SHAPE), "counts": [205, -1]},
        [],
        {"counts": 3},
        7,
        [[0, 0, 1e9, 0, 1e9, 1e9]],
        [["a", "b"]],
    ],
    ids=str,
)
def test_a_segmentation_that_cannot_be_drawn_is_named(folders, segmentation):
    images, labels, classes = folders
    write_image(images / "a.png")
    path = coco_file(labels / "t.json", [{"category_id": 5, "segmentation": segmentation}])
    with pytest.raises(InvalidInputError, match=r"Annotation 0 of a\.png"):
        from_files(images, path, classes).check(Monitor())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [1]}', '{"images": [{"id": 1}]}'])
def test_what_is_no_coco_json_is_refused(folders, text):
    images, labels, classes = folders
    write_image(images / "a.png")
    path = labels / "t.json"
    path.write_text(text)
    with pytest.raises(FileError, match="not COCO JSON"):
        from_files(images, path, classes)


def test_images_of_a_json_keep_their_annotations_whatever_their_ids(folders):
    images, labels, classes = folders
    boxes = {"b.png": (2, 3), "a.png": (9, 1), "c.png": None}
    record = {
        "images": [
            {"id": name, "file_name": f"set/{name}", "height": SHAPE[0], "width": SHAPE[1]}
            for name in boxes
        ],
        "categories": [{"id": 5, "name": "cell"}],
        "annotations": [],
    }
    for name, corner in boxes.items():
        write_image(images / name)
        if corner:
            (x, y), side = corner, 3
            ring = [x, y, x + side, y, x + side, y + side, x, y + side]
            one = {"id": name, "image_id": name, "category_id": 5, "segmentation": [ring]}
            record["annotations"].append(one)
    path = labels / "t.json"
    path.write_text(json.dumps(record))
    dataset = from_files(images, path, classes)
    path.unlink()  # it was read once
    for pair, truth in zip(dataset.pairs, truths(dataset), strict=True):
        expected = np.zeros(SHAPE, int)
        if boxes[pair.name]:
            x, y = boxes[pair.name]
            expected[y : y + 3, x : x + 3] = 2
        np.testing.assert_array_equal(truth, expected)


def test_of_images_of_one_name_the_folder_tells_which_is_meant(tmp_path):
    """As in a JSON of train/001.png and val/001.png: by the images' folder, or not at all."""
    names = ("train/001.png", "val/001.png")
    record = {
        "images": [
            {"id": number, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]}
            for number, name in enumerate(names, 1)
        ],
        "categories": [{"id": 1, "name": "nucleus"}, {"id": 2, "name": "cell"}],
        "annotations": [
            {"id": number, "image_id": number, "category_id": number, "iscrowd": 0,
             "segmentation": [[0, 0, 5, 0, 5, 5, 0, 5]]}
            for number in (1, 2)
        ],
    }  # fmt: skip
    (tmp_path / "set.json").write_text(json.dumps(record))
    (tmp_path / "classes.txt").write_text("nucleus\ncell\n")
    for folder, label in (("train", 1), ("val", 2)):
        write_image(tmp_path / folder / "001.png")
        data = from_files(tmp_path / folder, tmp_path / "set.json", tmp_path / "classes.txt")
        (truth,) = truths(data)
        assert set(np.unique(truth)) == {0, label}
    write_image(tmp_path / "test" / "001.png")
    with pytest.raises(InvalidInputError, match=r"001.png may be train/001.png or val/001.png"):
        from_files(tmp_path / "test", tmp_path / "set.json", tmp_path / "classes.txt")


def test_a_image_that_the_json_does_not_know_is_named(folders):
    images, labels, classes = folders
    write_image(images / "b.png")
    with pytest.raises(InvalidInputError, match=r"b\.png"):
        from_files(images, coco_file(labels / "t.json", []), classes)
