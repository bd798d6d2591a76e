"""`segment` with channels shown together and with all planes of a stack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io import images
from napari_cliper.io.readers.label_files import read_labels
from napari_cliper.segmentation import InvalidInputError
from napari_cliper.workflows.channels import parse_channels, parse_contrast

SCENES = [make_scene((64, 80), 5 + number).image for number in range(3)]


@pytest.fixture
def segment(tiny_clip: Path, tmp_path: Path):
    def run(*arguments: str | Path, out="out"):
        quick = ("--labels", "nucleus=nuclei, crystal", "--model", str(tiny_clip))
        quick += ("--refiner", "pamr", "--shorter-side", "64", "--templates", "word")
        given = ["segment", *map(str, arguments), *quick, "--output", str(tmp_path / out)]
        return CliRunner().invoke(app, given)

    return run


def labels_of(tmp_path, stem, out="out"):
    return tifffile.imread(tmp_path / out / f"{stem}_refined.tif")


def test_channels_in_every_place_give_the_labels_of_their_rgb(segment, tmp_path):
    rgb = SCENES[0]
    assert segment(save(tmp_path / "rgb.tif", rgb, photometric="rgb")).exit_code == 0
    expected = labels_of(tmp_path, "rgb")
    five = np.moveaxis(np.dstack([rgb * 8.0, np.zeros((64, 80, 2))]), -1, 0).astype(np.uint16)
    files = {
        "imagej": (five, {"imagej": True, "metadata": {"axes": "CYX"}}),
        "ome": (five, {"ome": True, "metadata": {"axes": "CYX"}}),
        "unnamed": (five, {"photometric": "minisblack"}),
        "last": (np.moveaxis(five, 0, -1), {"photometric": "minisblack"}),
        "samples": (
            np.moveaxis(five, 0, -1), {"photometric": "minisblack", "planarconfig": "contig"}
        ),
    }  # fmt: skip
    ranges = "0:0-2040, 1:0-2040, 2:0-2040"
    for name, (pixels, keywords) in files.items():
        path = save(tmp_path / f"{name}.tif", pixels, **keywords)
        result = segment(path, "--channels", "0:red, 1:green, 2:#0000ff", "--contrast", ranges)
        assert result.exit_code == 0, result.output
        np.testing.assert_array_equal(labels_of(tmp_path, name), expected, err_msg=name)
    record = json.loads((tmp_path / "out" / "ome.json").read_text())
    shown = record["image"]["contrast"]["channels"]
    assert [one["colour"] for one in shown] == ["#ff0000", "#00ff00", "#0000ff"]
    assert {(one["black"], one["white"]) for one in shown} == {(0, 2040)}
    assert "channel 1 (#00ff00, 0 to 2040)" in record["notes"][0]

    # two of them, by percentiles of each
    result = segment(path, "--channels", "0:magenta, 2:green", "--contrast", "1-99", out="two")
    assert result.exit_code == 0, result.output
    shown = json.loads((tmp_path / "two" / "samples.json").read_text())["image"]["contrast"]
    low, high = np.percentile(five[2], (1, 99))
    assert [one["name"] for one in shown["channels"]] == ["channel 0", "channel 2"]
    assert (shown["channels"][1]["black"], shown["channels"][1]["white"]) == (low, high)


def save(path, pixels, **keywords):
    tifffile.imwrite(path, pixels, **keywords)
    return path


def test_all_planes_are_those_of_single_runs(segment, tmp_path, monkeypatch):
    grey = np.stack([scene.mean(axis=-1) for scene in SCENES]).astype(np.uint8)
    for number, plane in enumerate(grey):
        assert segment(save(tmp_path / f"{number}.tif", plane)).exit_code == 0
    singles = np.stack([labels_of(tmp_path, str(number)) for number in range(3)])
    size = {"spacing": 3.0, "unit": "um"}  # of a pixel; 0.5 along Y and 0.25 along X
    stack = save(
        tmp_path / "stack.tif",
        grey,
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": "ZYX", **size},
    )
    monkeypatch.setattr(images, "LAZY_PIXELS", 64 * 80)  # planes are read one by one
    result = segment(stack, "--axis", "z")
    assert result.exit_code == 0, result.output
    with tifffile.TiffFile(tmp_path / "out" / "stack_refined.tif") as file:
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), singles)
    found = read_labels(tmp_path / "out" / "stack_refined.tif")
    assert (found.axes, found.pixel_size) == ("ZYX", (3, 0.5, 0.25))
    assert set(found.units) == {"micrometer"}
    record = json.loads((tmp_path / "out" / "stack.json").read_text())
    assert [one["position"] for one in record["planes"]] == [{"Z": z} for z in range(3)]
    assert record["axes"] == "ZYX"
    for z, one in enumerate(record["planes"]):
        alone = json.loads((tmp_path / "out" / f"{z}.json").read_text())
        assert one["pixels"] == [row["pixels"] for row in alone["pixels"]]
        assert one["uncertainty"] == pytest.approx(alone["uncertainty"])
        assert one["scores"] == pytest.approx([row["score_refined"] for row in alone["classes"]])

    # a time series of stacks with channels: all planes of both, in the order of the file
    many = np.stack([np.moveaxis(np.stack(SCENES), -1, 1)] * 2)  # T, Z, C, Y, X
    path = save(tmp_path / "many.tif", many, imagej=True, metadata={"axes": "TZCYX"})
    chosen = ("--channels", "0:red,1:green,2:blue", "--contrast", "0:0-255,1:0-255,2:0-255")
    result = segment(path, "--axis", "TZ", *chosen)
    assert result.exit_code == 0, result.output
    found = labels_of(tmp_path, "many")
    assert found.shape == (2, 3, 64, 80)
    np.testing.assert_array_equal(found[0], found[1])
    group = zarr.open_group(str(tmp_path / "many.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=many.transpose(0, 2, 1, 3, 4), chunks=(1, 1, 1, 32, 32))
    scale = [{"type": "scale", "scale": [30, 1, 3, 0.5, 0.25]}]
    spaces = [{"name": one, "type": "space", "unit": "micrometer"} for one in "zyx"]
    axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    image = {"version": "0.4", "axes": axes + spaces, "datasets": datasets}
    group.attrs["multiscales"] = [image]
    result = segment(tmp_path / "many.zarr", "--axis", "TZ", *chosen, out="zarr")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(labels_of(tmp_path, "many", "zarr"), found)
    labels = read_labels(tmp_path / "zarr" / "many_refined.tif")
    assert (labels.axes, labels.pixel_size) == ("TZYX", (30, 3, 0.5, 0.25))
    assert labels.units == ("second", *["micrometer"] * 3)
    again = segment(tmp_path / "many.zarr", "--axis", "TZ", *chosen, out="zarr")
    assert "done before" in again.output
    refused = segment(tmp_path / "many.zarr", "--axis", "TZ", out="other")
    assert refused.exit_code == 2, refused.output
    assert "--channels" in refused.output
    rgb = save(tmp_path / "first.tif", SCENES[0], photometric="rgb")
    assert segment(rgb).exit_code == 0
    np.testing.assert_array_equal(found[0, 0], labels_of(tmp_path, "first"))


def test_what_was_not_asked_for_is_refused_with_what_to_do(segment, tmp_path):
    grey = np.stack([scene[..., 0] for scene in SCENES])
    stack = save(tmp_path / "stack.tif", grey, imagej=True, metadata={"axes": "ZYX"})
    unnamed = save(tmp_path / "unnamed.tif", np.stack([grey] * 2), photometric="minisblack")
    cases = [
        ((stack,), "Segment all its planes with --axis Z"),
        ((stack, "--axis", "T"), "has no axis T"),
        ((stack, "--axis", "ZZ"), "are no axes"),
        ((stack, "--axis", "Z", "--channels", "1:red"), "one channel, 0; there is no channel 1"),
        ((unnamed, "--axis", "Z"), "Name them all with --axis"),
        ((stack, "--channels", "red"), "is no channel with a colour"),
        ((stack, "--contrast", "0:9-3"), "does not increase"),
    ]
    for arguments, words in cases:
        result = segment(*arguments)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split()), result.stderr
    assert not (tmp_path / "out").exists()
    assert segment(unnamed, "--axis", "TZ").exit_code == 0
    assert labels_of(tmp_path, "unnamed").shape == (2, 3, 64, 80)


def test_colours_and_ranges_from_text():
    chosen = parse_channels(" 0:Blue, 3:green ,12:#ff8000")
    assert [(one.index, one.colour) for one in chosen] == [
        (0, (0, 0, 1)), (3, (0, 1, 0)), (12, (1, 128 / 255, 0)),
    ]  # fmt: skip
    rule = parse_contrast("1-99, 2:-5-1e3")
    plane = np.arange(101.0).reshape(1, 101).repeat(8, 0)
    assert rule.limits(2, [plane]) == (-5, 1000)
    assert rule.limits(0, [plane, plane]) == (1, 99)
    assert rule.limits(0, [np.full((8, 8), 7.0)]) == (7, 8)  # constant: nothing is divided by 0
    for text in ("0:blue,0:red", "0", "x:red", "0:ultraviolett", ""):
        with pytest.raises(InvalidInputError):
            parse_channels(text)
    for text in ("5-1", "0-101", "a-b", "0:", "x:1-2", ""):
        with pytest.raises(InvalidInputError):
            parse_contrast(text)
