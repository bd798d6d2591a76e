"""Images and ground truth on disk, small enough to write out."""

from __future__ import annotations

import json

import numpy as np
import tifffile
from PIL import Image

from napari_cliper.segmentation import Monitor

SHAPE = (12, 17)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.startswith(".tif"):
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path, **options)
    return path


def write_image(path, shape=SHAPE):
    return save(path, np.full((*shape, 3), 90, dtype=np.uint8))


def numbers(*values, dtype=np.uint8):
    """Numbers in columns, the first where there are no more."""
    array = np.full(SHAPE, values[0], dtype=dtype)
    for column, value in enumerate(values):
        array[:, column] = value
    return array


def truths(dataset):
    dataset.check(Monitor())
    return [dataset.truth(pair) for pair in dataset.pairs]


def coco_file(path, annotations, name="a.png", categories=("nucleus", "cell")):
    record = {
        "images": [{"id": 0, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]}],
        "categories": [{"id": 10 * i + 5, "name": n} for i, n in enumerate(categories)],
        "annotations": [
            {"id": i, "image_id": 0, "iscrowd": 0, **one} for i, one in enumerate(annotations)
        ],
    }
    path.write_text(json.dumps(record))
    return path
