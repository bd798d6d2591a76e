"""Ground truth in the layouts of known datasets."""

from __future__ import annotations

import numpy as np
import pytest
from truth_files import coco_file, numbers, save, truths, write_image

from napari_cliper.evaluation.benchmark_dataset import from_benchmark
from napari_cliper.evaluation.benchmarks import BENCHMARKS, read_benchmark
from napari_cliper.evaluation.metrics import IGNORED
from napari_cliper.io.files import FileError
from napari_cliper.segmentation import InvalidInputError, Monitor

I = IGNORED  # noqa: E741 - short, for the table

# Where things lie, numbers on disk in the first row, and what they mean.
TREES = {
    "voc21": (
        "VOCdevkit/VOC2012/JPEGImages/2007_1.jpg",
        "VOCdevkit/VOC2012/SegmentationClass/2007_1.png",
        "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt",
        {0: 0, 1: 1, 20: 20, 255: I},
    ),
    "voc20": (
        "VOC2012/JPEGImages/2007_1.jpg",
        "VOC2012/SegmentationClass/2007_1.png",
        "VOC2012/ImageSets/Segmentation/val.txt",
        {0: I, 1: 1, 20: 20, 255: I},
    ),
    "context60": (
        "VOCdevkit/VOC2010/JPEGImages/2008_2.jpg",
        "VOCdevkit/VOC2010/SegmentationClassContext/2008_2.png",
        "VOCdevkit/VOC2010/ImageSets/SegmentationContext/val.txt",
        {0: 0, 1: 1, 59: 59, 255: I},
    ),
    "context59": (
        "JPEGImages/2008_2.jpg",
        "SegmentationClassContext/2008_2.png",
        "ImageSets/SegmentationContext/val.txt",
        {0: I, 1: 1, 59: 59, 255: I},
    ),
    "coco-object": (
        "coco_object/images/val2017/000000000139.jpg",
        "coco_object/annotations/val2017/000000000139_instanceTrainIds.png",
        None,
        {0: 0, 1: 1, 80: 80, 255: I},
    ),
    "coco-stuff": (
        "coco_stuff164k/images/val2017/000000000139.jpg",
        "coco_stuff164k/annotations/val2017/000000000139_labelTrainIds.png",
        None,
        {0: 1, 170: 171, 255: I},
    ),
    "coco-stuff raw": (
        "val2017/000000000139.jpg",
        "stuffthingmaps/val2017/000000000139.png",
        None,
        {0: 1, 11: I, 12: 12, 89: 80, 91: 81, 181: 171, 255: I},
    ),
    "ade20k": (
        "ADEChallengeData2016/images/validation/ADE_val_00000001.jpg",
        "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png",
        None,
        {0: I, 1: 1, 150: 150},
    ),
    "cityscapes": (
        "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png",
        "gtFine/val/ulm/ulm_000000_000019_gtFine_labelTrainIds.png",
        None,
        {0: 1, 18: 19, 255: I},
    ),
    "cityscapes raw": (
        "cityscapes/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png",
        "cityscapes/gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png",
        None,
        {0: I, 7: 1, 9: I, 33: 19, 29: I},
    ),
}


@pytest.mark.parametrize("case", TREES)
def test_datasets_are_read_where_they_usually_lie(tmp_path, case):
    image, truth, names, meaning = TREES[case]
    write_image(tmp_path / image)
    save(tmp_path / truth, numbers(*meaning))
    if names:
        path = tmp_path / names
        path.parent.mkdir(parents=True)
        path.write_text(f"{(tmp_path / image).stem}\n\n")
    name = case.split()[0]
    dataset = from_benchmark(name, tmp_path, "sclip")
    (found,) = truths(dataset)
    assert found[0, : len(meaning)].tolist() == list(meaning.values())
    assert dataset.names == read_benchmark(name).classes
    assert dataset.background == read_benchmark(name).wording("sclip").background
    if read_benchmark(name).image_count:
        assert "not comparable" in dataset.notes[0]


def test_every_benchmark_has_a_tree_here():
    assert {case.split()[0] for case in TREES} == set(BENCHMARKS)


def test_cliper_reads_cityscapes_as_two_halves(tmp_path):
    image, truth, _, _ = TREES["cityscapes"]
    write_image(tmp_path / image, (6, 12))
    array = np.repeat([[3] * 6 + [9] * 6], 6, axis=0).astype(np.uint8)
    save(tmp_path / truth, array)
    dataset = from_benchmark("cityscapes", tmp_path, "cliper")
    left, right = truths(dataset)
    assert (left == 4).all()
    assert (right == 10).all()
    assert left.shape == right.shape == (6, 6)
    assert [dataset.image(pair).shape for pair in dataset.pairs] == [(6, 6, 3)] * 2
    assert len({pair.name for pair in dataset.pairs}) == 2


def test_coco_object_from_instances(tmp_path):
    write_image(tmp_path / "val2017/000000000139.jpg")
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations/instances_val2017.json"
    coco_file(
        path,
        [{"category_id": 5, "segmentation": [[2, 2, 9, 2, 9, 8, 2, 8]], "area": 40}],
        name="000000000139.jpg",
        categories=("tv",),
    )
    (truth,) = truths(from_benchmark("coco-object", tmp_path, "cliper"))
    label = read_benchmark("coco-object").classes.index("tv") + 1
    assert set(np.unique(truth)) == {0, label}  # though CLIPer says "tvmonitor"


def test_a_dataset_that_is_not_there_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileError, match="SegmentationClass"):
        from_benchmark("voc21", tmp_path, "cliper")
    with pytest.raises(FileError, match="There is no folder"):
        from_benchmark("voc21", tmp_path / "no", "cliper")


def test_a_missing_truth_of_a_listed_image_is_named(tmp_path):
    image, truth, names, _ = TREES["context59"]
    write_image(tmp_path / image)
    save(tmp_path / truth, numbers(0, 1))
    (tmp_path / names).parent.mkdir(parents=True)
    (tmp_path / names).write_text("2008_2\n2008_3\n")
    with pytest.raises(InvalidInputError, match="2008_3"):
        from_benchmark("context59", tmp_path, "cliper").check(Monitor())
