"""GeoJSON: geometries that give the labels back and are valid, properties as QuPath has them."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest
from label_maps import HARD, filled
from scipy import ndimage

from napari_cliper.io.writers.geojson import geojson_record, write_geojson
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

NAMES = {1: 'cell / "nucleus"', 2: "細胞 é 🧫", 3: "Tumour: positive"}
ROWS = {label: ClassRow(name, colour=(200, 0, label)) for label, name in NAMES.items()}


def read(tmp_path, labels, **parts):
    write_geojson(tmp_path / "a.geojson", LabelledImage("a", labels, ROWS, **parts))
    record = json.loads((tmp_path / "a.geojson").read_text())
    assert record["type"] == "FeatureCollection"
    return record["features"]


def polygons(feature):
    geometry = feature["geometry"]
    several = geometry["type"] == "MultiPolygon"
    assert several or geometry["type"] == "Polygon"
    return geometry["coordinates"] if several else [geometry["coordinates"]]


def label_of(feature):
    name = feature["properties"]["classification"]["name"]
    return next((label for label, one in NAMES.items() if one == name), None) or int(name[6:])


def test_filling_gives_the_labels_back(tmp_path, subtests):
    for name, labels in HARD.items():
        with subtests.test(labels=name):
            painted = np.zeros(labels.shape, np.int64)
            for feature in read(tmp_path, labels):
                for polygon in polygons(feature):
                    mask = filled([ring[:-1] for ring in polygon], labels.shape)
                    assert not painted[mask].any()
                    painted[mask] = label_of(feature)
            np.testing.assert_array_equal(painted, labels)


def test_a_feature_is_a_connected_region_and_its_pieces_are_parts(tmp_path, subtests):
    for name, labels in HARD.items():
        with subtests.test(labels=name):
            features = read(tmp_path, labels)
            for label in np.unique(labels[labels > 0]):
                own = [feature for feature in features if label_of(feature) == label]
                assert len(own) == ndimage.label(labels == label, np.ones((3, 3)))[1]
                pieces = sum(len(polygons(feature)) for feature in own)
                assert pieces == ndimage.label(labels == label)[1]


def test_rings_are_closed_wound_by_the_right_hand_and_simple(tmp_path, subtests):
    for name, labels in HARD.items():
        with subtests.test(labels=name):
            for feature in read(tmp_path, labels):
                for polygon in polygons(feature):
                    for number, ring in enumerate(polygon):
                        assert ring[0] == ring[-1]
                        assert len(ring) >= 5
                        assert len({tuple(point) for point in ring}) == len(ring) - 1
                        x, y = np.array(ring).T
                        area = (x[:-1] * y[1:] - x[1:] * y[:-1]).sum()
                        assert (area > 0) == (number == 0)
                        height, width = labels.shape
                        assert x.min() >= 0 <= y.min()
                        assert x.max() <= width
                        assert y.max() <= height


def test_a_pixel_is_a_square_from_its_number_to_the_next(tmp_path):
    labels = np.zeros((3, 4), np.uint8)
    labels[1, 2] = 1
    ((ring,),) = polygons(read(tmp_path, labels)[0])[0:1]
    assert ring == [[2, 1], [3, 1], [3, 2], [2, 2], [2, 1]]


def test_properties_are_those_of_qupath(tmp_path):
    (one, other) = read(tmp_path, np.array([[3, 0, 9]], np.uint8))
    assert one["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "Tumour: positive", "color": [200, 0, 3], "colorRGB": -3670013},
        "isLocked": False,
    }
    # QuPath's own (Java's) reading of the number.
    packed = np.int32(one["properties"]["classification"]["colorRGB"]).view(np.uint32)
    assert f"{packed:08x}" == "ffc80003"
    assert other["properties"]["classification"] == {"name": "label 9"}


def test_ids_are_uuids_and_the_same_again(tmp_path):
    labels = HARD["noise 0"]
    first, again = read(tmp_path, labels), read(tmp_path, labels)
    ids = [uuid.UUID(feature["id"]) for feature in first]
    assert len(set(ids)) == len(ids)
    assert first == again
    renamed = geojson_record(LabelledImage("b\udcff", labels, ROWS))["features"]
    assert not {feature["id"] for feature in renamed} & {feature["id"] for feature in first}


def test_ignored_pixels_are_in_no_feature(tmp_path):
    ignored = np.array([[True, False], [True, True]])
    (only,) = read(tmp_path, np.array([[1, 1], [2, 0]], np.uint8), ignored=ignored)
    assert filled([ring[:-1] for ring in polygons(only)[0]], (2, 2)).tolist() == [
        [False, True],
        [False, False],
    ]


def test_the_plane_of_a_stack_is_qupaths(tmp_path):
    labels = np.ones((2, 3, 4, 4), np.uint8)
    for axes, last in (
        ("TZYX", {"c": -1, "z": 2, "t": 1}),
        ("CTYX", {"c": 1, "z": 0, "t": 2}),
        ("QQYX", None),
    ):
        *_, plane = LabelledImage("a", labels, ROWS, axes=axes).planes()
        (feature,) = geojson_record(plane)["features"]
        assert feature["geometry"].get("plane") == last
    (flat,) = read(tmp_path, labels[0, 0])
    assert "plane" not in flat["geometry"]


def test_a_stack_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="plane by plane"):
        read(tmp_path, np.zeros((2, 3, 4), np.uint8))
