"""YOLO's text files, filled in again by two rasterisers, and a data set in Ultralytics' layout."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from label_maps import HARD, filled
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.io.files import FileError, whole_files
from napari_cliper.io.writers.yolo import write_yolo, write_yolo_dataset
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

KIND_ROWS = {label: ClassRow(kind.name) for label, kind in enumerate(KINDS, 1)}


def lines(path, shape):
    """Index and corners in pixels of each line."""
    height, width = shape
    for line in path.read_text().splitlines():
        index, *shares = line.split(" ")
        shares = np.array(shares, float).reshape(-1, 2)
        assert len(shares) >= 4
        assert shares.min() >= 0
        assert shares.max() <= 1
        yield int(index), shares * (width, height)


def test_filling_gives_the_labels_back(tmp_path, subtests):
    for name, labels in HARD.items():
        with subtests.test(labels=name):
            rows = {2: ClassRow("two"), 70: ClassRow("absent")}
            write_yolo(tmp_path / "a.txt", LabelledImage("a", labels, rows))
            order = sorted({2, 70, *np.unique(labels[labels > 0]).tolist()})
            painted = np.zeros(labels.shape, np.int64)
            for index, corners in lines(tmp_path / "a.txt", labels.shape):
                mask = filled([corners], labels.shape)
                assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
                assert not painted[mask].any()
                painted[mask] = order[index]
            np.testing.assert_array_equal(painted, labels)


@pytest.mark.parametrize("shape", [(2, 65536), (65536, 2), (3, 40001)])
def test_shares_are_fine_enough_for_long_images(tmp_path, shape):
    labels = np.zeros(shape, np.uint8)
    pixels = np.random.default_rng(0).integers(0, labels.size, 9)
    labels.flat[pixels] = 1
    write_yolo(tmp_path / "a.txt", LabelledImage("a", labels, {}))
    for _, corners in lines(tmp_path / "a.txt", shape):
        assert np.abs(corners - corners.round()).max() < 0.01
        mask = filled([corners], shape)
        assert labels[mask].all()
        labels[mask] = 0
    assert not labels.any()


def filled_as_ultralytics_does(corners, shape):
    """Corners cut to whole numbers, and the pixels on the outline filled too."""
    canvas = Image.new("1", shape[::-1])
    points = [tuple(point) for point in np.trunc(corners + 1e-3).tolist()]
    ImageDraw.Draw(canvas).polygon(points, fill=1, outline=1)
    return np.array(canvas)


@pytest.mark.parametrize(("side", "mean", "lowest"), [(256, 0.96, 0.94), (512, 0.98, 0.97)])
def test_what_training_sees_is_as_near_as_documented(tmp_path, side, mean, lowest):
    found = []
    for seed in range(8):
        labels = make_scene((side, side), seed=seed).labels
        write_yolo(tmp_path / "a.txt", LabelledImage("a", labels, KIND_ROWS))
        regions = list(lines(tmp_path / "a.txt", labels.shape))
        masks = [filled_as_ultralytics_does(corners, labels.shape) for _, corners in regions]
        painted = np.zeros(labels.shape, np.int64)
        for number in sorted(range(len(masks)), key=lambda one: -masks[one].sum()):
            painted[masks[number]] = regions[number][0] + 1
        for label in np.unique(labels[labels > 0]):
            both = ((painted == label) & (labels == label)).sum()
            found.append(both / ((painted == label) | (labels == label)).sum())
    assert min(found) > lowest
    assert np.mean(found) > mean


def test_an_image_without_regions_is_an_empty_file(tmp_path):
    labels = np.ones((3, 3), np.uint8)
    image = LabelledImage("a", labels, KIND_ROWS, ignored=labels > 0)
    write_yolo(tmp_path / "a.txt", image)
    assert (tmp_path / "a.txt").read_bytes() == b""


@pytest.mark.parametrize(
    ("labels", "classes", "what"),
    [
        (np.zeros((2, 3, 4), np.uint8), None, "plane by plane"),
        (np.array([[1]], np.uint8), ["bacterium"], "'nucleus', which is not in the given"),
        (np.array([[1]], np.uint8), ["nucleus", "nucleus"], "class is repeated"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, labels, classes, what):
    with pytest.raises(InvalidInputError, match=what):
        write_yolo(
            tmp_path / "a.txt", LabelledImage("a", labels, {1: ClassRow("nucleus")}), classes
        )


# ---------------------------------------------------------------------- data sets


def scenes(count, **parts):
    made = [make_scene((48, 64), seed=seed) for seed in range(count)]
    return [
        LabelledImage(f"scene {seed} é", scene.labels, KIND_ROWS, image=scene.image, **parts)
        for seed, scene in enumerate(made)
    ]


def found_by_ultralytics(folder, part):
    """Each image of a part with its text file: the path with images turned to labels."""
    record = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    pictures = sorted((folder / record[part]).iterdir())
    return [
        (picture, folder / "labels" / picture.relative_to(folder / "images").with_suffix(".txt"))
        for picture in pictures
    ]


def test_images_and_outlines_are_found_together(tmp_path):
    images = scenes(4)
    with whole_files(tmp_path / "set") as staging:
        assert write_yolo_dataset(staging, images, validation=["scene 1 é"]) == []
    folder = tmp_path / "set"
    record = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    assert record["names"] == {index: kind.name for index, kind in enumerate(KINDS)}
    by_stem = {image.name: image for image in images}
    seen = {}
    for part in ("train", "val"):
        for picture, outlines in found_by_ultralytics(folder, part):
            image = by_stem[picture.stem]
            seen[image.name] = part
            with Image.open(picture) as opened:
                np.testing.assert_array_equal(np.asarray(opened), image.image)
            painted = np.zeros(image.labels.shape, np.int64)
            for index, corners in lines(outlines, image.labels.shape):
                painted[filled([corners], image.labels.shape)] = index + 1
            np.testing.assert_array_equal(painted, image.labels)
    assert seen == {"scene 0 é": "train", "scene 1 é": "val", "scene 2 é": "train",
                    "scene 3 é": "train"}  # fmt: skip


def test_without_validation_images_the_training_images_stand_in(tmp_path):
    write_yolo_dataset(tmp_path, scenes(1))
    assert found_by_ultralytics(tmp_path, "val") == found_by_ultralytics(tmp_path, "train") != []


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (np.full((2, 3), 7, np.uint8), "L"),
        (np.full((2, 3, 1), 7, np.uint8), "L"),
        (np.full((2, 3, 3), 7, np.uint8)[:, ::-1], "RGB"),
        (np.full((2, 3, 4), 7, np.uint8), "RGB"),
        (np.full((2, 3, 5), 7, np.uint8), None),
        (np.full((2, 3), 700, np.uint16), None),
        (np.full((2, 3, 3), 0.5, np.float32), None),
        (None, None),
    ],
)
def test_images_of_eight_bits_are_written_and_others_asked_for(tmp_path, pixels, mode):
    labels = np.ones((2, 3), np.uint8)
    image = LabelledImage("a", labels, {}, image=pixels, image_file="plate.01.tif")
    missing = write_yolo_dataset(tmp_path, [image])
    assert (tmp_path / "labels/train/plate.01.txt").exists()
    if mode is None:
        assert missing == ["images/train/plate.01"]
        assert list((tmp_path / "images/train").iterdir()) == []
    else:
        assert missing == []
        with Image.open(tmp_path / "images/train/plate.01.png") as picture:
            assert picture.mode == mode
            assert (np.asarray(picture) == 7).all()


def test_names_are_read_as_they_were(tmp_path):
    rows = {3: ClassRow('yes: "no"'), 5: ClassRow("細胞 / 🧫"), 9: ClassRow("1"), 12: ClassRow("~")}
    write_yolo_dataset(tmp_path, [LabelledImage("a", np.full((1, 1), 5, np.uint8), rows)])
    record = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert list(record["names"].values()) == ['yes: "no"', "細胞 / 🧫", "1", "~"]
    assert (tmp_path / "labels/train/a.txt").read_text().startswith("1 ")


ONE = np.ones((1, 1), np.uint8)


@pytest.mark.parametrize(
    ("images", "validation", "what"),
    [
        ([LabelledImage("a/b", ONE, {})], (), "'a/b' is not a valid file name"),
        ([LabelledImage("..", ONE, {})], (), "is not a valid file name"),
        ([LabelledImage("a", ONE, {})], ("b",), "The validation images 'b'"),
        ([LabelledImage("a", np.zeros((2, 1, 1), np.uint8), {})], (), "plane by plane"),
        (
            [LabelledImage("a", ONE, {1: ClassRow("cell")}), LabelledImage("b", ONE, {})],
            (),
            "label 1",
        ),
    ],
)
def test_what_is_no_data_set_is_refused_before_anything_is_written(
    tmp_path, images, validation, what
):
    with pytest.raises(InvalidInputError, match=what):
        write_yolo_dataset(tmp_path, images, validation)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "set").write_text("a file")
    with (
        pytest.raises(FileError, match="there is a file of that name"),
        whole_files(tmp_path / "set") as one,
    ):
        write_yolo_dataset(one, scenes(1))
