"""Outlines for YOLO's segmentation training: a text file an image, and whole data sets.

The format and the layout of folders are those of Ultralytics' documentation (Instance
Segmentation Datasets): a line a region, its class counted from 0, then x and y of its points as
shares of the image's width and height.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pathvalidate import is_valid_filename
from PIL import Image

from ...labels.categories import categories_of
from ...labels.label_names import check_plane
from ...labels.labelled_image import LabelledImage
from ...labels.outlines import find_regions, one_ring
from ...segmentation import InvalidInputError
from ..filenames import file_name, unique_names
from ..lazy_images import Images

DECIMALS = 7
"""Of a share: less than a hundredth of a pixel in an image of 65536."""


def write_yolo(path: Path, image: LabelledImage, classes: Sequence[str] | None = None) -> None:
    """Write the regions of an image as lines of ``class x y x y ...``.

    Each connected region (8-connectivity) is one line. A hole, for which the format has no
    word, is cut open along a line of no width to the left. Filled at the centres of pixels the
    outlines give the labels back exactly (IoU 1). Ultralytics also fills the pixels that
    an outline touches, at the size it trains at. Filled like that at the image's own size (by
    Pillow), regions are a pixel wider and higher, and the IoU of the classes of 20 demo scenes
    is 0.98 on average at 512 x 512 (lowest 0.97), 0.96 at 256 x 256 (lowest 0.95).

    Lost are pixel size, colours, label numbers, synonyms, and which pixels are undecided: those
    are in no outline, and training takes them for background.

    Parameters
    ----------
    path : Path
    image : LabelledImage
        A plane. One without a region becomes an empty file, an example of background.
    classes : sequence of str, optional
        The classes of the data set, in the order of their indices. Without it the image's own
        in the order of their labels, those that do not occur included.

    Raises
    ------
    InvalidInputError
        For a stack, a class that is not among `classes`, and one that is there twice.
    """
    check_plane(image, "A YOLO text file")
    given = None if classes is None else {name: index for index, name in enumerate(classes, 1)}
    if given is not None and len(given) < len(classes or ()):
        raise InvalidInputError(f"The classes {list(classes or ())} name one twice. Keep it once.")
    table = categories_of([image], given)
    order = {number: index for index, number in enumerate(table.by_id)}
    height, width = image.labels.shape
    lines = []
    for region in find_regions(image.labels, image.ignored, joined=True):
        shares = one_ring(region) / (width, height)
        points = " ".join(f"{share:.{DECIMALS}f}" for share in shares.ravel().tolist())
        lines.append(f"{order[table.of_label[0][region.label]]} {points}\n")
    path.write_text("".join(lines), encoding="ascii")


def write_yolo_dataset(folder: Path, images: Images, validation: Collection[str] = ()) -> list[str]:
    """Write a data set that Ultralytics trains on as it lies there.

    ``images/train`` and ``labels/train`` hold an image and a text file an image, ``images/val``
    and ``labels/val`` those for validation, and ``data.yaml`` says so and names the classes. It
    gives no ``path``: Ultralytics then starts from the file's own folder, wherever that is.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    images : sequence of LabelledImage or LazyImages
        Planes. Pixels of uint8 (grey, or RGB whose alpha is left out) are written as PNG, others
        not: how they become 8 bit is not for an export to choose.
    validation : collection of str
        Names (`LabelledImage.name`) of the images to validate with. With none, data.yaml has
        the training images stand in for them, since Ultralytics wants both.

    Returns
    -------
    list of str
        Images to be put in by hand, as paths from `folder` without a suffix.

    Raises
    ------
    InvalidInputError
        For a stack, classes that do not go together (see `categories.categories_of`), names
        that are no file names, and names for validation that no image has.
    """
    known: list[str] = []
    stems: list[list[str]] = []

    def noted() -> Iterator[LabelledImage]:
        for image in images:
            check_plane(image, "A YOLO data set")
            known.append(image.name)
            stems.append(list(dict.fromkeys([_stem(image), file_name(image.name)])))
            yield image

    names = [one.name for one in categories_of(noted()).by_id.values()]
    unknown = set(validation) - set(known)
    if unknown:
        raise InvalidInputError(
            f"No image is called {', '.join(map(repr, sorted(unknown)))}, which should validate. "
            f"There are: {', '.join(known)}."
        )
    missing = []
    for image, stem in zip(images, unique_names(stems), strict=True):
        part = "val" if image.name in validation else "train"
        for kind in ("images", "labels"):
            (folder / kind / part).mkdir(parents=True, exist_ok=True)
        write_yolo(folder / "labels" / part / f"{stem}.txt", image, names)
        png = _as_8bit_image(image.image)
        if png is None:
            missing.append(f"images/{part}/{stem}")
        else:
            png.save(folder / "images" / part / f"{stem}.png", format="PNG")
    record = {
        "train": "images/train",
        "val": "images/val" if validation else "images/train",
        "names": dict(enumerate(names)),
    }
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return missing


def _stem(image: LabelledImage) -> str:
    """What an image and its outlines are both called."""
    stem = Path(image.image_file).stem or image.name
    if not stem.strip(". ") or not is_valid_filename(stem):
        raise InvalidInputError(
            f"{stem!r} cannot be a file's name on every system. Rename the image."
        )
    return stem


def _as_8bit_image(pixels: NDArray[Any] | None) -> Image.Image | None:
    if pixels is None or pixels.dtype != np.uint8:
        return None
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return Image.fromarray(np.ascontiguousarray(pixels.reshape(pixels.shape[:2])))
    if pixels.shape[2] in (3, 4):
        return Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    return None
