"""The dock, the command line and Python give the same labels for the same file, on every run.

Files of all kinds are made from demo scenes and go the three ways; labels are compared pixel by
pixel. The command line runs twice, in processes of its own: the second, a fork, gets some of the
files, and finds the word vectors that the first has kept.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import forked
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cliper.demo.run import HELD_OUT_SEED
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.images import read_image_file
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.segmentation import SegmentationConfig, Segmenter, parse_classes
from napari_cliper.segmentation.features.preprocessing import to_rgb

pytestmark = pytest.mark.one_binding

WORDS = "nucleus, bacterium, fibre=thread, bubble, crystal, pollen grain, diatom, yeast"
CONFIG = SegmentationConfig(model="demo", device="cpu")
STAGES = ("coarse", "refined")


def pillow(picture, path, **options):
    picture.save(path, **options)


def with_alpha(rgb):
    return Image.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 99, np.uint8)]))


def grey(rgb):
    return np.array(Image.fromarray(rgb).convert("L"))


@dataclass(frozen=True)
class Kind:
    """How a scene becomes a file; and whether napari's reader gives the colours that ours gives.

    napari takes the channels of planar and small images for planes.
    """

    suffix: str
    write: object
    shape: tuple[int, int] = (80, 112)
    opened: bool = True


KINDS = {
    "rgb": Kind(".png", lambda rgb, path: pillow(Image.fromarray(rgb), path)),
    "grey": Kind(".png", lambda rgb, path: pillow(Image.fromarray(grey(rgb)), path)),
    "dark grey": Kind(".png", lambda rgb, path: pillow(Image.fromarray(grey(rgb) // 12 + 3), path)),
    "rgba": Kind(".png", lambda rgb, path: pillow(with_alpha(rgb), path)),
    "palette": Kind(".png", lambda rgb, path: pillow(Image.fromarray(rgb).quantize(48), path)),
    "one bit": Kind(
        ".png", lambda rgb, path: pillow(Image.fromarray(grey(rgb) > np.median(grey(rgb))), path)
    ),
    "16 bit png": Kind(
        ".png", lambda rgb, path: pillow(Image.fromarray(grey(rgb).astype(np.uint16) * 9), path)
    ),
    "jpeg": Kind(".jpg", lambda rgb, path: pillow(Image.fromarray(rgb), path, quality=85)),
    "inverted": Kind(".bmp", lambda rgb, path: pillow(Image.fromarray(255 - rgb), path)),
    "grey 16 bit": Kind(
        ".tif", lambda rgb, path: tifffile.imwrite(path, grey(rgb).astype(np.uint16) * 200 + 300)
    ),
    "rgb 16 bit": Kind(
        ".tif",
        lambda rgb, path: tifffile.imwrite(path, rgb.astype(np.uint16) * 16, photometric="rgb"),
    ),
    "float": Kind(".tif", lambda rgb, path: tifffile.imwrite(path, grey(rgb) / np.float32(40) - 3)),
    "shares": Kind(
        ".tif",
        lambda rgb, path: tifffile.imwrite(path, rgb / np.float32(255), photometric="rgb"),
    ),
    "one plane": Kind(
        ".tif", lambda rgb, path: tifffile.imwrite(path, grey(rgb)[None], photometric="minisblack")
    ),
    "planar": Kind(
        ".tif",
        lambda rgb, path: tifffile.imwrite(
            path, np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate"
        ),
        opened=False,
    ),
    "strip": Kind(".png", lambda rgb, path: pillow(Image.fromarray(rgb), path), shape=(32, 128)),
    "tiny": Kind(
        ".png", lambda rgb, path: pillow(Image.fromarray(rgb), path), shape=(17, 16), opened=False
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind, each of another scene."""
    folder = tmp_path_factory.mktemp("kinds")
    paths = {}
    for seed, (name, kind) in enumerate(KINDS.items(), HELD_OUT_SEED + 200):
        paths[name] = folder / f"{name}{kind.suffix}"
        kind.write(make_scene(kind.shape, seed).image, paths[name])
    return paths


AGAIN = ("tiny", "float", "rgb")
"""The files of the second run, in another order."""


@pytest.fixture(scope="module")
def commands(files, tmp_path_factory):
    """The folders of two runs of `napari-cliper segment`: on all files, and on some again."""
    folders = [tmp_path_factory.mktemp("run") for _ in range(2)]
    first, second = (
        ["segment", *(files[name] for name in names), "--labels", WORDS, "--output", folder,
         "--model", "demo", "--device", "cpu"]
        for folder, names in zip(folders, (KINDS, AGAIN), strict=True)
    )  # fmt: skip
    subprocess.run([sys.executable, "-m", "napari_cliper", *first], check=True, capture_output=True)
    printed = tmp_path_factory.mktemp("printed") / "second"
    job = forked.start(forked.COMMAND, *second, output=printed)
    job.join(120)
    assert job.exitcode == 0, (printed / "stderr").read_text()
    return folders


