"""`napari-cliper learn`, and what it is good for: the real engine on names that mean nothing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import binary_erosion
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.run import HELD_OUT_SEED
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.evaluation.entry import NAME
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.io.own_files import RECORD, add_to_record
from napari_cliper.io.prototype_file import prototypes_record, read_prototypes, write_prototypes
from napari_cliper.segmentation import BACKGROUND, Segmenter

SHAPE = (96, 96)
USED = ("nucleus", "crystal", "pollen grain", "red blood cell")
NAMES = ("zaq", "dax", "wug", "blick")
NEVER = "toma"
"""A class of the list that no image has."""
LABELS = np.zeros(len(KINDS) + 1, np.uint8)
LABELS[[1 + [kind.name for kind in KINDS].index(name) for name in USED]] = range(1, 5)


def write_scenes(folder: Path, seeds: range, *, ignored: int = 255) -> list[Path]:
    """Scenes with their labels, every second one as scribbles: thin lines within the regions."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for seed in seeds:
        kinds = [USED[seed % 4], USED[(seed + 1) % 4], USED[(seed + 2) % 4]]
        scene = make_scene(SHAPE, HELD_OUT_SEED + 500 + seed, kinds=kinds)
        labels = LABELS[scene.labels]
        if seed % 2:
            inner = np.zeros(SHAPE, bool)
            for label in np.unique(labels):
                inner |= binary_erosion(labels == label, iterations=3)
            drawn = inner & (np.indices(SHAPE)[0] % 12 < 3)
            labels = np.where(drawn, labels, ignored).astype(np.uint8)
        Image.fromarray(scene.image).save(folder / "images" / f"scene {seed:02d}.png")
        Image.fromarray(labels).save(folder / "labels" / f"scene {seed:02d}.png")
    return sorted((folder / "images").iterdir())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six images to learn from, six others, the classes, and what was learned."""
    root = tmp_path_factory.mktemp("learn")
    write_scenes(root / "train", range(6))
    write_scenes(root / "test", range(6, 12, 2))
    (root / "classes.txt").write_text("\n".join((*NAMES, NEVER)))
    result = learn(root, root / "classes.prototypes.safetensors")
    assert result.exit_code == 0, result.output
    (root / "output.txt").write_text(result.stdout + "\n" + result.stderr)
    return root


@pytest.fixture
def prototypes_file(root):
    return root / "classes.prototypes.safetensors"


def learn(root, output, *more, part="train"):
    given = [root / part / "images", root / part / "labels", "--classes", root / "classes.txt"]
    return invoke("learn", *given, "--output", output, "--model", "demo", *more)


def segment(image_files, output, *more):
    words = ("--labels", ",".join((*NAMES, NEVER)))
    return invoke("segment", *image_files, *words, "--output", output, "--model", "demo", *more)


def evaluate(root, output, *more):
    given = [root / "test" / "images", root / "test" / "labels"]
    given += ["--classes", root / "classes.txt", "--output", output]
    return invoke("evaluate", *given, "--model", "demo", *more)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def words(result):
    return " ".join(result.stderr.split())


def iou_of(root, folder):
    """mIoU of the labels that `segment` left, over the four classes and the background."""
    confusion = np.zeros((6, 6), np.int64)
    for path in sorted((root / "test" / "labels").iterdir()):
        truth = np.array(Image.open(path))
        confusion += confusion_matrix(
            truth, tifffile.imread(folder / f"{path.stem}_refined.tif"), 6
        )
    return mean_iou(confusion)


# ---------------------------------------------------------------------- learn


def test_the_table_says_what_was_learned_and_what_was_not(root, prototypes_file):
    prototypes = read_prototypes(prototypes_file)
    output = " ".join((root / "output.txt").read_text().split())
    for name in (BACKGROUND, *NAMES):
        own = prototypes.of(name)
        row = (len(own), prototypes.images_of(name), sum(one.patches for one in own))
        cells = " │ ".join(f"{count:,}" for count in row)
        assert all(row)
        assert f"{name or 'background'} │" in output
        assert cells in " ".join(output.replace("│", " │ ").split())
    assert f"Classes without labelled pixels, found by words only: {NEVER}." in output
    assert not prototypes.of(NEVER)
    assert prototypes.model == "demo"
    sources = {source for one in prototypes.items for source in one.sources}
    assert sources == {f"scene {seed:02d}" for seed in range(6)}


def test_ignored_pixels_are_not_learned_from(root, tmp_path):
    """Scribbles on a label of 7 in the place of 255, and one image with none at all."""
    folder = tmp_path / "train"
    shutil.copytree(root / "train", folder)
    (tmp_path / "classes.txt").write_text("\n".join((*NAMES, NEVER)))
    for path in (folder / "labels").iterdir():
        labels = np.array(Image.open(path))
        labels[labels == 255] = 7
        if path.stem.endswith("05"):
            labels[:] = 7
        Image.fromarray(labels).save(path)
    result = learn(tmp_path, tmp_path / "a.safetensors")
    assert result.exit_code == 2
    assert "contains the labels 7" in words(result)
    result = learn(tmp_path, tmp_path / "a.safetensors", "--ignore", 7)
    assert result.exit_code == 0, result.output
    assert "Images without a labelled pixel: scene 05." in words(result)
    result = learn(tmp_path, tmp_path / "b.safetensors", "--ignore", 7, "--ignore", 0)
    assert "No pixel is labelled as background" in words(result)
    assert "Label 0 is ignored: give pixels that are not drawn another label" in words(result)
    with_ground, without = (read_prototypes(tmp_path / f"{one}.safetensors") for one in "ab")
    assert with_ground.of(BACKGROUND)
    assert not without.of(BACKGROUND)
    assert len(without) > 4


def test_nothing_labelled_is_nothing_learned(root, tmp_path):
    ignore = [part for label in (*range(6), 255) for part in ("--ignore", label)]
    result = learn(root, tmp_path / "a.safetensors", "--limit", 2, *ignore)
    assert result.exit_code == 2
    assert "nothing to learn" in words(result)
    assert list(tmp_path.glob("[!.]*")) == []


def test_the_first_images_alone(root, tmp_path):
    result = learn(root, tmp_path / "a.safetensors", "--limit", 2)
    assert "Only the first 2 of 6 images" in words(result)
    sources = {s for one in read_prototypes(tmp_path / "a.safetensors").items for s in one.sources}
    assert sources == {"scene 00", "scene 01"}


def test_a_file_stays_until_overwrite(root, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_text("mine")
    for options in ([], ["--overwrite"]):
        result = learn(root, path, *options)
        assert result.exit_code == 2
        assert "napari-cliper did not write it" in words(result)
        assert path.read_text() == "mine"
    path.unlink()
    assert learn(root, path, "--limit", 1).exit_code == 0
    result = learn(root, path)
    assert result.exit_code == 2
    assert "--overwrite" in words(result)
    assert learn(root, path, "--limit", 1, "--overwrite").exit_code == 0
    assert len(read_prototypes(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--output", "{tmp}/classes.yaml"), "Call it classes.prototypes.safetensors"),
        (("--output", "{tmp}"), "end in .safetensors"),
        (("--output", "{tmp}/folder.safetensors"), "is a folder"),
        (("--classes", "{tmp}/none.txt"), "does not exist"),
        (("--ignore", "-1"), "label to ignore is"),
        (("--limit", "-1"), "The limit is -1"),
        (("--model", "ViT-B16"), "'ViT-B/16'"),
    ],
)
def test_wrong_input_is_named_before_any_work(root, tmp_path, monkeypatch, options, message):
    (tmp_path / "folder.safetensors").mkdir()

    def refuse(*_args, **_kwargs):
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(Segmenter, "load", refuse)
    result = learn(root, tmp_path / "a.safetensors", *(one.format(tmp=tmp_path) for one in options))
    assert result.exit_code == 2
    assert message in words(result)
    assert [one.name for one in tmp_path.glob("[!.]*")] == ["folder.safetensors"]


def test_labels_that_do_not_fit_are_named_before_any_work(root, tmp_path, monkeypatch):
    shutil.copytree(root / "train", tmp_path / "train")
    shutil.copy(root / "classes.txt", tmp_path)
    Image.new("L", (40, 40)).save(tmp_path / "train" / "labels" / "scene 03.png")
    monkeypatch.delattr(Segmenter, "load")
    result = learn(tmp_path, tmp_path / "a.safetensors")
    assert result.exit_code == 2
    assert "its ground truth 40 x 40" in words(result)


def with_classes(root, other, *names):
    """The same images with other classes."""
    other.mkdir()
    (other / "train").symlink_to(root / "train")
    (other / "classes.txt").write_text("\n".join((*NAMES, *names)))
    return other


def test_interrupt_ends_within_an_image_and_the_same_command_goes_on(root, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    shutil.copy(root / "classes.prototypes.safetensors", path)
    add_to_record(tmp_path, {path.name: path})
    before, whole, requested = path.read_bytes(), Segmenter.learn, []

    def counted(*args, **kwargs):
        if len(requested) == 1:  # in the midst of the second image
            os.kill(os.getpid(), signal.SIGINT)
        requested.append(args)
        return whole(*args, **kwargs)

    monkeypatch.setattr(Segmenter, "learn", counted)
    handler = signal.getsignal(signal.SIGINT)
    result = learn(root, path, "--overwrite")
    assert signal.getsignal(signal.SIGINT) is handler
    assert result.exit_code == 130
    assert "no partial files were written" in words(result)
    assert len(requested) == 2
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.glob("[!.]*")] == ["a.safetensors"]

    assert "other settings: names" in words(
        learn(with_classes(root, tmp_path / "other", "other name"), path)
    )
    result = learn(root, path)  # goes on, and may replace the file now
    assert result.exit_code == 0, result.output
    assert len(requested) == 6  # no image was learned twice
    both = (path, root / "classes.prototypes.safetensors")
    again, whole_run = (prototypes_record(read_prototypes(one)) for one in both)
    assert again == whole_run
    assert {one.name for one in tmp_path.iterdir()} == {"a.safetensors", RECORD, "other"}


# ---------------------------------------------------------------------- segment


def test_prototypes_do_what_words_that_mean_nothing_cannot(root, prototypes_file, tmp_path):
    image_files = sorted((root / "test" / "images").iterdir())
    for folder, more in (("words", ()), ("prototypes", ("--prototypes", prototypes_file))):
        result = segment(image_files, tmp_path / folder, *more)
        assert result.exit_code == 0, result.output
    alone, helped = (iou_of(root, tmp_path / folder) for folder in ("words", "prototypes"))
    assert alone < 0.3
    assert helped > 0.6
    assert f"No prototypes, segmented by words only: {NEVER}." in words(result)


def test_the_record_says_which_prototypes_and_how_sure(root, prototypes_file, tmp_path):
    image_files = sorted((root / "test" / "images").iterdir())
    result = segment(
        image_files, tmp_path, "--prototypes", prototypes_file, "--prototype-weight", 0.75
    )
    records = [json.loads((tmp_path / f"{path.stem}.json").read_text()) for path in image_files]
    for record in records:
        assert record["prototypes"]["model"] == "demo"
        assert len(record["prototypes"]["sha256"]) == 64
        assert record["prototypes"]["prototype_weight"] == 0.75
        assert record["prototypes"]["prototypes"] == len(read_prototypes(prototypes_file))
        requested = {one["class"]: one["weight"] for one in record["prototypes"]["asked"]}
        assert requested == dict.fromkeys((*NAMES, "background"), 0.75)
        assert 0 < record["uncertainty"] < 1
        assert f"mean uncertainty: {record['uncertainty']:.3f}" in result.stdout
    with (tmp_path / "uncertainty.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image", "uncertainty"]
    values = {record["file"]: record["uncertainty"] for record in records}
    expected = sorted(values.items(), key=lambda item: -item[1])
    assert [name for name, _ in rows] == [name for name, _ in expected]
    # The table has six significant digits.
    assert [float(value) for _, value in rows] == pytest.approx(
        [value for _, value in expected], rel=1e-5
    )
    ordered = result.stdout.rpartition("most uncertain first")[2]
    assert [ordered.index(name) for name, _ in rows] == sorted(ordered.index(n) for n in values)


def test_pixel_sizes_that_do_not_fit_are_named(root, tmp_path):
    """Images of ImageJ at two sizes, another one without a size, and one of nanometres."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    shutil.copy(root / "classes.txt", tmp_path)
    for number, size in enumerate((0.5, 0.7)):
        name = f"scene {2 * number:02d}"
        pixels = np.asarray(Image.open(root / "train" / "images" / f"{name}.png"))
        sizes = {"resolution": (1 / size, 1 / size), "metadata": {"unit": "um"}}
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", pixels, imagej=True, **sizes)
        shutil.copy(root / "train" / "labels" / f"{name}.png", tmp_path / "labels")
    file = tmp_path / "found.prototypes.safetensors"
    result = learn(tmp_path, file, part=".")
    assert result.exit_code == 0, result.output
    assert "pixel size" not in words(result)
    assert read_prototypes(file).pixel_sizes == pytest.approx({"scene 00": 0.5, "scene 02": 0.7})

    near, far = tmp_path / "near.ome.tif", tmp_path / "far.ome.tif"
    for path, size in ((near, 700.0), (far, 2000.0)):
        given = {f"PhysicalSize{axis}{unit}": value for axis in "XY"
                 for unit, value in (("", size), ("Unit", "nm"))}  # fmt: skip
        tifffile.imwrite(path, pixels, photometric="rgb", metadata=given)
    unknown = root / "train" / "images" / "scene 00.png"
    result = segment([near, far, unknown], tmp_path / "out", "--prototypes", file)
    assert result.exit_code == 0, result.output
    note = "The pixel size of this image is 2 µm, but prototypes were learned at 0.5 µm to 0.7 µm"
    shown = " ".join(result.stdout.split())
    assert shown.count("The pixel size of this image is") == shown.count(note) == 1
    record = json.loads((tmp_path / "out" / "far.ome.json").read_text())
    assert any(note in one for one in record["notes"])
    assert record["prototypes"]["pixel_sizes"] == pytest.approx([0.5, 0.7])

    write_prototypes(file, replace(read_prototypes(file), pixel_sizes={"scene 00": 0.1}))
    sizes["resolution"] = (0.5, 0.5)
    tifffile.imwrite(tmp_path / "images" / f"{name}.tif", pixels, imagej=True, **sizes)
    result = learn(tmp_path, file, "--overwrite", part=".")
    assert "images with different pixel sizes, 0.5 µm to 2 µm" in words(result)


