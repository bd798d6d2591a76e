"""Regions as GeoJSON, as QuPath reads and writes annotations.

The geometry is that of RFC 7946, but that coordinates are pixels of the image, from the top left
corner of the first one (QuPath's convention, and that of `outlines`). The properties are those
that QuPath's own export has: from 0.4 on a class's colour is a list, before that the one number
``colorRGB``; both are given, and each version passes over the other.
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
    """Write every connected region of an image as an annotation; see `geojson_record`."""
    path.write_text(json.dumps(geojson_record(image), allow_nan=False), encoding="ascii")


def geojson_record(image: LabelledImage) -> dict[str, Any]:
    """A FeatureCollection of the connected regions (8-connectivity) of an image.

    Exact: filled at the centres of pixels, the geometries give the labels back. A region is a
    Polygon with its holes, or a MultiPolygon where it hangs together by corners alone, so that
    every geometry is valid. Lost are pixel size and unit (QuPath takes them from the image), the
    numbers of the labels, synonyms, and which pixels are undecided; those are in no region.

    Parameters
    ----------
    image : LabelledImage
        A plane. Where it is of a stack whose axes are named, each geometry has QuPath's
        ``plane``. A label without a class is classified ``"label N"``, with no colour. QuPath
        takes a colon in a name for the border between a class and its subclass.

    Returns
    -------
    dict
        JSON-safe. The id of a feature comes from the image's name and the feature's position:
        the same in every export of the same labels.

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
            for index, region in enumerate(find_regions(image.labels, image.ignored))
        ],
    }


def _feature(
    image: LabelledImage, index: int, region: Region, colour: Colour | None
) -> dict[str, Any]:
    # A file's name may hold bytes that are no text, which a UUID cannot be made from.
    name = image.name.encode("utf-8", "backslashreplace").decode()
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"napari-cliper/{name}/{index}")),
        "geometry": {**_geometry(region), **_plane(image)},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": label_name(image, region.label), **_colour(colour)},
            "isLocked": False,
        },
    }


def _geometry(region: Region) -> dict[str, Any]:
    coordinates = [_closed(polygon) for polygon in region.polygons]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _plane(image: LabelledImage) -> dict[str, Any]:
    """Where the plane is in its stack, as QuPath has it: a channel of -1 is every channel."""
    known = {letter: index for letter, index in image.position if letter != UNKNOWN}
    if not known:
        return {}
    return {"plane": {"c": known.get("C", -1), "z": known.get("Z", 0), "t": known.get("T", 0)}}


def _closed(polygon: Polygon) -> list[list[list[int]]]:
    rings: list[list[list[int]]] = [ring.tolist() for ring in polygon]
    return [[*ring, ring[0]] for ring in rings]


def _colour(colour: Colour | None) -> dict[str, Any]:
    """A colour as a list, and as Java's signed 32 bits of alpha (full), red, green, blue."""
    if colour is None:
        return {}
    return {
        "color": list(colour),
        "colorRGB": int.from_bytes(bytes([255, *colour]), "big", signed=True),
    }
