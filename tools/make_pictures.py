"""Make the images of the README and the documentation anew, from the real window.

Needs a display; without one:

    xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python tools/make_pictures.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from qtpy.QtCore import QEventLoop, QTimer
from scipy.ndimage import distance_transform_edt

from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.demo.run import DEMO_SEED, HELD_OUT_SEED, SCENE_SHAPE, segment_scene
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.writers.overlay import overlay
from napari_cliper.labels.label_class import ClassRow, rows_of
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.segmentation import SegmentationConfig

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = (1280, 860)
INVENTED = ("alpha", "beta", "gamma", "delta")
"""Names that tell the model nothing, for the four kinds of the scene."""
SETTLE = 500  # milliseconds until everything is drawn


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


def wait(until: Callable[[], bool] | int) -> None:
    """Let the window live for some milliseconds, or until something is true."""
    loop, timer = QEventLoop(), QTimer()
    if isinstance(until, int):
        QTimer.singleShot(until, loop.quit)
    else:
        timer.timeout.connect(lambda: loop.quit() if until() else None)
        timer.start(5)
    loop.exec()


class Window:
    """A napari window with the dock, and its images."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer()
        window: Any = self.viewer.window
        window.resize(*SIZE)
        self.dock = CliperWidget(self.viewer)
        window.add_dock_widget(self.dock, name="CLIPer segmentation")
        wait(lambda: self.dock.lookup is None)

    def shoot(self, name: str, settle: int = SETTLE) -> None:
        """Save the whole window."""
        wait(settle)
        window: Any = self.viewer.window
        picture = Image.fromarray(window.screenshot(flash=False, canvas_only=False))
        picture.convert("RGB").quantize(256).save(FOLDER / f"{name}.png", optimize=True)

    def run(self) -> None:
        """Press Run and wait for the end."""
        self.dock.run()
        wait(lambda: self.dock.job is None)


def window_images() -> None:
    """The tutorial's images, in its order."""
    window = Window()
    viewer, dock = window.viewer, window.dock
    window.shoot("dock-empty")
    scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + DEMO_SEED)
    viewer.add_image(scene.image, name="scene")
    dock.engine_panel.set_config(SegmentationConfig(model="demo"))
    dock.classes_panel.field.setText("nucleus, red blood cell=erythrocyte, bubble, fibre")
    window.shoot("dock-words")
    dock.run()
    wait(lambda: dock.job is None or "layers" in dock.status_panel.stage.text())
    window.shoot("dock-running", settle=1)
    wait(lambda: dock.job is None)
    window.shoot("dock-result")
    dock.threshold_panel.background_slider.setValue(0.75)
    window.shoot("dock-thresholds")
    dock.threshold_panel.background_default.click()
    wait(SETTLE)

    assert dock.shown is not None
    layer = dock.shown.predictions["refined"].layer
    layer.mode = "paint"
    layer.selected_label = 1
    for row in range(230, 300, 4):
        layer.paint((row, 320), 1)
    window.shoot("dock-painted")

    dock.annotation_panel.accept_button.click()
    mine = dock.annotation_controller.current()
    assert mine is not None
    mine.layer.brush_size = 20
    mine.layer.mode = "paint"
    dock.annotation_controller.brush_nth(2)
    for row in range(330, 380, 4):
        mine.layer.paint((row, 110), mine.layer.selected_label)
    wait(2 * SETTLE)
    dock.frame.show_panel(dock.annotation_panel)
    window.shoot("dock-annotation")

    viewer.layers.clear()
    viewer.add_image(np.full((256, 256), 7, np.uint8), name="flat")
    dock.frame.go_to("find")
    window.run()
    window.shoot("dock-error")
    viewer.layers.clear()
    project_images(window)
    viewer.close()


def labelled_images() -> None:
    """When words fail: invented names, a click each, doubt, and what was learned."""
    window = Window()
    viewer, dock = window.viewer, window.dock
    dock.engine_panel.set_config(SegmentationConfig(model="demo"))
    scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + DEMO_SEED)
    viewer.add_image(scene.image, name="stain")
    dock.classes_panel.set_classes([ClassRow(name) for name in INVENTED])
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
        wait(4 * SETTLE)
    dock.frame.show_panel(dock.corrections_panel)
    window.shoot("dock-clicks")

    dock.corrections_panel.uncertainty.setChecked(True)
    wait(4 * SETTLE)
    window.shoot("dock-uncertainty")
    dock.corrections_panel.uncertainty.setChecked(False)

    dock.annotation_panel.accept_button.click()
    wait(lambda: dock.job is None)
    wait(4 * SETTLE)
    dock.frame.show_panel(dock.prototypes_panel)
    wait(SETTLE)
    window.shoot("dock-prototypes")
    viewer.close()


def deepest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel of a mask that lies farthest from its edge."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)


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
        wait(
            lambda: (
                dock.project_controller.current == "plate 1" and dock.project_controller.job is None
            )
        )
        dock.project_controller.toggle_done()
        wait(
            lambda: (
                dock.project_controller.current == "plate 2" and dock.project_controller.job is None
            )
        )
        dock.image_panel.images.setCurrentText("plate 2")
        window.run()
        dock.annotation_panel.accept_button.click()
        wait(4 * SETTLE)  # it saves by itself
        dock.project_panel.where.setText("plates/annotations: 1 of 4 done.")
        dock.frame.show_panel(dock.project_panel)
        window.shoot("dock-project")
        dock.close_down()  # while the folder is there


def main() -> None:
    """Make every image."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    demo_image()
    window_images()
    labelled_images()


if __name__ == "__main__":
    main()
