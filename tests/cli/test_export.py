"""`napari-cliper export`, driven as a person drives it; the files are read by other programs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from PIL import Image
from pycocotools.coco import COCO

from napari_cliper.annotation.edit_mask import ACCEPTED, AnnotationState
from napari_cliper.annotation.project.image_list import FILE
from napari_cliper.annotation.project.project import Project
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.io.class_list import write_classes
from napari_cliper.io.export import export_images
from napari_cliper.io.lazy_images import summary_of
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.io.writers.png import write_indexed_png
from napari_cliper.io.writers.tiff import write_ome_tiff
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError
from napari_cliper.workflows.export_datasets import gather, one_numbering

CLASSES = {number: ClassRow(kind.name) for number, kind in enumerate(KINDS, 1)}
SHAPE = (48, 64)


@pytest.fixture
def project(tmp_path):
    """Three images, two annotated in their upper half."""
    pictures = []
    for seed in (1, 2, 3):
        path = tmp_path / "pictures" / f"field {seed}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(make_scene(SHAPE, seed).image).save(path)
        pictures.append(path)
    made = Project.create(tmp_path / "project", pictures)
    geometry = {"pixel_size": [0.5, 0.25], "units": ["micrometer", "micrometer"], "axes": "YX"}
    for seed in (1, 2):
        labels = make_scene(SHAPE, seed).labels.astype(np.uint16)
        edit_mask = np.zeros(SHAPE, np.uint8)
        edit_mask[:24] = ACCEPTED
        state = AnnotationState(labels, edit_mask, CLASSES, {"geometry": geometry})
        made.save(f"field {seed}", state, "started")
    return made


def masks(path):
    """Category ids by file name, as pycocotools draws them, and the categories."""
    coco = COCO(str(path))
    found = {}
    for image in coco.dataset["images"]:
        canvas = np.zeros((image["height"], image["width"]), int)
        for one in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            canvas[coco.annToMask(one) > 0] = one["category_id"]
        found[image["file_name"]] = canvas
    return found, {one["id"]: one["name"] for one in coco.dataset["categories"]}


def words(result):
    return " ".join(result.stderr.split())


def test_patterns_are_expanded_and_each_source_is_exported_once(export, tmp_path):
    for name in ("b 10", "b 2", "a"):
        Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    again = tmp_path / "x" / ".." / "a.png"
    (tmp_path / "x").mkdir()
    result = export(tmp_path / "*.png", tmp_path / "a.png", again, "--format", "coco")
    assert result.exit_code == 0, result.output
    found = masks(tmp_path / "out" / "stuff.json")[0]
    assert list(found) == ["a", "b 2", "b 10"]
    result = export(tmp_path / "*.tif", "--format", "coco")
    assert result.exit_code == 2
    assert "No file matches" in words(result)
    result = export(tmp_path / "a.png", "--format", "cocoo")
    assert "Unknown format 'cocoo'. Did you mean 'coco'?" in words(result)


# ---------------------------------------------------------------------- projects


@pytest.mark.parametrize("way", [".", FILE])
def test_a_project_in_several_formats(export, project, tmp_path, way):
    source = project.folder / way
    result = export(source, "--format", "coco", "--format", "png", "--format", "csv")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["coco", "csv", "png"]
    found, categories = masks(tmp_path / "out" / "coco" / "stuff.json")
    assert categories == {number: row.name for number, row in CLASSES.items()}
    assert list(found) == ["field 1.png", "field 2.png"]
    for seed in (1, 2):
        expected = make_scene(SHAPE, seed).labels.astype(int)
        expected[24:] = 0  # nobody has decided there
        np.testing.assert_array_equal(found[f"field {seed}.png"], expected)
        with Image.open(tmp_path / "out" / "png" / f"field {seed}.png") as picture:
            indices = np.array(picture)
        assert (indices[24:] == 255).all()
        np.testing.assert_array_equal(indices[:24], expected[:24])
    with (tmp_path / "out" / "csv" / "field 1_classes.csv").open(encoding="utf-8-sig") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    first = masks(tmp_path / "out" / "coco" / "stuff.json")[0]["field 1.png"]
    for number, row in CLASSES.items():
        area = float(rows[row.name]["area [micrometer^2]"])
        assert area == pytest.approx(np.count_nonzero(first == number) * 0.125)


def test_a_yolo_data_set_has_the_images(export, project, tmp_path):
    result = export(project.folder, "--format", "yolo")
    assert result.exit_code == 0, result.output
    left = f"Note: 1 of 3 images of {project.folder} has no annotation."
    assert result.stderr.splitlines() == [left]
    out = tmp_path / "out"
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert list(data["names"].values()) == [row.name for row in CLASSES.values()]
    for seed in (1, 2):
        with Image.open(out / "images" / "train" / f"field {seed}.png") as picture:
            np.testing.assert_array_equal(np.array(picture), make_scene(SHAPE, seed).image)
        assert (out / "labels" / "train" / f"field {seed}.txt").stat().st_size


def test_a_stack_in_a_project_goes_plane_by_plane(export, tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((3, 9, 8), np.uint8), photometric="minisblack")
    made = Project.create(tmp_path / "project", [path])
    labels = np.arange(3 * 9 * 8, dtype=np.uint16).reshape(3, 9, 8) % 2
    state = AnnotationState(labels, np.full(labels.shape, ACCEPTED, np.uint8), {1: ClassRow("a")})
    made.save("stack", state, "done")
    result = export(made.folder, "--format", "coco", "--format", "yolo")
    assert result.exit_code == 0, result.output
    found, _ = masks(tmp_path / "out" / "coco" / "instances.json")
    assert list(found) == ["stack_plane0", "stack_plane1", "stack_plane2"]
    for plane, mask in zip(labels, found.values(), strict=True):
        np.testing.assert_array_equal(plane, mask)
    assert len(list((tmp_path / "out" / "yolo").rglob("*.txt"))) == 3


def test_untouched_planes_are_left_out_unless_asked_for(export, tmp_path):
    path = tmp_path / "stack.tif"
    pixels = np.zeros((3, 9, 8), np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "TYX"})
    made = Project.create(tmp_path / "project", [path])
    edit_mask = np.zeros(pixels.shape, np.uint8)
    edit_mask[1, 4] = ACCEPTED
    made.save("stack", AnnotationState(edit_mask.astype(np.uint16), edit_mask, {1: ClassRow("a")}))
    result = export(made.folder, "--format", "png", "--format", "tiff")
    assert result.exit_code == 0, result.output
    assert [one.name for one in (tmp_path / "out" / "png").iterdir()] == ["stack_t1.png"]
    assert "2 of 3 planes have no accepted or painted pixel" in " ".join(result.stderr.split())
    assert tifffile.imread(tmp_path / "out" / "tiff" / "stack.tif").shape == (3, 9, 8)
    result = export(made.folder, "--format", "png", "--every-plane", "--overwrite")
    assert result.exit_code == 0, result.output
    assert "2 of 3" not in result.stderr
    assert len(list((tmp_path / "out").glob("stack_t?.png"))) == 3


# ---------------------------------------------------------------------- label files


def label_file(folder, name, classes, labels, **fields):
    """An indexed PNG, or an OME-TIFF, with its classes."""
    folder.mkdir(exist_ok=True)
    image = LabelledImage(name, np.array(labels, np.uint8), classes, **fields)
    write = write_ome_tiff if name.endswith(".ome.tif") else write_indexed_png
    write(folder / name, image)
    return folder / name


def test_a_class_has_one_number_in_all_images(export, tmp_path):
    """Files number as they like; the first to name a number keeps it."""
    one = label_file(tmp_path, "one.png", {1: ClassRow("nucleus"), 3: ClassRow("fibre")},
                     [[1, 3], [0, 0]])  # fmt: skip
    two = label_file(tmp_path, "two.ome.tif", {1: ClassRow("crystal"), 2: ClassRow("Nucleus")},
                     [[1, 2], [2, 0]])  # fmt: skip
    result = export(one, two, "--format", "coco")
    assert result.exit_code == 0, result.output
    found, categories = masks(tmp_path / "out" / "stuff.json")
    assert categories == {1: "nucleus", 3: "fibre", 4: "crystal"}
    np.testing.assert_array_equal(found["one"], [[1, 3], [0, 0]])
    np.testing.assert_array_equal(found["two"], [[4, 1], [1, 0]])
    assert "'crystal' is 1 in two and 4 in the export" in words(result)


def test_a_list_of_classes_settles_the_numbers_and_names_what_has_no_name(export, tmp_path):
    tifffile.imwrite(tmp_path / "bare.tif", np.array([[0, 1], [2, 2]], np.uint8))
    named = label_file(tmp_path, "named.png", {7: ClassRow("fibre")}, [[7, 7], [0, 7]])
    rows = [ClassRow("glass", background=True), ClassRow("crystal"), ClassRow("fibre", ("thread",)),
            ClassRow("yeast", colour=(1, 2, 3))]  # fmt: skip
    write_classes(tmp_path / "classes.yaml", rows)
    result = export(tmp_path / "bare.tif", named, "--classes", tmp_path / "classes.yaml",
                    "--format", "coco", "--format", "png")  # fmt: skip
    assert result.exit_code == 0, result.output
    found, categories = masks(tmp_path / "out" / "coco" / "stuff.json")
    assert categories == {1: "crystal", 2: "fibre", 3: "yeast"}
    np.testing.assert_array_equal(found["bare"], [[0, 1], [2, 2]])
    np.testing.assert_array_equal(found["named"], [[2, 2], [0, 2]])
    with Image.open(tmp_path / "out" / "png" / "bare.png") as picture:
        assert tuple(picture.getpalette()[9:12]) == (1, 2, 3)


def test_a_coco_file_of_many_images_is_read_once(tmp_path, monkeypatch):
    images = [
        LabelledImage(f"{name}.png", make_scene(SHAPE, seed).labels, CLASSES)
        for seed, name in enumerate("abcd")
    ]
    write_coco(tmp_path / "set.json", images)
    read, times = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: times.append(path.name) or read(path))
    found = gather([tmp_path / "set.json"]).images
    assert times == ["set.json"]
    for one, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(one.labels, image.labels)


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", "_refined.tif", "_labels.png"])
def test_images_are_found_by_name(export, tmp_path, ending):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    scene = make_scene(SHAPE, 5)
    Image.fromarray(scene.image).save(pictures / "v1.2 細胞.png")
    (pictures / "v1.2 細胞.txt").write_text("about it")
    path = tmp_path / f"v1.2 細胞{ending}"
    if ending.endswith("png"):
        Image.fromarray(scene.labels).save(path)
    else:
        tifffile.imwrite(path, scene.labels)
    result = export(path, "--images", pictures, "--format", "coco", "--format", "yolo")
    assert result.exit_code == 0, result.output
    found, _ = masks(tmp_path / "out" / "coco" / "stuff.json")
    np.testing.assert_array_equal(found["v1.2 細胞.png"], scene.labels)
    (copied,) = (tmp_path / "out" / "yolo" / "images" / "train").iterdir()
    with Image.open(copied) as picture:
        np.testing.assert_array_equal(np.array(picture), scene.image)
    assert copied.stem == "v1.2 細胞"


def test_a_coco_file_comes_back_the_same(export, project, tmp_path):
    assert export(project.folder, "--format", "coco").exit_code == 0
    source = tmp_path / "out" / "stuff.json"
    result = export(source, "--format", "coco", "--output", tmp_path / "again")
    assert result.exit_code == 0, result.output
    before, after = masks(source), masks(tmp_path / "again" / "stuff.json")
    assert before[1] == after[1]
    assert list(before[0]) == list(after[0])
    for name, mask in before[0].items():
        np.testing.assert_array_equal(mask, after[0][name])


@pytest.mark.parametrize(
    ("labels", "picture"),
    [
        ("field.ome_refined.png", "field.ome.tif"),
        ("caf\u00e9_labels.png", "cafe\u0301.png"),
        ("cafe\u0301.png", "caf\u00e9.tif"),
    ],
)
def test_names_that_differ_in_ending_or_normalisation_are_found(export, tmp_path, labels, picture):
    path = label_file(tmp_path, labels, {1: ClassRow("a")}, [[1, 0], [0, 0]])
    (tmp_path / "images").mkdir()
    array = np.full((2, 2), 200, np.uint8)
    if picture.endswith(".tif"):
        tifffile.imwrite(tmp_path / "images" / picture, array)
    else:
        Image.fromarray(array).save(tmp_path / "images" / picture)
    result = export(path, "--images", tmp_path / "images", "--format", "csv")
    assert result.exit_code == 0, result.output
    (table,) = (tmp_path / "out").glob("*_regions.csv")
    with table.open(encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert row["mean intensity"] == "200"


def test_coco_of_folders_and_of_category_0(export, tmp_path):
    """Images of one name in two folders stay two; a category with another number is named."""
    square = [[0, 0, 4, 0, 4, 4, 0, 4]]
    record = {
        "images": [
            {"id": number, "file_name": name, "width": 8, "height": 8}
            for number, name in enumerate(("train/001.png", "val/001.png"))
        ],
        "annotations": [
            {"id": 3 * image + category, "image_id": image, "category_id": category,
             "segmentation": square, "area": 16 - category}
            for image in (0, 1) for category in (0, 1, 2)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate("abc")],
    }  # fmt: skip
    path = tmp_path / "set.json"
    path.write_text(json.dumps(record))
    result = export(path, "--format", "yolo")
    assert result.exit_code == 0, result.output
    assert "Category 0 ('a')" in words(result)
    texts = (tmp_path / "out" / "labels" / "train").glob("*.txt")
    assert sorted(one.name for one in texts) == ["train_001.txt", "val_001.txt"]


def test_tables_have_six_digits(export, tmp_path):
    labels = np.zeros((30, 30), np.uint8)
    labels[3:24, 5:22] = 1
    path = label_file(
        tmp_path, "a.ome.tif", {1: ClassRow("a")}, labels,
        pixel_size=(0.123456789, 0.123456789), units=("micrometer", "micrometer"),
    )  # fmt: skip
    result = export(path, "--format", "csv")
    assert result.exit_code == 0, result.output
    for table in (tmp_path / "out").glob("*.csv"):
        with table.open(encoding="utf-8-sig") as file:
            (row,) = csv.DictReader(file)
        assert float(row["area [micrometer^2]"]) == pytest.approx(21 * 17 * 0.123456789**2, 1e-6)
        for value in row.values():
            assert len(value.replace(".", "").lstrip("0")) <= 6 or not value[0].isdigit()


def test_yolo_says_which_images_it_lacks(export, tmp_path):
    path = label_file(tmp_path, "one.png", {1: ClassRow("a")}, [[1, 0], [0, 0]])
    result = export(path, "--format", "yolo")
    assert result.exit_code == 0, result.output
    assert "no 8-bit image of one" in words(result)


# ---------------------------------------------------------------------- what is refused


def test_a_project_that_changes_during_its_export_is_refused(project, tmp_path):
    images = gather([project.folder]).images
    state = project.load("field 2")
    project.save("field 2", replace(state, classes={1: ClassRow("new")}), "started")
    with pytest.raises(InvalidInputError, match=r"field 2 changed during the export\. Export"):
        export_images(tmp_path / "out", images, ["png"])
    assert not (tmp_path / "out").exists()


def test_wrong_formats_and_sources_are_all_named(export, tmp_path):
    result = export(tmp_path / "gone.tif", "--format", "bmp")
    assert result.exit_code == 2
    assert "Unknown format 'bmp'" in words(result)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("no labels")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    (tmp_path / "list.json").write_text("[]")
    Image.fromarray(make_scene(SHAPE, 1).image).save(tmp_path / "colours.png")
    empty = Project.create(tmp_path / "empty", [tmp_path / "colours.png"])
    names = ("gone.tif", "folder", "notes.txt", "cut.png", "list.json", "colours.png", "empty")
    result = export(*(tmp_path / name for name in names), "--format", "png")
    assert result.exit_code == 2
    for part in (*names, "does not exist", "not an annotation project", "not COCO JSON",
                 "has colours", f"No image of the project {empty.folder}"):  # fmt: skip
        assert part in words(result)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fields", "words_said"),
    [
        ({"labels": [[1, 9], [0, 0]], "classes": "a\nb\n"}, "has the label 9"),
        ({"labels": [[1, 0], [0, 0]], "classes": ""}, "are background"),
        ({"labels": [[1, 0], [0, 0]], "images": ()}, "no image named one"),
        ({"labels": [[1, 0], [0, 0]], "images": ("one.png", "one.tif")}, "may both be the image"),
        ({"labels": [[1, 0], [0, 0]], "images": ("one.png",)}, "differ in size"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    export, tmp_path, fields, words_said
):
    tifffile.imwrite(tmp_path / "one.tif", np.array(fields["labels"], np.uint8))
    options = []
    if "classes" in fields:
        (tmp_path / "classes.txt").write_text(fields["classes"])
        options += ["--classes", tmp_path / "classes.txt"]
    if "images" in fields:
        (tmp_path / "pictures").mkdir()
        options += ["--images", tmp_path / "pictures"]
        for name in fields["images"]:
            Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "pictures" / name)
    result = export(tmp_path / "one.tif", *options, "--format", "png")
    assert result.exit_code == 2
    assert words_said in words(result)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({2: ClassRow("a")}, {}, "has no name for label 2"),
        ({1: ClassRow("a"), 2: ClassRow("A")}, {}, "two classes named"),
        ({2: ClassRow("a"), 65535: ClassRow("b")}, {2: ClassRow("c")}, "highest label is 65535"),
    ],
)
def test_numbers_that_cannot_be_one_numbering(first, second, message):
    labels = np.array([[2, 0]], np.uint8)
    images = [LabelledImage("one", labels, first), LabelledImage("two", labels, second)]
    with pytest.raises(InvalidInputError, match=message):
        one_numbering(images, list(map(summary_of, images)), {})


def test_nothing_is_replaced_unless_allowed(export, project, tmp_path):
    kept = tmp_path / "out" / "field 1.png"
    kept.parent.mkdir()
    kept.write_text("mine")
    for options in ([], ["--overwrite"]):
        result = export(project.folder, "--format", "png", *options)
        assert result.exit_code == 2
        assert "napari-cliper did not write it" in words(result)
        assert [path.name for path in kept.parent.iterdir()] == ["field 1.png"]
        assert kept.read_text() == "mine"
    kept.unlink()
    assert export(project.folder, "--format", "png").exit_code == 0
    before = kept.read_bytes()
    result = export(project.folder, "--format", "png")
    assert result.exit_code == 2
    assert "Add --overwrite" in words(result)
    assert export(project.folder, "--format", "png", "--overwrite").exit_code == 0
    assert kept.read_bytes() == before
    kept.write_bytes(before + b"edited")
    result = export(project.folder, "--format", "png", "--overwrite")
    assert "it was changed since" in words(result)
    assert kept.read_bytes() == before + b"edited"


def test_a_file_where_the_folder_should_be(export, project, tmp_path):
    (tmp_path / "out").write_text("mine")
    result = export(project.folder, "--format", "png")
    assert result.exit_code == 2
    assert "a folder is needed, but there is a file" in words(result)
    assert (tmp_path / "out").read_text() == "mine"


def test_exporting_leaves_the_project_as_it_is(export, project):
    def content():
        files = [path for path in project.folder.rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = content()
    assert export(project.folder, "--format", "coco").exit_code == 0
    assert content() == before


def test_a_image_that_was_moved_is_named(export, project, tmp_path):
    (tmp_path / "pictures" / "field 2.png").unlink()
    result = export(project.folder, "--format", "png")
    assert result.exit_code == 2
    assert "field 2.png" in words(result)


# ---------------------------------------------------------------------- the command


def test_in_a_process_of_its_own_without_torch_and_qt(tmp_path):
    path = label_file(tmp_path, "one.png", {1: ClassRow("a")}, [[1, 0], [0, 0]])
    code = (
        "import sys\n"
        "from napari_cliper.cli import app\n"
        "app(standalone_mode=False)\n"
        "assert not {'torch', 'napari', 'qtpy'} & set(sys.modules)\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, "export", str(path), "--format", "geojson"]
    done = subprocess.run(
        [*command, "--output", str(out)], capture_output=True, text=True, check=True
    )
    assert str(out / "one.geojson") in done.stdout
    (feature,) = json.loads((out / "one.geojson").read_text())["features"]
    assert feature["properties"]["classification"]["name"] == "a"


def test_a_time_series_has_areas_and_an_unnamed_stack_is_reported(export, tmp_path):
    labels = np.zeros((3, 9, 8), np.uint8)
    labels[:, 2:5, 2:6] = 1
    options = {"imagej": True, "resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "um"}}
    tifffile.imwrite(tmp_path / "series.tif", labels, **options)
    tifffile.imwrite(tmp_path / "stack.tif", labels, photometric="minisblack")
    result = export(tmp_path / "series.tif", tmp_path / "stack.tif", "--format", "csv")
    assert result.exit_code == 0, result.output
    series = pd.read_csv(tmp_path / "out" / "series_regions.csv")
    assert series["index T"].tolist() == [0, 1, 2]
    assert series["area [micrometer^2]"].tolist() == [3, 3, 3]
    assert not any(name.startswith("volume") for name in series)
    assert "stack has no name for axis 0" in result.output
    assert "stack has no pixel size" in result.output
    assert "series" not in "".join(one for one in result.output.splitlines() if "Note" in one)