def test_only_words_or_only_prototypes(root, prototypes_file, tmp_path):
    image_file = root / "test" / "images" / "scene 06.png"
    for folder, more in {
        "plain": (),
        "words": ("--prototypes", prototypes_file, "--prototype-weight", 0),
        "prototypes": ("--prototypes", prototypes_file, "--prototype-weight", 1),
    }.items():
        assert segment([image_file], tmp_path / folder, *more).exit_code == 0
    plain, by_words, by_prototypes = (
        tifffile.imread(tmp_path / folder / "scene 06_refined.tif")
        for folder in ("plain", "words", "prototypes")
    )
    np.testing.assert_array_equal(plain, by_words)
    assert (plain != by_prototypes).any()
    assert not (tmp_path / "plain" / "uncertainty.csv").exists()  # one image is no list


def test_a_list_is_of_the_whole_folder_and_never_over_another_file(root, tmp_path):
    image_files = sorted((root / "test" / "images").iterdir())
    out = tmp_path / "out"
    assert segment(image_files[:1], out).exit_code == 0
    (out / "mine.json").write_text("[1")
    assert segment(image_files[1:], out).exit_code == 0
    text = (out / "uncertainty.csv").read_text("utf-8-sig")
    assert all(path.name in text for path in image_files)
    (out / "uncertainty.csv").write_text("mine")
    others = [Path(shutil.copy(path, tmp_path / f"other {path.name}")) for path in image_files]
    for options in ([], ["--overwrite"]):
        result = segment(others, out, *options)
        assert result.exit_code == 2
        assert "uncertainty.csv already exists" in words(result)
        assert (out / "uncertainty.csv").read_text() == "mine"
    (out / "uncertainty.csv").unlink()
    assert segment(others, out).exit_code == 0
    assert all(path.name in (out / "uncertainty.csv").read_text("utf-8") for path in others)


