"""Make the images of the README and the documentation from the real window.

Needs a display; without one:

    xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python tools/make_pictures.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from apart import APART, run_apart
from complete_job import SIZE, complete_job, deepest
from person import wait
from PIL import Image
from qtpy.QtWidgets import QWidget

from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.demo.run import DEMO_SEED, HELD_OUT_SEED, SCENE_SHAPE, segment_scene
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.writers.overlay import overlay
from napari_cliper.labels.label_class import ClassRow, rows_of
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.plugin.frame import PageName
from napari_cliper.plugin.qt.accordion import Fold
from napari_cliper.segmentation import (
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    UserHints,
    image_affinity,
)

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SHOWN = ("words", "running", "result", "thresholds", "accepted", "stroke", "clicked", "exported")
"""The steps of the complete job that the tutorial shows."""
INVENTED = ("alpha", "beta", "gamma", "delta")
"""Names that tell the model nothing, for the four kinds of the scene."""
EXACT = 96  # colours, for the window and the classes
SETTLE = 500  # milliseconds until everything is drawn


NUCLEI = Path(__file__).resolve().parents[1] / "tests" / "data" / "fluo" / "nuclei.png"
"""A real image; its source is in the README beside it."""


def nuclei_image() -> None:
    """A real image with one click on a nucleus and one on the background, beside its labels."""
    image = np.asarray(Image.open(NUCLEI))
    truth = np.asarray(Image.open(NUCLEI.with_name("nuclei_labels.png")))
    segmenter = Segmenter(SegmentationConfig(model="demo", refiner="none"))
    embedding = segmenter.embed(image)
    scores = segmenter.score(embedding, ["nucleus"])
    hint_labels = np.full(truth.shape, -1)
    shown = np.kron(embedding.image.pixels, np.ones((2, 2, 1), np.uint8))
    for label, colour in ((0, (0, 200, 255)), (1, (255, 60, 60))):
        row, column = deepest(truth == label)
        hint_labels[row - 2 : row + 3, column - 2 : column + 3] = label
        at = slice(2 * row - 5, 2 * row + 6), slice(2 * column - 5, 2 * column + 6)
        shown[at] = colour
    labels = LiveLabels(scores, "coarse").labels(
        scores.settings.thresholds, UserHints(image_affinity(embedding), hint_labels)
    )
    edge = labels != np.roll(labels, 1, axis=0)
    edge |= labels != np.roll(labels, 1, axis=1)
    outlined = np.kron(embedding.image.pixels, np.ones((2, 2, 1), np.uint8))
    outlined[np.kron(edge, np.ones((2, 2), bool))] = 255, 220, 0
    both = np.concatenate([shown, outlined], axis=1)
    Image.fromarray(both).save(FOLDER / "nuclei.png", optimize=True)


def demo_image() -> None:
    """The demo's scene beside its labels and their legend."""
    result = segment_scene(lambda _progress: None)
    rows = dict(enumerate(rows_of(result.scores.classes), 1))
    labelled = overlay(LabelledImage("demo", result.labels, rows, image=result.scene.image))
    height, width = result.labels.shape
    both = Image.new("RGB", (width + labelled.width, max(height, labelled.height)), "white")
    both.paste(Image.fromarray(result.scene.image), (0, 0))
    both.paste(labelled, (width, 0))
    both.save(FOLDER / "demo.png", optimize=True)


def save_window(viewer: napari.Viewer, name: str, settle: int = SETTLE) -> None:
    """Save a whole window."""
    wait(settle)
    window: Any = viewer.window
    picture = Image.fromarray(window.screenshot(flash=False, canvas_only=False)).convert("RGB")
    with_palette(picture).save(FOLDER / f"{name}.png", optimize=True)


def with_palette(picture: Image.Image) -> Image.Image:
    """Reduce a picture to 256 colours; the most frequent ones stay unchanged."""
    counted = picture.getcolors(picture.width * picture.height) or []
    exact = np.array([colour for _, colour in sorted(counted, reverse=True)[:EXACT]])
    others = picture.quantize(256 - EXACT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*exact.ravel().tolist(), *others])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def show(dock: CliperWidget, page: PageName, panel: QWidget) -> None:
    """Go to a page, open the fold of a panel, and scroll to it."""
    dock.frame.go_to(page)
    seen = dock.frame.current
    assert seen.isAncestorOf(panel)
    for fold in seen.findChildren(Fold):
        if fold.isAncestorOf(panel):
            fold.set_open(is_open=True)
    seen.ensureWidgetVisible(panel)


