"""Objects leave through every format and come back with their numbers, pixels and classes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from shapes import ball
from skimage import io

from napari_cliper.io.export import export_images
from napari_cliper.io.files import FileError
from napari_cliper.io.readers.object_files import read_objects
from napari_cliper.io.writers.measurements import class_table, region_table
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.objects.labelled import with_objects
from napari_cliper.objects.object_set import objects_of
from napari_cliper.segmentation import InvalidInputError

ROWS = {1: ClassRow("nucleus"), 2: ClassRow("=fibre"), 3: ClassRow("none of it")}
SHAPE = (60, 80)


def drawn(factor=1):
    """Touching objects, one with a hole, one in two parts; `factor` makes numbers large."""
    numbers = np.zeros(SHAPE, np.int64)
    numbers[ball(SHAPE, (20, 20), 12)] = 2
    numbers[ball(SHAPE, (20, 20), 4)] = 0
    numbers[ball(SHAPE, (20, 20), 2)] = 9  # in the hole
    numbers[ball(SHAPE, (20, 38), 9) & (numbers == 0)] = 5
    numbers[40:50, 5:20] = 7
    numbers[40:50, 20:30] = 3
    numbers[55:58, 60:70] = 4
    numbers[40:44, 60:70] = 4  # the same object
    numbers[0, 0] = 8
    return objects_of((numbers * factor).astype(np.uint32))


def labelled(objects, **given):
    labels = {number: 1 + int(number) % 2 for number in objects.ids.tolist()}
    named = objects.with_labels(labels)
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    plain = LabelledImage("field", np.zeros(SHAPE, np.uint8), ROWS, image=pixels, **given)
    return with_objects(plain, named), {
        number: ROWS[label].name for number, label in labels.items()
    }


FILES = {
    "object-tiff": "field_objects.tif",
    "object-png": "field_objects.png",
    "coco": "instances.json",
    "geojson": "field.geojson",
    "ome-zarr": "field.ome.zarr",
}


@pytest.mark.parametrize("factor", [1, 1000, 90_000_000])
def test_objects_come_back_from_every_format(tmp_path, factor):
    objects = drawn(factor)
    image, names = labelled(objects)
    for name, file in FILES.items():
        out = tmp_path / name
        if name == "object-png" and factor == 90_000_000:
            with pytest.raises(InvalidInputError, match="PNG holds numbers up to 65535"):
                export_images(out, [image], [name])
            continue
        export_images(out, [image], [name])
        found = read_objects(out / file, SHAPE)
        assert np.array_equal(found.numbers, objects.numbers), name
        assert dict(found.classes) == names, name
        labels = found.label_array({row.name: label for label, row in ROWS.items()})
        assert np.array_equal(labels, image.labels), name
    written = tifffile.imread(tmp_path / "object-tiff" / "field_objects.tif")
    assert written.dtype == (np.uint32 if factor == 90_000_000 else np.uint16)
    table = pd.read_csv(tmp_path / "object-tiff" / "field_objects.csv")
    assert table["object"].tolist() == objects.ids.tolist()
    assert table["area [pixel]"].tolist() == objects.areas.tolist()


def test_yolo_has_classes_and_outlines(tmp_path):
    objects = drawn()
    image, names = labelled(objects)
    export_images(tmp_path / "out", [image], ["yolo"])
    (file,) = (tmp_path / "out" / "labels" / "train").glob("*.txt")
    found = read_objects(file, SHAPE)
    assert np.array_equal(found.numbers > 0, objects.numbers > 0)
    parts = found.numbers.max()
    assert parts == len(objects.ids) + 1  # the object in two parts is two outlines
    for number in range(1, parts + 1):
        (own,) = set(objects.numbers[found.numbers == number].tolist())
        assert found.classes[number] == names[own]


def test_files_of_other_programs(tmp_path):
    numbers = drawn().numbers
    Image.fromarray(numbers.astype(np.uint16)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", numbers.astype(np.uint32) * 100_000)
    tifffile.imwrite(tmp_path / "c.tif", numbers.astype(np.float32))
    for name, factor in (("a.png", 1), ("b.tif", 100_000), ("c.tif", 1)):
        found = read_objects(tmp_path / name)
        assert np.array_equal(found.numbers, numbers * factor)
        assert found.classes == {}
    (tmp_path / "a.csv").write_text("region,area\n1,2\n")  # a table of something else
    assert read_objects(tmp_path / "a.png").classes == {}
    # a row that ends early, one that is empty, and one that repeats another
    (tmp_path / "a.csv").write_text("object,class\n1,nucleus\n2\n3,\n1,nucleus\n1\n")
    assert read_objects(tmp_path / "a.png").classes == {1: "nucleus"}
    ring = [[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]
    features = [{"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": None}]
    (tmp_path / "d.geojson").write_text(json.dumps(features))
    found = read_objects(tmp_path / "d.geojson", SHAPE)
    assert (found.numbers == 1).sum() == 100
    assert found.numbers[10:20, 10:20].all()
    (tmp_path / "e.txt").write_text("3 0.25 0.5 0.5 0.5 0.5 0.75 0.25 0.75\n")
    found = read_objects(tmp_path / "e.txt", SHAPE)
    assert found.classes == {1: "class 3"}
    assert (found.numbers[30:45, 20:40] == 1).all()


def test_what_cannot_be_read_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "half.tif", np.full(SHAPE, 0.5, np.float32))
    tifffile.imwrite(tmp_path / "below.tif", np.full(SHAPE, -1, np.int16))
    tifffile.imwrite(tmp_path / "above.tif", np.full(SHAPE, 4_000_000_000, np.uint32))
    tifffile.imwrite(tmp_path / "table.tif", np.ones(SHAPE, np.uint8))
    (tmp_path / "table.csv").write_text("object,class\nfive,nucleus\n")
    tifffile.imwrite(tmp_path / "twice.tif", np.ones(SHAPE, np.uint8))
    (tmp_path / "twice.csv").write_text("object,class\n1,nucleus\n1,crystal\n")
    (tmp_path / "bad.geojson").write_text('{"features": [{"geometry": {"type": "Point"}}]}')
    (tmp_path / "bad.txt").write_text("0 0.5 0.5\n")
    (tmp_path / "bad.zarr").mkdir()
    for name, message in {
        "half.tif": "not integers",
        "below.tif": "objects from -1",
        "above.tif": "only 0 to 2147483647",
        "table.tif": "table of objects .* cannot be read",
        "twice.tif": "object 1 has two classes, 'nucleus' and 'crystal'",
        "bad.geojson": "is not GeoJSON with polygons",
        "bad.txt": "at least three points",
        "bad.zarr": "bad.zarr",
        "a.xyz": "objects can be read from",
        "missing.geojson": "does not exist",
        "missing.tif": "missing.tif",
    }.items():
        with pytest.raises((FileError, InvalidInputError), match=message):
            read_objects(tmp_path / name, SHAPE)
    with pytest.raises(InvalidInputError, match="how large its image is"):
        read_objects(tmp_path / "bad.txt")


def test_a_stack_keeps_its_axes_and_numbers(tmp_path):
    numbers = np.stack([drawn().numbers, drawn(2).numbers])
    labels = (numbers > 0).astype(np.uint8)
    image = LabelledImage("movie", labels, ROWS, axes="TYX", instances=numbers)
    export_images(tmp_path, [image], ["object-tiff", "ome-zarr", "object-png", "coco"])
    for path in ("object-tiff/movie_objects.tif", "ome-zarr/movie.ome.zarr"):
        found = read_objects(tmp_path / path)
        assert found.axes == "TYX"
        assert np.array_equal(found.numbers, numbers)
    for index in (0, 1):
        plane = io.imread(tmp_path / "object-png" / f"movie_t{index}_objects.png")
        assert np.array_equal(plane, numbers[index])
        found = read_objects(tmp_path / "coco" / "instances.json", image_name=f"movie_t{index}")
        assert np.array_equal(found.numbers, numbers[index])


def test_objects_are_measured():
    side = 200
    numbers = np.zeros((side, side), np.int32)
    numbers[ball(numbers.shape, (50, 50), 20)] = 70_000
    numbers[ball(numbers.shape, (50, 90.5), 20) & (numbers == 0)] = 12
    y, x = np.ogrid[:side, :side]
    numbers[((y - 140) / 15) ** 2 + ((x - 100) / 45) ** 2 <= 1] = 40
    labels = (numbers > 0).astype(np.uint8)
    pixels = np.stack([numbers == 12, numbers == 40], axis=-1).astype(np.float32)
    units = ("micrometer", "micrometer")
    image = LabelledImage(
        "a", labels, ROWS, image=pixels, pixel_size=(0.5, 0.5), units=units, instances=numbers
    )
    table = pd.DataFrame(region_table(image)).set_index("object")
    assert sorted(table.index) == [12, 40, 70_000]
    assert "region" not in table
    row = table.loc[40]
    assert row["major axis [pixel]"] == pytest.approx(90, rel=0.02)
    assert row["minor axis [micrometer]"] == pytest.approx(15, rel=0.02)
    assert row["eccentricity"] == pytest.approx(np.sqrt(1 - 1 / 9), abs=0.005)
    assert row["area [micrometer^2]"] == pytest.approx(np.pi * 15 * 45 / 4, rel=0.01)
    assert table["mean intensity 1"].to_dict() == {12: 1, 40: 0, 70_000: 0}
    nucleus = pd.DataFrame(class_table(image)).set_index("class").loc["nucleus"]
    assert nucleus["objects"] == 3
    assert nucleus["density [1/mm^2]"] == pytest.approx(3 / (0.1 * 0.1))
    assert nucleus["median area [micrometer^2]"] == pytest.approx(np.pi * 100, rel=0.01)
    plain = class_table(LabelledImage("a", labels, ROWS))
    assert "density [1/mm^2]" not in plain
    assert plain["regions"][0] == 2


def test_objects_without_a_class_are_exported_too(tmp_path):
    objects = drawn()
    plain = LabelledImage("field", np.zeros(SHAPE, np.uint8), ROWS)
    image = with_objects(plain, objects.with_labels({7: 2}))
    assert image.classes[4].name == "object"
    export_images(tmp_path, [image], ["geojson"])
    found = read_objects(tmp_path / "field.geojson", SHAPE)
    assert np.array_equal(found.numbers, objects.numbers)
    assert found.classes[7] == "=fibre"
    assert found.classes[2] == "object"
