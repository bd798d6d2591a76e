"""Ten scenes with their ground truth on disk, and a segmenter that knows them."""

from __future__ import annotations

import pytest
from PIL import Image

from napari_cliper.demo.run import HELD_OUT_SEED, all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.evaluation.dataset import from_files
from napari_cliper.io.class_list import write_classes
from napari_cliper.labels.label_class import rows_of
from napari_cliper.segmentation import SegmentationConfig, Segmenter

SCENES = 10


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Folders of images and of labels, and a list of classes."""
    root = tmp_path_factory.mktemp("scenes")
    images, labels = root / "images", root / "labels"
    images.mkdir()
    labels.mkdir()
    for index in range(SCENES):
        scene = make_scene((96, 112), HELD_OUT_SEED + index)
        Image.fromarray(scene.image).save(images / f"scene {index}.png")
        truth = scene.labels.copy()
        truth[:3] = 255
        Image.fromarray(truth).save(labels / f"scene {index}.png")
    write_classes(root / "classes.yaml", rows_of(all_classes()))
    return images, labels, root / "classes.yaml"


@pytest.fixture(scope="session")
def dataset(scenes):
    return from_files(*scenes)


@pytest.fixture(scope="session")
def segmenter():
    return Segmenter(SegmentationConfig(model="demo"))
