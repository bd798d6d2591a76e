"""Do a complete job in the real window with mouse and keyboard, and count clicks and keys.

From words to files: type words, run, move a threshold, accept, paint a stroke, click twice, accept,
clean, save as a project, and export six formats. Prints the counts as JSON. With `--keyboard` all
of it is done with keys alone.

Needs a display, and its own settings file without remembered values. Without a display:

    export NAPARI_CONFIG=new.yaml
    xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python tools/complete_job.py
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from apart import APART, run_apart
from numpy.typing import NDArray
from person import Person
from qtpy.QtCore import Qt
from scipy.ndimage import distance_transform_edt

from napari_cliper.annotation.edit_mask import PAINTED
from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.demo.scenes import KINDS
from napari_cliper.io.formats import Purpose
from napari_cliper.plugin.contributions.sample_data import mixed_scene
from napari_cliper.plugin.dock import CliperWidget
from napari_cliper.segmentation import SegmentationConfig

SIZE = 1366, 690  # pixels: a laptop with a task bar
WORDS = "bubble, yeast"
"""Crystals, which no word names, are taken for bubbles."""
LOOSE = 0.3
"""A background threshold that finds the rims, which the published one leaves out."""
BETWEEN = 50  # pixels from one correction to the next
PURPOSES: tuple[Purpose, ...] = ("fiji", "qupath", "tables", "python")  # six formats

Shoot = Callable[[str], None]


def start(viewer: Any) -> tuple[Person, CliperWidget, NDArray[np.integer]]:
    """Return a person at the window with the mixed scene and the dock, and the true kinds."""
    window = viewer.window._qt_window  # noqa: SLF001 - napari has no public way to it
    window.resize(*SIZE)
    (image, shown, _), (truth, _, _) = mixed_scene()
    viewer.add_image(image, **shown)
    dock = CliperWidget(viewer)
    viewer.window.add_dock_widget(dock, name="CLIPer segmentation")
    dock.engine_panel.setValue(SegmentationConfig(model="demo", device="cpu"))
    person = Person(viewer)
    person.take_keyboard()
    person.wait(lambda: dock.idle)
    return person, dock, truth


def complete_job(viewer: Any, shoot: Shoot = lambda _name: None) -> Person:
    """Do the job in a viewer, with the mixed scene; return who did it, with the counts.

    Parameters
    ----------
    viewer : napari.Viewer
    shoot : callable
        Called with a name at each step that a tutorial shows.
    """
    person, dock, truth = start(viewer)
    control, alt = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier

    person.click(dock.classes_panel.field)
    person.type(WORDS, dock.classes_panel.field)
    shoot("words")
    person.press(Qt.Key.Key_Return, control)
    person.wait(lambda: dock.job is None or "layers" in dock.status_panel.stage.text())
    shoot("running")
    person.wait(lambda: dock.shown is not None and dock.idle)
    shoot("result")

    person.slide(dock.threshold_panel.background_slider, LOOSE)
    person.wait(lambda: dock.idle)
    shoot("thresholds")
    person.press(Qt.Key.Key_A, alt)
    person.wait(lambda: dock.idle)
    shoot("accepted")

    annotation = dock.annotation_controller.current()
    assert annotation is not None
    labels = annotation.layer
    names = [kind.name for kind in KINDS]
    kinds = [names.index(word) + 1 for word in WORDS.split(", ")]
    corrected: list[tuple[int, int]] = []

    def mistake() -> tuple[int, int]:
        """The middle of the largest mistake: a pixel of another kind that has a label."""
        wrong = (labels.data > 0) & ~np.isin(truth, kinds)
        rows, columns = np.indices(wrong.shape)
        for row, column in corrected:
            wrong &= np.hypot(rows - row, columns - column) > BETWEEN
        corrected.append(deepest(wrong))
        return corrected[-1]

    person.press(Qt.Key.Key_2, control)
    person.press(Qt.Key.Key_0, alt)
    person.click(dock.corrections_panel.tools.buttons["brush"])
    row, column = mistake()
    person.drag([(row, column), (row + 6, column + 4)])
    person.wait(lambda: dock.idle)
    shoot("stroke")

    person.click(dock.corrections_panel.tools.buttons["click"])
    for _ in range(2):
        person.click_image(mistake())
        person.wait(lambda: dock.idle)
    shoot("clicked")
    person.press(Qt.Key.Key_A, alt)
    person.wait(lambda: dock.idle)
    person.click(dock.annotation_panel.clean_button)
    person.wait(lambda: dock.idle)
    shoot("cleaned")

    person.press(Qt.Key.Key_4, control)
    person.answer("plate")
    person.click(dock.project_panel.save_button)
    person.wait(lambda: dock.project_controller.project is not None and dock.idle)
    for purpose in PURPOSES:
        person.click(dock.export_panel.purposes[purpose].box)
    person.click(dock.export_panel.folder)
    person.type("export", dock.export_panel.folder)
    shoot("export")
    person.click(dock.export_panel.export_button)
    person.wait(lambda: "export" in dock.status_panel.message.text() and dock.idle)
    shoot("exported")
    dock.close_down()
    return person


def by_keyboard(viewer: Any) -> Person:
    """Do the job with keys alone: no mouse, and nothing called in place of a key."""
    person, dock, _ = start(viewer)
    control, alt, shift = (
        Qt.KeyboardModifier.ControlModifier,
        Qt.KeyboardModifier.AltModifier,
        Qt.KeyboardModifier.ShiftModifier,
    )
    person.key(Qt.Key.Key_1, control)
    person.write(WORDS)
    person.key(Qt.Key.Key_Return, control)
    person.wait(lambda: dock.shown is not None and dock.idle)

    slider = dock.threshold_panel.background_slider
    person.tab_to(slider)
    for _ in range(round((slider.value() - LOOSE) / slider.pageStep())):
        person.key(Qt.Key.Key_PageDown)
    person.wait(lambda: dock.idle)
    person.key(Qt.Key.Key_A, alt)
    person.wait(lambda: dock.idle)
    annotation = dock.annotation_controller.current()
    assert annotation is not None
    accepted = annotation.layer.data.copy()

    person.key(Qt.Key.Key_2, control)
    person.key(Qt.Key.Key_U)
    person.wait(lambda: dock.idle)
    person.key("w")  # none of the classes is there
    person.wait(lambda: dock.idle)
    for _ in range(3):
        person.key(Qt.Key.Key_Right, shift)
    person.key(Qt.Key.Key_2, alt)
    person.key("g")  # a stroke
    person.wait(lambda: dock.idle)
    person.key("u")
    person.wait(lambda: dock.idle)
    person.key("h")  # the chosen class is there
    person.wait(lambda: dock.idle)
    person.key("u")
    person.wait(lambda: dock.idle)
    person.key("q")
    person.wait(lambda: dock.idle)
    clicks = {name: len(points) for name, points in annotation.clicks.items()}
    if clicks != {BACKGROUND: 1, WORDS.split(", ")[1]: 1}:
        raise ValueError(f"The keys made these clicks: {clicks}")
    if not (annotation.edits.edit_mask[:] == PAINTED).any():
        raise ValueError("The key G painted nothing.")
    person.key(Qt.Key.Key_A, alt)
    person.wait(lambda: dock.idle)
    if np.array_equal(annotation.layer.data, accepted):
        raise ValueError("The corrections changed nothing.")
    person.key(Qt.Key.Key_2, control)
    person.tab_to(dock.annotation_panel.clean_button)
    person.key(Qt.Key.Key_Space)
    person.wait(lambda: dock.idle)

    person.key(Qt.Key.Key_4, control)
    person.answer_by_keys("plate")
    person.key(Qt.Key.Key_E, alt)
    person.wait(lambda: dock.project_controller.project is not None and dock.idle)
    for purpose in PURPOSES:
        person.tab_to(dock.export_panel.purposes[purpose].box)
        person.key(Qt.Key.Key_Space)
    person.tab_to(dock.export_panel.folder)
    person.key(Qt.Key.Key_A, control)
    person.write("export")
    person.tab_to(dock.export_panel.export_button)
    person.key(Qt.Key.Key_Space)
    person.wait(lambda: "export" in dock.status_panel.message.text() and dock.idle)
    dock.close_down()
    return person


def deepest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel of a mask that lies farthest from its edge."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)


def main(theme: str, job: Callable[[Any], Person]) -> None:
    """Do the job in a folder of its own, and print the counts and the files."""
    with TemporaryDirectory(prefix="complete job ") as folder:
        os.chdir(folder)
        viewer = napari.Viewer()
        viewer.theme = theme
        person = job(viewer)
        made = [path.name for path in (Path(folder) / "export").iterdir() if path.is_dir()]
        counts = {"clicks": person.clicks, "keys": person.keys, "formats": sorted(made)}
        print(json.dumps(counts))
        viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("theme", nargs="?", default="dark")
    parser.add_argument("--keyboard", action="store_true", help="use no mouse")
    parser.add_argument(APART, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.apart:
        run_apart()
    main(options.theme, by_keyboard if options.keyboard else complete_job)
