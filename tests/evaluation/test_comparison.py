"""Several methods on the same images: the numbers of each, side by side."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.evaluation.comparison import COMPARISON

METHODS = ("scclip", "clip")


def run(scenes, output, *options):
    images, labels, classes = map(str, scenes)
    arguments = ["evaluate", images, labels, "--classes", classes, "--output", str(output)]
    arguments += ["--model", "demo", "--refiner", "none", "--device", "cpu", "--limit", "2"]
    return CliRunner().invoke(app, [*arguments, *options])


def test_methods_side_by_side(scenes, tmp_path):
    output = tmp_path / "out"
    result = run(scenes, output, "--methods", "scclip, clip,scclip")
    assert result.exit_code == 0, result.output
    with (output / "methods.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == list(METHODS)
    for row in rows:
        summary = json.loads((output / row["method"] / "summary.json").read_text("utf-8"))
        assert float(row["mIoU"]) == pytest.approx(summary["figures"]["mIoU"], abs=1e-6)
        assert f"{float(row['mIoU']):.4f}" in result.stdout
        for one in summary["classes"]:
            found = row[f"IoU of {one['name']}"]
            assert (float(found) if found else None) == pytest.approx(one["IoU"], abs=1e-6)
    assert len({row["mIoU"] for row in rows}) == 2

    # One row of an image has the image, the truth and both predictions: four panels of 112 px.
    sheet = np.array(Image.open(output / "methods.png").convert("L")).astype(int)
    panels = [12 + index * (112 + 12) for index in range(4)]
    top = 12 + 22
    for left in panels:
        assert sheet[top : top + 96, left : left + 112].std() > 5
        assert (sheet[top : top + 96, left + 113 : left + 122] == 255).all()

    alone = run(scenes, tmp_path / "alone", "--method", "scclip")
    assert alone.exit_code == 0
    single = json.loads((tmp_path / "alone" / "summary.json").read_text("utf-8"))
    both = json.loads((output / "scclip" / "summary.json").read_text("utf-8"))
    assert single == both


def test_missing_weights_of_a_later_method_end_the_run_before_the_first(scenes, tmp_path):
    result = run(scenes, tmp_path / "out", "--methods", "scclip, proxyclip", "--offline")
    assert result.exit_code == 1
    assert "dino" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_wrong_methods_are_refused_before_anything_runs(scenes, tmp_path):
    for text, message in (
        ("scclip, scipl", "Unknown method 'scipl'"),
        (" ,", "names no method"),
    ):
        result = run(scenes, tmp_path / "out", "--methods", text)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
    result = run(scenes, tmp_path / "out", "--methods", "clip", "--prototypes", "x.safetensors")
    assert result.exit_code == 2
    assert "Prototypes belong to one method" in " ".join(result.stderr.split())
    assert not any((tmp_path / "out" / name).exists() for name in COMPARISON)
