"""`segment --objects`: objects of another program get classes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.run import HELD_OUT_SEED, all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.workflows import segment_objects

SEED = HELD_OUT_SEED + 23
WORDS = ("nucleus", "red blood cell", "fibre", "bubble")  # what the scene has


@pytest.fixture
def scene(tmp_path):
    found = make_scene((192, 256), SEED)
    Image.fromarray(found.image).save(tmp_path / "field.png")
    return found


ALL_WORDS = ", ".join(one.name for one in all_classes())


def run(tmp_path, *more, words=ALL_WORDS, refiner="pamr"):
    options = ["segment", str(tmp_path / "field.png"), "--labels", words, "--model", "demo"]
    options += ["--refiner", refiner, "--device", "cpu", "--output", str(tmp_path / "out")]
    return CliRunner().invoke(app, [*options, *map(str, more)])


def test_objects_keep_their_numbers_and_get_classes(scene, tmp_path):
    file = tmp_path / "cells.tif"
    names = [""] + [one.name for one in all_classes()]
    for factor, dtype in ((1, np.uint16), (100_000, np.uint32)):
        tifffile.imwrite(file, scene.instances.astype(np.uint32) * factor)
        result = run(tmp_path, "--objects", file, "--overwrite")
        assert result.exit_code == 0, result.output
        numbers = tifffile.imread(tmp_path / "out" / "field_objects.tif")
        assert numbers.dtype == dtype
        assert np.array_equal(numbers, scene.instances.astype(np.uint32) * factor)
        table = pd.read_csv(tmp_path / "out" / "field_objects.csv")
        assert list(table) == ["object", "label", "class", "score", "margin", "area [pixel]"]
        assert table["object"].tolist() == np.unique(numbers)[1:].tolist()
        truth = {
            int(n): names[label]
            for n, label in zip(numbers.flat, scene.labels.flat, strict=True)
            if n
        }
        right = [truth[n] == name for n, name in zip(table["object"], table["class"], strict=True)]
        assert np.mean(right) > 0.8
        assert table["margin"].between(0, table["score"]).all()
        least = table.sort_values("margin", kind="stable")["object"].tolist()[:10]
        assert f"least certain objects: {', '.join(map(str, least))}" in result.stdout
    record = json.loads((tmp_path / "out" / "field.json").read_text())
    assert record["objects"] == {"file": "cells.tif", "count": len(table), "named": 0}


def test_objects_with_a_class_in_the_file_are_examples_for_the_others(scene, tmp_path):
    """Four named objects put right what wrong words name; a changed table is read again."""
    wrong = dict(zip(WORDS, ("fibre", "bubble", "nucleus", "red blood cell"), strict=True))
    names = [""] + [one.name for one in all_classes()]
    numbers = np.unique(scene.instances)[1:].tolist()
    truth = {n: wrong[names[scene.labels[scene.instances == n][0]]] for n in numbers}
    first = {name: number for number, name in reversed(truth.items())}
    named = {number: name for name, number in first.items()}
    tifffile.imwrite(tmp_path / "cells.tif", scene.instances.astype(np.uint16))

    def segmented(rows):
        lines = ["object;class", *(f"{number};{name}" for number, name in rows.items())]
        (tmp_path / "cells.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
        words = ", ".join(wrong.values())
        result = run(tmp_path, "--objects", tmp_path / "cells.tif", words=words, refiner="none")
        assert result.exit_code == 0, result.output
        table = pd.read_csv(tmp_path / "out" / "field_objects.csv").set_index("object")
        assert all(table["class"][n] == name for n, name in rows.items() if name and n in named)
        others = [n for n in numbers if n not in named]
        right = float(np.mean([table["class"][n] == truth[n] for n in others]))
        return right, " ".join(result.stdout.split())

    of_words, said = segmented(dict.fromkeys(numbers, ""))
    assert of_words < 0.3
    assert "cells.csv" not in said
    right, said = segmented(dict.fromkeys(numbers, "") | named | {numbers[-1]: "cell", 99: "fibre"})
    assert right > 0.8
    for text in (
        "cells.csv gives 4 objects a class, which is kept. The others are classified by these",
        'cells.csv gives 1 object classes that --labels does not have: "cell"',
        "cells.csv names 1 object without pixels in cells.tif, such as object 99",
    ):
        assert text in said
    record = json.loads((tmp_path / "out" / "field.json").read_text())
    assert record["objects"]["named"] == 4
    _, said = segmented({first["fibre"]: "fibre"})
    assert "It is the same class everywhere" in said


def test_wrong_objects_are_named_before_any_work(scene, tmp_path):
    tifffile.imwrite(tmp_path / "small.tif", np.ones((10, 20), np.uint16))
    tifffile.imwrite(tmp_path / "empty.tif", np.zeros((192, 256), np.uint16))
    tifffile.imwrite(tmp_path / "maps.tif", np.full((192, 256), 0.3, np.float32))
    for name, message in {
        "small.tif": "are 10 x 20 pixels, the image is 192 x 256",
        "empty.tif": "There is no object in",
        "maps.tif": "not integers",
        "missing.tif": "missing.tif",
    }.items():
        result = run(tmp_path, "--objects", tmp_path / name)
        assert result.exit_code == 2, result.output
        assert message in result.output.replace("\n", " ")
        assert not (tmp_path / "out").exists()
    Image.fromarray(scene.image).save(tmp_path / "other.png")
    result = run(tmp_path, tmp_path / "other.png", "--objects", tmp_path / "empty.tif")
    assert result.exit_code == 2
    assert "Give one image" in result.output


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(scene, tmp_path, monkeypatch):  # noqa: ARG001 - it writes the image
    file = tmp_path / "cells.tif"
    file.write_bytes(b"no image")
    pixels = 192 * 256
    for what, more in (("objects", ()), ("masks", ("--method", "corrclip"))):
        monkeypatch.setitem(segment_objects.BYTES, what, 10**17 / pixels)
        result = run(tmp_path, f"--{what}", file, *more, refiner="none")
        message = " ".join(result.output.split())
        assert result.exit_code == 2, message
        assert f"The {what} of {file}, 192 x 256 pixels, need about 100000000.0 GB" in message
        assert "Split the image" in message
        assert not (tmp_path / "out").exists()
