"""File > Save in a real viewer, each file read back by another program."""

from __future__ import annotations

import csv
import errno
import json
import os

import dask.array as da
import npe2
import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from npe2.manifest.utils import import_python_name
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from PIL import Image
from pycocotools.coco import COCO
from skimage.measure import label as regions_of

from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.io.files import FileError
from napari_cliper.io.formats import FORMATS
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.contributions.writers import write_layers
from napari_cliper.plugin.layers.annotation_layer import AnnotationLayer
from napari_cliper.plugin.layers.image_layers import OUTPUT_KEY
from napari_cliper.plugin.layers.label_colours import colours_of_labels
from napari_cliper.plugin.layers.labelled_layer import labelled_of_layer

pytestmark = pytest.mark.one_binding

SCENE = make_scene((64, 80), 4)
NAMES = {number: kind.name for number, kind in enumerate(KINDS, 1)}
ROWS = {
    number: ClassRow(name, colour=(10 * number, 20, 255 - number)) for number, name in NAMES.items()
}


def ours(**fields):
    """A layer as the dock makes them."""
    given = {
        "name": "scene refined",
        "scale": (0.5, 0.25),
        "units": ("micrometer", "micrometer"),
        "features": pd.DataFrame({"index": [0, *NAMES], "class": ["background", *NAMES.values()]}),
        "colormap": colours_of_labels(ROWS),
        "metadata": {OUTPUT_KEY: {"model": "demo"}},
    }
    return Labels(SCENE.labels.copy(), **{**given, **fields})


def of(layer):
    data, attributes, _ = layer.as_layer_data_tuple()
    return labelled_of_layer(data, attributes, layer.name)


@pytest.fixture
def save(make_napari_viewer, tmp_path):
    """Save a layer with our writers, or those that are asked for."""

    def run(layer, name, plugin="napari-cliper"):
        viewer = make_napari_viewer()
        viewer.add_layer(layer)
        return viewer.layers.save(str(tmp_path / name), plugin=plugin)

    return run


# ---------------------------------------------------------------------- the formats


def read_tiff(path):
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert file.imagej_metadata["unit"] == "um"
        assert "1 = nucleus" in file.imagej_metadata["Info"]
        table = file.pages.first.colormap
        assert tuple(table[:, 2] >> 8) == ROWS[2].colour
        return file.asarray()


def read_ome(path):
    with tifffile.TiffFile(path) as file:
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeX"]) == (0.5, 0.25)
        return np.squeeze(file.asarray())


def read_png(path):
    with Image.open(path) as picture:
        assert tuple(picture.getpalette()[6:9]) == ROWS[2].colour
        return np.array(picture)


def read_coco(path):
    coco = COCO(str(path))
    (image,) = coco.dataset["images"]
    assert image["file_name"] == "scene refined"
    painted = np.zeros((image["height"], image["width"]), np.uint8)
    for one in coco.loadAnns(coco.getAnnIds()):
        painted[coco.annToMask(one) > 0] = one["category_id"]
    assert {one["id"]: one["name"] for one in coco.dataset["categories"]} == NAMES
    return painted


def read_npz(path):
    with np.load(path, allow_pickle=False) as file:
        assert dict(zip(file["class_labels"], file["class_names"], strict=True)) == NAMES
        assert file["pixel_size"].tolist() == [0.5, 0.25]
        return file["labels"]


def read_zarr(path):
    (node,) = [node for node in Reader(parse_url(path))() if node.data]
    assert node.metadata["axes"][-1]["unit"] == "micrometer"
    return np.squeeze(node.data[0].compute())


EXACT = {
    "cells.ome.tif": read_ome,
    "cells.OME.TIFF": read_ome,
    "cells.tif": read_tiff,
    "cells.tiff": read_tiff,
    "cells.png": read_png,
    "cells.json": read_coco,
    "cells.npz": read_npz,
    "cells.ome.zarr": read_zarr,
}


@pytest.mark.parametrize("name", EXACT)
def test_other_programs_read_the_same_labels(save, tmp_path, name):
    (written,) = save(ours(), name)
    assert written == str(tmp_path / name)
    np.testing.assert_array_equal(EXACT[name](tmp_path / name), SCENE.labels)
    assert [path.name for path in tmp_path.glob("[!.]*")] == [name]


