"""Write regions as GeoJSON, in the form in which QuPath reads and writes annotations.

The geometry follows RFC 7946, except that coordinates are pixels, with the origin at the top left
corner of the first pixel (as in QuPath and in `labels.outlines`). The properties are those of
QuPath's own export. The colour of a class is written both as a list, for QuPath 0.4 and later, and
as the number ``colorRGB``, for earlier versions; each version ignores the other.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from ...labels.axes import UNKNOWN
from ...labels.label_class import Colour
from ...labels.label_names import check_plane, label_name
from ...labels.labelled_image import LabelledImage
from ...labels.outlines import Polygon, Region, find_regions


def write_geojson(path: Path, image: LabelledImage) -> None:
    """Write every object or connected region as an annotation; see `geojson_record`."""
    path.write_text(json.dumps(geojson_record(image), allow_nan=False), encoding="ascii")


def geojson_record(image: LabelledImage) -> dict[str, Any]:
    """A FeatureCollection of the objects, or connected regions (8-connectivity), of an image.

    The export is exact: the pixels whose centres are inside a geometry are those of the region.
    A region is a Polygon with its holes, or a MultiPolygon if it is connected only by corners, so
    that every geometry is valid. Pixel size and unit (QuPath takes them from the image), label
    numbers, synonyms, and the mask of ignored pixels are lost; ignored pixels are in no region. The
    number of an object is the name of its annotation.

    Parameters
    ----------
    image : LabelledImage
        A plane. If it is from a stack with named axes, each geometry has QuPath's ``plane``. A
        label without a class gets the class ``"label N"`` without colour. QuPath reads a colon in
        a name as the separator of a class and its subclass.

    Returns
    -------
    dict
        JSON-safe. The id of a feature depends on the name of the image and the index of the
        feature only, so that every export of the same labels has the same ids.

    Raises
    ------
    InvalidInputError
        For a stack.
    """
    check_plane(image, "GeoJSON")
    colours = image.colours
    return {
        "type": "FeatureCollection",
        "features": [
            _feature(image, index, region, colours.get(region.label))
            for index, region in enumerate(
                find_regions(image.labels, image.ignored, instances=image.instances)
            )
        ],
    }


def _feature(
    image: LabelledImage, index: int, region: Region, colour: Colour | None
) -> dict[str, Any]:
    # File names may have lone surrogates, from which no UUID can be made.
    name = image.name.encode("utf-8", "backslashreplace").decode()
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"napari-cliper/{name}/{index}")),
        "geometry": {**_geometry(region), **_plane(image)},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": label_name(image, region.label), **_colour(colour)},
            "isLocked": False,
            **({} if image.instances is None else {"name": str(region.number)}),
        },
    }


def _geometry(region: Region) -> dict[str, Any]:
    coordinates = [_closed(polygon) for polygon in region.polygons]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _plane(image: LabelledImage) -> dict[str, Any]:
    """QuPath's ``plane``: the position in the stack; channel -1 means all channels."""
    known = {letter: index for letter, index in image.position if letter != UNKNOWN}
    if not known:
        return {}
    return {"plane": {"c": known.get("C", -1), "z": known.get("Z", 0), "t": known.get("T", 0)}}


def _closed(polygon: Polygon) -> list[list[list[int]]]:
    rings: list[list[list[int]]] = [ring.tolist() for ring in polygon]
    return [[*ring, ring[0]] for ring in rings]


def _colour(colour: Colour | None) -> dict[str, Any]:
    """A colour as a list, and as a signed 32-bit integer of alpha (255), red, green and blue."""
    if colour is None:
        return {}
    return {
        "color": list(colour),
        "colorRGB": int.from_bytes(bytes([255, *colour]), "big", signed=True),
    }
