"""`segment --masks`: CorrCLIP with masks from a file, or computed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from colour_features import use_colour_features
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.scenes import make_scene

SCENE = make_scene((96, 128), 3)


@pytest.fixture
def run(tmp_path, monkeypatch):
    use_colour_features(monkeypatch)
    Image.fromarray(SCENE.image).save(tmp_path / "field.png")

    def segment(*more, command="segment"):
        options = [command, str(tmp_path / "field.png"), "--labels", "nucleus, crystal"]
        options += ["--model", "demo", "--refiner", "none", "--device", "cpu", "--overwrite"]
        options += ["--background", "none"]
        return CliRunner().invoke(app, [*options, "--output", str(tmp_path / "out"), *more])

    return segment


def test_masks_of_a_file_and_computed_ones(run, tmp_path):
    file = tmp_path / "masks.tif"
    tifffile.imwrite(file, SCENE.instances.astype(np.uint16))
    labels = {}
    for masks, source in ((str(file), "given"), ("superpixels", "superpixels"), ("none", "none")):
        result = run("--method", "corrclip", "--masks", masks)
        assert result.exit_code == 0, result.output
        record = json.loads((tmp_path / "out" / "field.json").read_text())
        assert record["masks"]["source"] == source
        labels[source] = tifffile.imread(tmp_path / "out" / "field_coarse.tif")
    assert record["masks"]["count"] == 0
    for number in np.unique(SCENE.instances)[1:]:
        assert len(set(labels["given"][SCENE.instances == number])) == 1
    assert (labels["given"] != labels["none"]).any()


def test_masks_that_cannot_be_used_are_refused(run, tmp_path):
    file = tmp_path / "masks.tif"
    tifffile.imwrite(file, SCENE.instances.astype(np.uint16)[1:])
    for options, words in (
        (("--method", "corrclip", "--masks", str(file)), "not resized"),
        (("--method", "corrclip", "--masks", "superpixel"), "no such file"),
        (("--method", "corrclip", "--masks", str(file), "--axis", "Z"), "--axis or --masks"),
        (("--method", "corrclip", "--masks", str(file), str(tmp_path)), "Give one image"),
    ):
        result = run(*options)
        assert result.exit_code != 0
        assert words in " ".join(result.output.split())
    tifffile.imwrite(file, SCENE.instances.astype(np.uint16))
    result = run("--method", "sclip", "--masks", str(file))
    assert result.exit_code != 0
    assert "uses no masks" in " ".join(result.output.split())
    evaluate = ["evaluate", str(tmp_path), str(tmp_path), "--output", str(tmp_path / "report")]
    result = CliRunner().invoke(app, [*evaluate, "--masks", str(file)])
    assert result.exit_code != 0
    assert "masks of one image" in " ".join(result.output.split())
