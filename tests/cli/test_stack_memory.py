"""Memory of a run over stacks grows neither with their number nor with their planes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import tifffile
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io import images
from napari_cliper.io.writers.tiff import create_label_tiff, write_label_tiff
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage

SIDE = 256


def test_stacks_are_read_and_written_plane_by_plane(tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LAZY_PIXELS", 2 * SIDE * SIDE)
    plane = make_scene((SIDE, SIDE), 1).image[..., 0]
    options = ["--labels", "nucleus, crystal", "--model", str(tiny_clip), "--refiner", "none"]
    options += ["--templates", "word", "--shorter-side", "32", "--axis", "Z", "--no-overlay"]
    options += ["--class-threshold", "0", "--background-threshold", "0.3"]
    peaks = {}
    for name, count, planes in (("first", 1, 4), ("few", 2, 4), ("many", 4, 4), ("deep", 1, 12)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(count):
            stack = np.stack([np.roll(plane, 8 * at, axis=1) for at in range(planes)])
            tifffile.imwrite(folder / f"{number}.tif", stack, imagej=True, metadata={"axes": "ZYX"})
        out = tmp_path / f"{name} out"
        if name != "first":  # which loads what is loaded once
            tracemalloc.start()
        try:
            result = CliRunner().invoke(
                app, ["segment", str(folder), *options, "--output", str(out)]
            )
            peaks[name] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert result.exit_code == 0, result.output
        labels = tifffile.imread(out / f"{count - 1}_coarse.tif")
        assert labels.shape == (planes, SIDE, SIDE)
        assert {*np.unique(labels[-1])} > {0}
    assert max(peaks["many"], peaks["deep"]) < peaks["few"] + 4 * SIDE * SIDE, peaks


def test_label_files_written_by_plane_are_those_of_whole_arrays(tmp_path):
    rng = np.random.default_rng(0)
    for axes, shape, dtype in (
        ("ZYX", (3, 5, 7), np.uint8),
        ("CTYX", (2, 3, 5, 7), np.uint16),
        ("ZTYX", (4, 3, 6, 1), np.uint16),
    ):
        labels = rng.integers(0, 250, shape).astype(dtype)
        image = LabelledImage("a", labels, {1: ClassRow("nucleus")}, axes=axes)
        write_label_tiff(tmp_path / "whole.tif", image)
        empty = np.broadcast_to(np.zeros((), dtype), shape)
        made = create_label_tiff(
            tmp_path / "planes.tif", LabelledImage("a", empty, image.classes, axes=axes)
        )
        for plane in np.ndindex(shape[:-2]):
            made[plane] = labels[plane]
        for plane in np.ndindex(shape[:-2]):
            np.testing.assert_array_equal(made[plane], labels[plane])
        whole, planes = ((tmp_path / f"{one}.tif").read_bytes() for one in ("whole", "planes"))
        assert planes == whole