class Window:
    """A napari window with the dock, and its images."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer()
        window: Any = self.viewer.window
        window.resize(*SIZE)
        self.dock = CliperWidget(self.viewer)
        window.add_dock_widget(self.dock, name="CLIPer segmentation")
        wait(lambda: self.dock.weights.idle)

    def shoot(self, name: str) -> None:
        """Save the whole window."""
        save_window(self.viewer, name)

    def settle(self) -> None:
        """Wait until nothing runs or waits to run."""
        wait(SETTLE)
        wait(lambda: self.dock.idle)

    def run(self) -> None:
        """Press Run and wait for the end."""
        self.dock.run()
        wait(lambda: self.dock.job is None)


def job_images() -> None:
    """The tutorial's images of the complete job, in its order."""
    viewer = napari.Viewer()

    def shoot(name: str) -> None:
        if name in SHOWN:
            save_window(viewer, f"dock-{name}", settle=1 if name == "running" else SETTLE)

    before = Path.cwd()
    with TemporaryDirectory(prefix="job ") as folder:
        os.chdir(folder)
        complete_job(viewer, shoot)
        os.chdir(before)
    viewer.close()


def window_images() -> None:
    """The empty dock, an error, and a project."""
    window = Window()
    viewer, dock = window.viewer, window.dock
    window.shoot("dock-empty")
    dock.engine_panel.setValue(SegmentationConfig(model="demo"))
    dock.classes_panel.add_words("nucleus, red blood cell, bubble, fibre")
    viewer.add_image(np.full((256, 256), 7, np.uint8), name="flat")
    window.run()
    window.shoot("dock-error")
    viewer.layers.clear()
    project_images(window)
    viewer.close()


def labelled_images() -> None:
    """When words fail: invented names, a click each, uncertainty, and prototypes."""
    window = Window()
    viewer, dock = window.viewer, window.dock
    dock.engine_panel.setValue(SegmentationConfig(model="demo"))
    scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + DEMO_SEED)
    viewer.add_image(scene.image, name="stain")
    dock.classes_panel.setValue([ClassRow(name) for name in INVENTED])
    dock.frame.go_to("find")
    window.run()
    window.shoot("dock-words-fail")

    for name, label in zip(
        (*INVENTED, BACKGROUND), (*sorted(set(scene.labels.flat) - {0}), 0), strict=True
    ):
        dock.correction_controller.click_controller.choose(name)
        dock.corrections_panel.tools.buttons["click"].click()
        clicks = dock.correction_controller.click_controller.of(viewer.layers["stain"])
        assert clicks is not None
        clicks.layer.add(deepest(scene.labels == label))
        window.settle()
    show(dock, "correct", dock.corrections_panel)
    window.shoot("dock-clicks")

    dock.corrections_panel.uncertainty.setChecked(True)
    window.settle()
    window.shoot("dock-uncertainty")
    dock.corrections_panel.uncertainty.setChecked(False)

    dock.annotation_panel.accept_button.click()
    window.settle()
    show(dock, "export", dock.prototypes_panel)
    wait(SETTLE)
    window.shoot("dock-prototypes")
    viewer.close()


def project_images(window: Window) -> None:
    """A folder of four scenes, the first done, the second begun."""
    dock = window.dock
    with TemporaryDirectory(prefix="plates ") as folder:
        pictures = []
        for number in range(1, 5):
            scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + DEMO_SEED + number)
            pictures.append(Path(folder) / f"plate {number}.png")
            Image.fromarray(scene.image).save(pictures[-1])
        dock.project_controller.create(Path(folder) / "annotations", pictures)
        wait(lambda: dock.project_controller.current == "plate 1" and dock.project_controller.idle)
        dock.project_controller.toggle_done()
        wait(lambda: dock.project_controller.current == "plate 2" and dock.project_controller.idle)
        dock.image_panel.images.setCurrentText("plate 2")
        window.run()
        dock.annotation_panel.accept_button.click()
        window.settle()  # it saves by itself
        show(dock, "export", dock.project_panel)
        window.shoot("dock-project")
        dock.close_down()  # while the folder is there


def main() -> None:
    """Make every image."""
    if APART not in sys.argv:
        run_apart()
    FOLDER.mkdir(parents=True, exist_ok=True)
    nuclei_image()
    demo_image()
    job_images()
    window_images()
    labelled_images()


if __name__ == "__main__":
    main()
