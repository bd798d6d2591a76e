"""What a person does with the project of a dock."""

from __future__ import annotations

from dock_views import choose

from napari_cliper.annotation.project.project import Project


def annotation(dock):
    return dock.annotation_controller.of(dock.project_controller.layer)


def loaded(dock, qtbot, name):
    qtbot.waitUntil(
        lambda: dock.project_controller.current == name and dock.project_controller.idle,
        timeout=10_000,
    )
    choose(dock, dock.project_controller.layer)


def full_disk(*_args, **_options):
    raise OSError(28, "No space left on device")


def painted(dock, qtbot, at=(30, 30)):
    """Paint label 2 at a place of the first image, and let the dock know."""
    mine = dock.annotation_controller.begin(dock.project_controller.layer, "scene 1")
    mine.layer.paint(at, 2)
    qtbot.wait(20)
    return mine


def on_disk(tmp_path, at=(30, 30)):
    state = Project.open(tmp_path / "project").load("scene 1")
    return state is not None and state.labels[at] == 2
