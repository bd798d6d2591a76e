"""COCO JSON as pycocotools reads it, pixel by pixel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from label_maps import HARD, blobs
from pycocotools.coco import COCO
from scipy import ndimage

from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.io.files import FileError, whole_files
from napari_cliper.io.writers.coco import coco_record, write_coco
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

ROWS = {
    1: ClassRow('cell / "nucleus"'),
    2: ClassRow("細胞 é 🧫", colour=(1, 2, 3)),
    9: ClassRow("absent"),
}


def loaded(tmp_path, images, **options):
    path = tmp_path / "set.json"
    write_coco(path, images, **options)
    return COCO(str(path))


def painted(coco, image_id, shape):
    """Labels from annotations, which must not overlap."""
    labels = np.zeros(shape, np.int64)
    for one in coco.loadAnns(coco.getAnnIds(imgIds=[image_id])):
        mask = coco.annToMask(one).astype(bool)
        assert mask.any()
        assert not labels[mask].any()
        labels[mask] = one["category_id"]
        assert one["area"] == mask.sum()
        rows, columns = np.nonzero(mask)
        left, top = columns.min(), rows.min()
        assert one["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
        assert one["iscrowd"] == 0
    return labels


def test_pycocotools_reads_every_pixel(tmp_path, subtests):
    for options in [{}, {"kind": "stuff"}]:
        for name, labels in HARD.items():
            with subtests.test(options=options, labels=name):
                coco = loaded(tmp_path, [LabelledImage("a", labels, ROWS)], **options)
                np.testing.assert_array_equal(painted(coco, 1, labels.shape), labels)


def has_hole(mask):
    """Whether a part that hangs together by edges encloses pixels that are not its own."""
    pieces, count = ndimage.label(mask)
    parts = [pieces == piece for piece in range(1, count + 1)]
    return any((ndimage.binary_fill_holes(part) & ~part).any() for part in parts)


def test_an_instance_is_a_connected_region_and_a_polygon_unless_it_has_a_hole(tmp_path, subtests):
    for name, labels in HARD.items():
        with subtests.test(labels=name):
            coco = loaded(tmp_path, [LabelledImage("a", labels, ROWS)])
            annotations = coco.loadAnns(coco.getAnnIds())
            regions = [
                ndimage.label(labels == one, np.ones((3, 3)))[1] for one in np.unique(labels) if one
            ]
            assert len(annotations) == sum(regions)
            for one in annotations:
                mask = coco.annToMask(one)
                if has_hole(mask):
                    assert set(one["segmentation"]) == {"size", "counts"}
                else:
                    assert len(one["segmentation"]) == ndimage.label(mask)[1]
                    assert all(len(ring) >= 8 for ring in one["segmentation"])


def test_as_often_as_documented_polygons_are_exact():
    found = {True: 0, False: 0}
    for seed in range(60):
        labels = blobs(seed, (60, 70), width=0.5 + seed / 30)
        for one in coco_record([LabelledImage("a", labels, {})])["annotations"]:
            found[isinstance(one["segmentation"], list)] += 1
        regions = [
            ndimage.label(labels == label, np.ones((3, 3))) for label in np.unique(labels) if label
        ]
        found[False] -= sum(
            has_hole(numbered == number)
            for numbered, count in regions
            for number in range(1, count + 1)
        )
    assert found[False] == 0
    assert found[True] > 1000


def test_a_data_set_of_scenes(tmp_path):
    rows = {label: ClassRow(kind.name, kind.synonyms) for label, kind in enumerate(KINDS, 1)}
    scenes = [make_scene((64 + 8 * seed, 96), seed=seed) for seed in range(4)]
    images = [LabelledImage(f"scene {seed}", scene.labels, rows, image_file=f"{seed}.png")
              for seed, scene in enumerate(scenes)]  # fmt: skip
    for kind in ("instances", "stuff"):
        coco = loaded(tmp_path, images, kind=kind)
        assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == [k.name for k in KINDS]
        for number, scene in enumerate(scenes, 1):
            (record,) = coco.loadImgs([number])
            assert record["file_name"] == f"{number - 1}.png"
            np.testing.assert_array_equal(painted(coco, number, scene.labels.shape), scene.labels)
        if kind == "stuff":
            assert len(coco.anns) == sum(len(np.unique(scene.labels)) - 1 for scene in scenes)
        assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))


def test_names_colours_and_what_is_absent(tmp_path):
    labels = np.array([[0, 1, 7]], np.uint8)
    coco = loaded(tmp_path, [LabelledImage("a", labels, ROWS)])
    assert {number: one["name"] for number, one in coco.cats.items()} == {
        1: 'cell / "nucleus"', 2: "細胞 é 🧫", 7: "label 7", 9: "absent",
    }  # fmt: skip
    assert coco.cats[2]["color"] == [1, 2, 3]
    assert "color" not in coco.cats[7]
    assert {"info", "licenses"} <= set(coco.dataset)
    assert (tmp_path / "set.json").read_bytes().isascii()


@pytest.mark.parametrize("kind", ["instances", "stuff"])
def test_ignored_pixels_are_not_annotated(tmp_path, kind):
    labels = np.array([[1, 1, 1], [2, 2, 0]], np.uint8)
    ignored = np.array([[False, True, False], [True, True, True]])
    coco = loaded(tmp_path, [LabelledImage("a", labels, ROWS, ignored=ignored)], kind=kind)
    expected = np.where(ignored, 0, labels)
    np.testing.assert_array_equal(painted(coco, 1, labels.shape), expected)


def test_the_same_labels_give_the_same_file_and_ids_stay_when_images_are_left_out(tmp_path):
    images = [LabelledImage(f"{seed}", blobs(seed, (20, 20)), ROWS) for seed in range(3)]
    write_coco(tmp_path / "a.json", images)
    write_coco(tmp_path / "b.json", images)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    whole, part = coco_record(images), coco_record(images[:1])
    assert part["images"] == whole["images"][:1]
    assert part["annotations"] == whole["annotations"][: len(part["annotations"])]


ONE = np.array([[1, 0]], np.uint8)
TWO = np.array([[2, 0]], np.uint8)


@pytest.mark.parametrize(
    ("first", "second", "given", "what"),
    [
        ({1: ClassRow("cell")}, {2: ClassRow("Cell")}, None, "'Cell' has the label 1 in one"),
        ({1: ClassRow("cell")}, {1: ClassRow("fibre")}, None, "'cell' in one image and 'fibre'"),
        ({1: ClassRow("cell")}, {}, None, "'cell' in one image and 'label 1'"),
        ({1: ClassRow("cell")}, {1: ClassRow("fibre")}, {"cell": 1}, "'fibre', which is not in"),
        ({1: ClassRow("cell")}, {}, {"cell": 0}, "'cell' has the id 0"),
        ({1: ClassRow("cell")}, {}, {"cell": 1, "fibre": 1}, "a name or id twice"),
    ],
)
def test_classes_that_do_not_go_together_are_named(first, second, given, what):
    labels = TWO if 2 in second else ONE
    images = [LabelledImage("a", ONE, first), LabelledImage("b", labels, second)]
    with pytest.raises(InvalidInputError, match=what):
        coco_record(images, given)


def test_given_ids_settle_what_labels_do_not():
    images = [LabelledImage("a", ONE, {1: ClassRow("cell")}),
              LabelledImage("b", TWO, {1: ClassRow("fibre"), 2: ClassRow("Cell")})]  # fmt: skip
    record = coco_record(images, {"fibre": 300, "cell": 17})
    assert [one["category_id"] for one in record["annotations"]] == [17, 17]
    assert [(one["id"], one["name"]) for one in record["categories"]] == [
        (17, "cell"),
        (300, "fibre"),
    ]


def test_stacks_are_refused_and_equal_file_names_distinguished():
    stack = LabelledImage("a", np.zeros((2, 3, 4), np.uint8), {})
    with pytest.raises(InvalidInputError, match="plane by plane"):
        coco_record([stack])
    planes = coco_record(list(stack.planes()))
    assert [one["file_name"] for one in planes["images"]] == ["a_plane0", "a_plane1"]
    same = coco_record([LabelledImage("a", ONE, {}, image_file="x.png")] * 2)
    assert [one["file_name"] for one in same["images"]] == ["a.png", "a.png 2"]


def test_no_image_at_all(tmp_path):
    assert loaded(tmp_path, []).anns == {}


def test_a_failed_write_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(FileError, match="disk is full"), whole_files(tmp_path) as folder:
        write_coco(folder / "set.json", [LabelledImage("a", ONE, {})])
    assert list(tmp_path.glob("[!.]*")) == []


def test_the_file_is_plain_json(tmp_path):
    write_coco(tmp_path / "set.json", [LabelledImage("a", HARD["hole"], {})])
    (one,) = json.loads((tmp_path / "set.json").read_text())["annotations"]
    assert one["segmentation"]["size"] == [5, 5]
    assert isinstance(one["segmentation"]["counts"], str)


def test_objects_of_one_class_take_the_id_that_the_data_set_knows(tmp_path):
    classes = LabelledImage("a", np.array([[0, 7]], np.uint8), {7: ClassRow("nucleus")})
    objects = LabelledImage(
        "b", np.array([[1, 0, 2, 2, 0, 3]], np.uint8),
        {1: ClassRow("nucleus"), 2: ClassRow("Nucleus"), 3: ClassRow("fibre")},
    )  # fmt: skip
    for kind, of_objects in (("instances", [7, 7, 3]), ("stuff", [7, 3])):
        coco = loaded(tmp_path, [classes, objects], kind=kind)
        assert {one["id"]: one["name"] for one in coco.dataset["categories"]} == {
            3: "fibre", 7: "nucleus",
        }  # fmt: skip
        found = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
        assert sorted(one["category_id"] for one in found) == sorted(of_objects)
        assert sum(coco.annToMask(one).sum() for one in found) == 4
