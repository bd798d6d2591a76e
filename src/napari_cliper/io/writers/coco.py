"""Write data sets as COCO JSON: instances and stuff.

The format is defined on cocodataset.org (Data format, Object detection and Stuff segmentation).
pycocotools makes the run-length codes and is the reference for the pixels that a polygon covers.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...labels.axes import POSITION_KEY, position_to_record
from ...labels.categories import Categories, Category, categories_of, used_labels
from ...labels.label_names import check_plane
from ...labels.labelled_image import LabelledImage
from ...labels.outlines import Region, find_regions
from ..filenames import unique_names
from ..lazy_images import Images, LazyImages
from ..validation_split import is_for_validation

OBJECT_KEY = "instance_id"
"""Key of an annotation with the number of its object, which is the same in all planes."""

Kind = Literal["instances", "stuff"]

KINDS: Mapping[Kind, str] = MappingProxyType(
    {
        "instances": "an annotation for each object or connected region",
        "stuff": "an annotation for each class of each image, as in COCO's stuff files",
    }
)


def coco_record(
    images: Images,
    categories: Mapping[str, int] | None = None,
    *,
    kind: Kind = "instances",
) -> dict[str, Any]:
    """A data set in COCO's format.

    The export is exact: pycocotools decodes every annotation to the same pixels. Pixel size and
    unit, synonyms, and the mask of ignored pixels are lost, because COCO cannot store them;
    ignored pixels are not annotated. Image ids count from 1 in the order given, annotation ids
    from 1 through all images. Instances of images with objects have the number of the object as
    ``instance_id``.

    Instances are polygons along pixel edges, so that a single pixel is a square of side 1. A region
    connected only by corners has several polygons. A region whose polygons pycocotools would decode
    to other pixels gets a run-length code. These are the regions with holes, which COCO's polygons
    cannot have; of 100,000 random regions without a hole there was none. A training program must
    therefore accept both forms. Stuff always has run-length codes.

    Parameters
    ----------
    images : sequence of LabelledImage or LazyImages
        Planes. The file name of an image is `LabelledImage.image_file`, or else its name. Equal
        file names are made unique with the names of the images or a number.
    categories : mapping of str to int, optional
        The category id of each class. Default: the labels. See `categories.categories_of`.
    kind : "instances" or "stuff"
        See `KINDS`.

    Returns
    -------
    dict
        JSON-safe, with ``info``, ``licenses``, ``images``, ``annotations``, ``categories``.
        Categories also have ``isthing`` and ``color``, as in COCO's panoptic files.

    Raises
    ------
    InvalidInputError
        For a stack, and for images whose classes contradict each other.
    """
    names: list[list[str]] = []
    sizes: list[tuple[int, ...]] = []
    positions: list[dict[str, Any]] = []

    def collecting() -> Iterator[LabelledImage]:
        for image in images:
            check_plane(image, "COCO JSON")
            names.append(_file_names(image))
            sizes.append(image.labels.shape)
            positions.append(_position_in_stack(image))
            yield image

    table = categories_of(collecting(), categories)
    annotations = [
        {"id": number, **annotation}
        for number, annotation in enumerate(_annotations(images, table, kind), 1)
    ]
    return {
        "info": {
            "description": f"Labels from napari-cliper: {KINDS[kind]}",
            "url": "",
            "version": "1.0",
            "contributor": "",
        },
        "licenses": [],
        "images": [
            {"id": number, "file_name": file, "width": width, "height": height, **position}
            for number, (file, (height, width), position) in enumerate(
                zip(unique_names(names), sizes, positions, strict=True), 1
            )
        ],
        "annotations": annotations,
        "categories": [_category(one, kind) for one in table.by_id.values()],
    }


def write_coco(
    path: Path,
    images: Images,
    categories: Mapping[str, int] | None = None,
    *,
    kind: Kind = "instances",
) -> None:
    """Write a data set as COCO JSON; parameters and errors as in `coco_record`.

    The file is ASCII, because pycocotools opens it with the default encoding of the system.
    """
    record = coco_record(images, categories, kind=kind)
    path.write_text(json.dumps(record, allow_nan=False), encoding="ascii")


def write_one_coco(path: Path, image: LabelledImage) -> None:
    """Write the instances of an image or of all planes of a stack as COCO JSON."""
    write_coco(path, list(image.planes()))


def write_instances_and_stuff(
    folder: Path, planes: Images, validation: Collection[str] = ()
) -> None:
    """Write a data set as ``instances.json`` and ``stuff.json``.

    Parameters
    ----------
    folder : Path
    planes : sequence of LabelledImage or LazyImages
    validation : collection of str
        Names of the images for validation (see `validation_split.group_of`). If there are any, the
        files are ``instances_train.json``, ``instances_val.json`` and the same for stuff, all with
        the same categories.
    """
    parts = {"": planes}
    ids = None
    if validation:
        ids = {one.name: one.id for one in categories_of(planes).by_id.values()}
        files = unique_names([_file_names(image) for image in planes])
        parts = {
            f"_{part}": LazyImages(partial(_side, planes, files, validation, chosen=chosen))
            for part, chosen in (("train", False), ("val", True))
        }
    for part, images in parts.items():
        write_coco(folder / f"instances{part}.json", images, ids)
        write_coco(folder / f"stuff{part}.json", images, ids, kind="stuff")


def _side(
    planes: Images, files: Sequence[str], validation: Collection[str], *, chosen: bool
) -> Iterator[LabelledImage]:
    """Iterate over the images for validation, or over the others, with their file names."""
    for image, file in zip(planes, files, strict=True):
        if is_for_validation(image, validation) == chosen:
            yield replace(image, image_file=file)


def _file_names(image: LabelledImage) -> list[str]:
    """Possible file names of the image, best first; see `filenames.unique_names`."""
    suffix = PurePosixPath(image.image_file).suffix
    return list(dict.fromkeys([image.image_file or image.name, f"{image.name}{suffix}"]))


def _position_in_stack(image: LabelledImage) -> dict[str, Any]:
    """The stack of a plane and its position there, under a key that other programs ignore."""
    if not image.position:
        return {}
    position = position_to_record(image.position)
    return {POSITION_KEY: {"stack": image.stack, "position": position}}


def _category(category: Category, kind: Kind) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": category.id,
        "name": category.name,
        "supercategory": "none",
        "isthing": int(kind == "instances"),
    }
    if category.colour is not None:
        record["color"] = list(category.colour)
    return record


def _annotations(images: Images, table: Categories, kind: Kind) -> Iterator[dict[str, Any]]:
    for number, (image, ids) in enumerate(zip(images, table.of_label, strict=True), 1):
        size = image.labels.shape
        if kind == "stuff":
            used = used_labels(image)
            for category in dict.fromkeys(ids[label] for label in used):
                mask = np.isin(image.labels, [one for one in used if ids[one] == category])
                if image.ignored is not None:
                    mask &= ~image.ignored
                yield _annotation(_rle(mask, size), None, number, category, kind)
        else:
            for region in find_regions(image.labels, image.ignored, instances=image.instances):
                rle = _rle(region.mask, size, region.left, region.top)
                polygons = _polygons(region, rle)
                found = _annotation(rle, polygons, number, ids[region.label], kind)
                yield found if image.instances is None else {**found, OBJECT_KEY: region.number}


def _annotation(
    rle: dict[str, Any], polygons: list[list[int]] | None, image: int, category: int, kind: Kind
) -> dict[str, Any]:
    tool = _mask_tool()
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": polygons or {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
        "area": int(tool.area(rle)),
        "bbox": tool.toBbox(rle).tolist(),
        "iscrowd": 0,
        **({"kind": kind} if kind == "stuff" else {}),
    }


def _polygons(region: Region, rle: Mapping[str, Any]) -> list[list[int]] | None:
    """The outlines as ``[x, y, x, y, ...]``, or None if they decode to other pixels."""
    if any(len(polygon) > 1 for polygon in region.polygons):
        return None
    rings = [polygon[0].ravel().tolist() for polygon in region.polygons]
    tool = _mask_tool()
    decoded = tool.merge(tool.frPyObjects(rings, *rle["size"]))
    return rings if decoded["counts"] == rle["counts"] else None


def _rle(
    mask: NDArray[np.bool_], size: tuple[int, ...], left: int = 0, top: int = 0
) -> dict[str, Any]:
    """The run-length code, in column order, of a mask in a larger image of shape `size`.

    The larger image is never allocated.
    """
    height, width = size
    rows, columns = mask.shape
    flat = np.zeros((columns, rows + 1), np.int8)  # a 0 ends the runs of each column
    flat[:, :-1] = mask.T
    column, row = np.divmod(np.flatnonzero(np.diff(flat.ravel(), prepend=0)), rows + 1)
    pixels = (column + left) * height + (row + top)  # where runs begin and end, in turn
    if rows == height:  # runs may go on in the next column
        goes_on = np.flatnonzero(pixels[1:] == pixels[:-1])
        pixels = np.delete(pixels, np.concatenate([goes_on, goes_on + 1]))
    bounds = np.concatenate([[0], pixels, [height * width]])
    counts = np.diff(bounds).tolist()
    if counts[-1] == 0:  # pycocotools omits a last run of length 0
        del counts[-1]
    code: dict[str, Any] = _mask_tool().frPyObjects(
        {"size": [height, width], "counts": counts}, height, width
    )
    return code


def _mask_tool() -> Any:
    """The module ``pycocotools.mask``, which has no type hints."""
    return import_module("pycocotools.mask")