def test_outlines_and_measurements(save, tmp_path):
    save(ours(), "cells.geojson")
    save(ours(), "cells.csv")
    features = json.loads((tmp_path / "cells.geojson").read_text())["features"]
    with (tmp_path / "cells.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    count = sum(
        regions_of(SCENE.labels == label, return_num=True)[1]
        for label in np.unique(SCENE.labels)[1:]
    )
    assert len(features) == len(rows) == count
    assert {one["properties"]["classification"]["name"] for one in features} == {
        row["class"] for row in rows
    }
    areas = sum(float(row["area [micrometer^2]"]) for row in rows)
    assert areas == pytest.approx(np.count_nonzero(SCENE.labels) * 0.5 * 0.25)


def test_plain_png_when_it_is_chosen(tmp_path):
    """As the dialog calls the writer that a person chooses in its list."""
    labels = np.arange(400, dtype=np.uint16).reshape(20, 20)
    layer = Labels(labels, name="many")
    chosen = next(
        one
        for one in npe2.PluginManager.instance().iter_compatible_writers(["labels"])
        if one.command == "napari-cliper.write_plain_png"
    )
    (written,) = chosen.exec(args=(str(tmp_path / "many v1.2"), [layer.as_layer_data_tuple()]))
    assert written == str(tmp_path / "many v1.2.png")
    with Image.open(written) as picture:
        np.testing.assert_array_equal(np.array(picture), labels)
    with pytest.raises(FileError, match="exists already"):
        chosen.exec(args=(str(tmp_path / "many v1.2"), [layer.as_layer_data_tuple()]))


def test_the_dialog_writes_what_is_chosen_in_its_list(make_napari_viewer, tmp_path, monkeypatch):
    viewer = make_napari_viewer(show=False)
    viewer.add_layer(ours())
    listed = []

    def answer(_self, _parent, _title, _proposed, *, filter, options):  # noqa: A002, ARG001
        listed.extend(filter.split(";;"))
        (chosen,) = (one for one in listed if "PNG, plain" in one)
        return str(tmp_path / "cells"), chosen

    monkeypatch.setattr("napari._qt.qt_viewer.QFileDialog.getSaveFileName", answer)
    viewer.window._qt_viewer._save_layers_dialog()
    assert listed[0].startswith("napari")  # so that it is what the dialog proposes
    with Image.open(tmp_path / "cells.png") as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.array(picture), SCENE.labels)


# ---------------------------------------------------------------------- who writes


@pytest.mark.parametrize("name", ["cells.tif", "cells.tiff", "cells.npz", "cells"])
@pytest.mark.parametrize("first", [True, False])
def test_napari_writes_where_nobody_is_chosen(monkeypatch, name, first):
    """Whichever plugin was found first."""
    contributions = npe2.PluginManager.instance()._contrib
    mine = [one for one in contributions._writers if one[3].plugin_name == "napari-cliper"]
    others = [one for one in contributions._writers if one not in mine]
    assert mine
    assert others
    monkeypatch.setattr(contributions, "_writers", mine + others if first else others + mine)
    writer, _ = npe2.PluginManager.instance().get_writer(name, ["labels"])
    assert writer.plugin_name == "napari"


def test_the_manifest_offers_every_format_with_an_ending():
    manifest = npe2.PluginManager.instance().get_manifest("napari-cliper")
    offered = {one.command: one for one in manifest.contributions.writers}
    commands = {one.id: one for one in manifest.contributions.commands}
    saved = {
        f"napari-cliper.write_{name.replace('-', '_')}": (name, one)
        for name, one in FORMATS.items()
        if one.endings
    }
    assert set(offered) == set(saved)
    for command, (name, one) in saved.items():
        assert tuple(offered[command].filename_extensions) == one.endings
        assert offered[command].display_name == one.title
        assert commands[command].title == f"Save labels as {one.title}"
        found = import_python_name(commands[command].python_name)
        assert (found.func, found.args) == (write_layers, (name,))