def in_python(segmenter, path):
    scores = segmenter.score(segmenter.embed(read_image_file(path)), parse_classes(WORDS))
    return {stage: scores.to_labels(stage=stage) for stage in STAGES}


@pytest.fixture(scope="module")
def python(files):
    """The labels of every file from one Segmenter."""
    segmenter = Segmenter(CONFIG)
    return {name: in_python(segmenter, path) for name, path in files.items()}


@pytest.fixture
def dock(make_napari_viewer, qtbot):
    widget = CliperWidget(make_napari_viewer())
    qtbot.addWidget(widget)
    widget.engine_panel.setValue(CONFIG)
    qtbot.waitUntil(lambda: widget.weights.idle, timeout=20_000)
    widget.classes_panel.add_words(WORDS)
    widget.corrections_panel.spread.setChecked(False)  # nobody draws a hint
    yield widget
    widget.close_down()


def shown(viewer, path, kind):
    """The file as a layer: by napari's own reader, or where that means something else, by ours."""
    pixels = read_image_file(path)
    if not kind.opened:
        return viewer.add_image(pixels, name=path.stem, rgb=True)
    (layer,) = viewer.open(str(path), plugin="napari")
    plane = layer.data[0] if layer.ndim == 3 else layer.data
    np.testing.assert_array_equal(to_rgb(plane).pixels, to_rgb(pixels).pixels)
    return layer


def test_there_is_something_to_compare(python):
    labels = [one["refined"] for one in python.values()]
    assert len(labels) >= 10
    assert sum(len(np.unique(one)) > 1 for one in labels) >= 10
    assert any((one["refined"] != one["coarse"]).any() for one in python.values())


def test_the_command_line_gives_what_python_gives_in_every_process(commands, python):
    """One test for all, as each would run the commands again in a process of its own."""
    for folder, names in zip(commands, (KINDS, AGAIN), strict=True):
        for name in names:
            for stage in STAGES:
                found = tifffile.imread(folder / f"{name}_{stage}.tif")
                message = f"{name} {stage}"
                np.testing.assert_array_equal(found, python[name][stage], message, strict=True)
    for name in AGAIN:
        first, again = ((folder / f"{name}.json").read_bytes() for folder in commands)
        assert first == again


def test_a_fresh_segmenter_gives_the_same_in_any_order(files, python):
    segmenter = Segmenter(CONFIG)
    for name in reversed(list(files)[::3]):
        for stage, labels in in_python(segmenter, files[name]).items():
            np.testing.assert_array_equal(labels, python[name][stage], err_msg=f"{name} {stage}")


def test_the_dock_gives_what_python_gives(dock, files, python, qtbot):
    dock.result.show_both(True)
    for name, kind in KINDS.items():
        dock.viewer.layers.clear()
        layer = shown(dock.viewer, files[name], kind)
        dock.image_panel.images.setCurrentText(layer.name)
        assert dock.image_panel.value().layer is layer
        dock.run()
        assert dock.job is not None, f"{name}: {dock.status_panel.message.text()}"
        qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
        for stage in STAGES:
            found = dock.shown.predictions[stage].layer.data
            np.testing.assert_array_equal(
                found[0] if found.ndim == 3 else found,
                python[name][stage],
                err_msg=f"{name} {stage}",
            )


def test_contrast_limits_that_somebody_set_count_in_the_dock(dock, files, qtbot):
    """The labels are those of `embed` with the limits; napari's own limits are passed over."""
    segmenter = Segmenter(CONFIG)
    for name in ("grey", "grey 16 bit", "float", "rgb"):
        dock.viewer.layers.clear()
        layer = shown(dock.viewer, files[name], KINDS[name])
        pixels = read_image_file(files[name])
        assert dock.image_panel.value().contrast() is None, name
        limits = tuple(np.percentile(pixels, (30, 80)))
        layer.contrast_limits = limits
        embedding = segmenter.embed(pixels, contrast=limits)
        expected = segmenter.score(embedding, parse_classes(WORDS)).to_labels()
        dock.run()
        qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
        np.testing.assert_array_equal(dock.shown.predictions["refined"].layer.data, expected, name)
        stated = "(contrast limits)" in dock.status_panel.message.text()
        assert stated == (name != "rgb"), dock.status_panel.message.text()
        record = dock.shown.predictions["refined"].layer.metadata["napari_cliper"]
        assert (record["image"]["contrast"] is None) == (name == "rgb")