@pytest.mark.parametrize("command", ["segment", "evaluate"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prototype-weight", "0.5"), "--prototypes FILE"),
        (
            ("--prototypes", "{prototypes_file}", "--prototype-weight", "1.5"),
            "--prototype-weight is 1.5",
        ),
        (
            ("--prototypes", "{prototypes_file}", "--prototype-weight", "nan"),
            "--prototype-weight is nan",
        ),
        (("--prototypes", "none.safetensors"), "does not exist"),
        (("--prototypes", "{root}/classes.txt"), "not a safetensors file"),
    ],
)
def test_wrong_prototypes_are_named_before_any_work(
    root, prototypes_file, tmp_path, monkeypatch, command, options, message
):
    monkeypatch.delattr(Segmenter, "load")
    given = [one.format(root=root, prototypes_file=prototypes_file) for one in options]
    result = run(command, root, tmp_path / "out", *given)
    assert result.exit_code == 2
    assert message in words(result)
    assert list(tmp_path.glob("[!.]*")) == []


@pytest.mark.parametrize("command", ["segment", "evaluate"])
def test_prototypes_of_another_model_are_refused_before_a_image_is_read(
    root, prototypes_file, tiny_clip, tmp_path, monkeypatch, command
):
    monkeypatch.delattr(Segmenter, "embed")
    result = run(
        command, root, tmp_path / "out", "--prototypes", prototypes_file, "--model", tiny_clip,
        "--refiner", "pamr",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "These prototypes were learned with demo" in words(result)
    assert str(tiny_clip) in "".join(result.stderr.split())
    assert list(tmp_path.glob("[!.]*")) == []


def run(command, root, output, *more):
    if command == "evaluate":
        return evaluate(root, output, *more)
    return segment([root / "test" / "images" / "scene 06.png"], output, *more)


# ---------------------------------------------------------------------- evaluate


def test_evaluate_measures_with_prototypes(root, prototypes_file, tmp_path):
    for folder, more in (("words", ()), ("prototypes", ("--prototypes", prototypes_file))):
        assert evaluate(root, tmp_path / folder, *more).exit_code == 0
    alone, helped = (
        json.loads((tmp_path / folder / "summary.json").read_text("utf-8"))
        for folder in ("words", "prototypes")
    )
    assert alone["figures"]["mIoU"] < 0.3
    assert helped["figures"]["mIoU"] > 0.6
    assert helped["measured with"]["prototypes"]["model"] == "demo"
    assert "prototypes" not in alone["measured with"]


@pytest.mark.parametrize("change", ["other prototypes", "another share", "none"])
def test_a_run_goes_on_with_the_same_prototypes_only(root, prototypes_file, tmp_path, change):
    out, other = tmp_path / "out", tmp_path / "other.safetensors"
    assert evaluate(root, out, "--limit", 1, "--prototypes", prototypes_file).exit_code == 0
    before = (out / NAME).read_bytes()
    prototypes = read_prototypes(prototypes_file)
    write_prototypes(other, prototypes.without(prototypes.items[0]))
    result = evaluate(
        root,
        out,
        *{
            "other prototypes": ("--prototypes", other),
            "another share": ("--prototypes", prototypes_file, "--prototype-weight", 0.5),
            "none": (),
        }[change],
    )
    assert result.exit_code == 2
    assert "other settings: prototypes" in words(result)
    assert (out / NAME).read_bytes() == before
    moved = tmp_path / "moved.safetensors"
    shutil.copy(prototypes_file, moved)  # where they lie is all the same
    assert evaluate(root, out, "--prototypes", moved).exit_code == 0
    assert (out / NAME).read_bytes().startswith(before)


def test_names_go_by_their_letters_not_their_case(root, prototypes_file, tmp_path):
    prototypes = read_prototypes(prototypes_file)
    loud = tuple(replace(one, name=one.name.upper()) for one in prototypes.items)
    assert all(torch.is_tensor(one.vector) for one in loud)
    write_prototypes(tmp_path / "loud.safetensors", replace(prototypes, items=loud))
    image_file = [root / "test" / "images" / "scene 08.png"]
    for folder, file in (("quiet", prototypes_file), ("loud", tmp_path / "loud.safetensors")):
        assert segment(image_file, tmp_path / folder, "--prototypes", file).exit_code == 0
    one, other = (
        tifffile.imread(tmp_path / folder / "scene 08_refined.tif") for folder in ("quiet", "loud")
    )
    np.testing.assert_array_equal(one, other)