# ---------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("name", [*EXACT, "cells.geojson", "cells.csv"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "is missing, and cannot be made. Choose another folder"),
    ],
)
def test_a_folder_that_takes_nothing_says_so(save, tmp_path, monkeypatch, name, number, words):
    def refuse(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("napari_cliper.io.files.tempfile.mkdtemp", refuse)
    with pytest.raises(FileError, match=words):
        save(ours(), name)
    assert list(tmp_path.glob("[!.]*")) == []


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (np.full((4, 4), 70_000), "a.tif", "0 to 65535"),
        (np.full((4, 4), -1), "a.ome.tif", "0 to 65535"),
        (np.full((4, 4), 300, np.uint16), "a.png", "labels up to 254"),
        (np.ones((3, 4, 4), np.uint8), "a.json.png", "one plane"),
        (np.ones((3, 4, 4), np.uint8), "a.geojson", "one plane"),
    ],
)
def test_labels_that_a_format_cannot_store_are_refused_and_nothing_is_left(
    save, tmp_path, data, name, words
):
    with pytest.raises(FileError, match=words):
        save(Labels(data, name="odd"), name)
    assert list(tmp_path.glob("[!.]*")) == []


def test_a_failure_keeps_the_file_that_was_there(save, tmp_path):
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(FileError):
        save(Labels(np.full((4, 4), 300, np.uint16)), "a.png")
    assert (tmp_path / "a.png").read_text() == "mine"


@pytest.mark.parametrize("name", ["raw.png", "raw.ome.zarr/0.txt"])
def test_only_own_files_are_replaced(save, tmp_path, name):
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("mine")
    target = name.split("/")[0]
    with pytest.raises(FileError, match="napari-cliper did not write it"):
        save(ours(), target)
    assert place.read_text() == "mine"
    (tmp_path / target).rename(tmp_path / "moved")
    for _ in range(2):  # the second time over the own file
        assert save(ours(), target)
    assert (tmp_path / target).exists()


@pytest.mark.parametrize("name", ["mit Leer 'und\" mehr", "細胞 100%", "v1.2", "#1; [a] & {b}"])
@pytest.mark.parametrize("ending", [".ome.tif", ".json", ".ome.zarr"])
def test_any_name(save, tmp_path, name, ending):
    layer = ours(name=f"{name}/\\:")
    save(layer, name + ending)
    assert [path.name for path in tmp_path.glob("[!.]*")] == [name + ending]
    if ending == ".json":
        record = json.loads((tmp_path / f"{name}.json").read_text())
        assert record["images"][0]["file_name"] == layer.name


# ---------------------------------------------------------------------- what a layer says


def test_layers_of_others_keep_their_numbers_and_the_colours_that_are_seen():
    layer = Labels(np.array([[0, 3, 7], [7, 7, 40_000]]))  # int64, as most programs make them
    image = of(layer)
    assert image.labels.dtype == np.uint16
    assert {label: row.name for label, row in image.classes.items()} == {
        3: "label 3", 7: "label 7", 40_000: "label 40000",
    }  # fmt: skip
    for label in (3, 7, 40_000):
        np.testing.assert_allclose(
            np.array(image.colours[label]) / 255, layer.get_color(label)[:3], atol=0.003
        )
    assert image.units == ("pixel", "pixel")
    assert image.axes == "YX"
    assert image.record == {}


def test_classes_that_do_not_occur_stay_and_hidden_ones_keep_their_colour():
    rows = {2: ClassRow("a/b", colour=(1, 2, 3)), 9: ClassRow("c", colour=(9, 8, 7), visible=False)}
    table = pd.DataFrame({"index": [0, 2, 9, 11], "class": ["background", "a/b", "c", np.nan]})
    record = {"classes": [{"name": "c", "synonyms": ["see"]}]}
    layer = ours(features=table, colormap=colours_of_labels(rows), metadata={OUTPUT_KEY: record})
    found = of(layer).classes
    assert list(found) == [2, 9]
    assert found[2] == rows[2]
    assert found[9] == ClassRow("c", ("see",), colour=(9, 8, 7), visible=False)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_pyramid_gives_its_finest_level(lazy):
    levels = [SCENE.labels, SCENE.labels[::2, ::2]]
    attributes = {**ours().as_layer_data_tuple()[1], "multiscale": True}
    given = [da.from_array(level) for level in levels] if lazy else levels
    np.testing.assert_array_equal(labelled_of_layer(given, attributes, "x").labels, SCENE.labels)


@pytest.mark.parametrize(
    ("shape", "names", "axes"),
    [
        ((2, 3, 4, 5), ("Time", "depth", "row", "column"), "TZYX"),
        ((2, 3, 4, 5), ("z", "t", "y", "x"), "ZTYX"),
        ((2, 4, 5), ("channel", "y", "x"), "CYX"),
        ((2, 4, 5), None, "QYX"),
        ((2, 4, 5), ("angle", "y", "x"), "QYX"),
        ((2, 2, 4, 5), ("z", "depth", "y", "x"), "ZQYX"),
    ],
)
def test_axes_by_their_names(shape, names, axes):
    layer = Labels(np.zeros(shape, np.uint8), axis_labels=names)
    assert of(layer).axes == axes


def test_a_pixel_is_as_large_as_in_the_world():
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[1:3, 1:3] = 2 * turn
    layer = Labels(
        np.zeros((2, 3, 4), np.uint8),
        scale=(3, 0.5, -0.25),
        affine=affine,
        units=("second", "nm", "nm"),
    )
    image = of(layer)
    np.testing.assert_allclose(image.pixel_size, (3, 1, 0.5))
    assert image.units == ("second", "nanometer", "nanometer")


def test_an_annotation_is_called_by_its_image(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    image = viewer.add_image(SCENE.image, name="field 3.png", scale=(2, 2))
    annotation = AnnotationLayer(image, image.name)
    annotation.classes.update(ROWS)
    annotation.show_classes(())
    viewer.add_layer(annotation.layer)
    annotation.layer.data[5:9, 5:9] = 2
    viewer.layers.selection = {annotation.layer}
    viewer.layers.save(str(tmp_path / "a.json"), selected=True, plugin="napari-cliper")
    coco = COCO(str(tmp_path / "a.json"))
    assert [one["file_name"] for one in coco.dataset["images"]] == ["field 3.png"]
    (one,) = coco.dataset["annotations"]
    assert (one["category_id"], one["area"]) == (2, 16)
    annotation.close()


def test_attributes_alone_are_enough():
    image = labelled_of_layer(np.ones((3, 4), np.uint8), {}, "bare")
    assert image.classes == {1: ClassRow("label 1")}
    assert image.pixel_size == (1, 1)
    colours = DirectLabelColormap(color_dict={None: "red", 0: "black"})
    shown = labelled_of_layer(np.ones((3, 4), np.uint8), {"colormap": colours}, "bare")
    assert shown.colours == {1: (255, 0, 0)}


# ---------------------------------------------------------------------- odd tables and metadata


def test_objects_that_share_a_class_are_one_category(save, tmp_path):
    labels = np.zeros((20, 30), np.uint8)
    labels[2:8, 2:8], labels[2:8, 8:20] = 1, 2  # they touch
    table = pd.DataFrame({"index": [0, 1, 2], "class": ["background", "nucleus", "nucleus"]})
    save(Labels(labels, name="cells", features=table), "cells.json")
    coco = COCO(str(tmp_path / "cells.json"))
    (category,) = coco.dataset["categories"]
    assert category["name"] == "nucleus"
    masks = [coco.annToMask(one) for one in coco.loadAnns(coco.getAnnIds())]
    assert sorted(int(mask.sum()) for mask in masks) == [36, 72]
    np.testing.assert_array_equal(sum(masks), labels > 0)


def test_odd_tables_and_metadata_do_not_keep_labels_from_being_written(tmp_path):
    odd_rows = [np.nan, None, "x", 1.5, np.inf, -3]
    table = pd.DataFrame({"index": ["1", *odd_rows], "class": ["nucleus", *"abcdef"]}, dtype=object)
    odd = [
        {"features": table},
        *({"metadata": {OUTPUT_KEY: record}} for record in (
            "a text", [1], {"classes": "abc"}, {"classes": None}, {"annotation_of": 5},
            {"classes": [{"foo": 1}, 5, {"name": "label 2", "synonyms": [3, "see"]}]},
            {"of an array": np.arange(3)}, {"no number": float("nan")},
        )),
    ]  # fmt: skip
    labels = np.zeros((20, 30), np.uint8)
    labels[2:8, 2:8], labels[10:15, 8:20] = 1, 2
    for number, fields in enumerate(odd):
        for name, one in FORMATS.items():
            if not one.endings:
                continue
            layer = Labels(labels.copy(), name="cells", **fields).as_layer_data_tuple()
            target = tmp_path / f"{number} {name}{one.endings[0]}"
            assert write_layers(name, str(target), [layer]) == [str(target)]
            assert target.exists()
    named = labelled_of_layer(labels, {"features": table}, "cells").classes
    assert {label: row.name for label, row in named.items()} == {1: "nucleus"}
