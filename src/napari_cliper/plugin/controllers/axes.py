"""Ask once what the axes of a stack without axis names are."""

from __future__ import annotations

from typing import Any

from napari.layers import Image

from ...annotation.project.project import Project
from ...labels.axes import NAMES, UNKNOWN, axes_from_names, napari_names
from .. import ui_text
from ..layers.image_group import members_of
from ..layers.image_layers import AXES_KEY, axis_name, image_shape
from ..panels.axes_panel import AxesPanel
from ..qt.listeners import Listeners
from ..state import DockState
from .base import Controller
from .project import ProjectController


class AxesController(Controller):
    """Asks for the axes of the chosen image, and names them on its layer.

    Annotations, exports and projects take the names from the layer. A project keeps the answer for
    all its images with the same axes, and an annotation outside of projects with its session.

    Parameters
    ----------
    state : DockState
    panel : AxesPanel
    projects : ProjectController
    """

    def __init__(self, state: DockState, panel: AxesPanel, projects: ProjectController) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._projects = projects
        self._layer: Image | None = None
        self._asked = ""  # the axes of the layer before the first answer
        self._listeners = Listeners()
        panel.answered.connect(self._on_answered)
        state.image_changed.connect(self._follow)
        self._follow()

    def close(self) -> None:
        """Disconnect from the layer."""
        super().close()
        self._listeners.clear()

    def _follow(self, _event: Any = None) -> None:
        """Ask about the first axis of the chosen image that has no name."""
        choice = self._state.choice
        layer = None if choice is None else choice.layer
        if layer is not self._layer:
            self._listeners.clear()
            self._layer, self._asked = layer, ""
            if layer is not None:
                self._listeners.connect(layer, layer.events.axis_labels, self._follow)
                self._asked = self._axes(layer)
        axis = None if layer is None else self._unnamed(layer)
        if layer is None or axis is None:
            self._panel.hide()
            return
        self._panel.ask(
            ui_text.axis_question(axis=axis_name(layer, axis), length=image_shape(layer)[axis]),
            ui_text.axis_question_tip(image=layer.name),
            [letter for letter in NAMES if letter not in self._axes(layer)],
        )

    def _on_answered(self, letter: str) -> None:
        layer = self._layer
        axis = None if layer is None else self._unnamed(layer)
        if layer is None or axis is None:
            return
        if letter:
            axes = self._axes(layer)
            self._name(layer, axes[:axis] + letter + axes[axis + 1 :])
        else:
            for one in members_of(layer):
                one.metadata[AXES_KEY] = True
        project = self._project_of(layer)
        if project is not None and self._unnamed(layer) is None:
            with self.showing_errors():
                project.name_axes(self._asked, self._axes(layer))
        self._follow()

    def _project_of(self, layer: Image) -> Project | None:
        return self._projects.project if layer is self._projects.layer else None

    def _unnamed(self, layer: Image) -> int | None:
        """The first axis of several planes without a name; None if there is nothing to ask."""
        axes, shape = self._axes(layer), image_shape(layer)
        project = self._project_of(layer)
        answers = () if project is None else project.named_axes.values()
        if axes in answers or all(AXES_KEY in one.metadata for one in members_of(layer)):
            return None
        return next(
            (i for i, axis in enumerate(axes) if axis == UNKNOWN and shape[i] > 1 and _free(axes)),
            None,
        )

    def _axes(self, layer: Image) -> str:
        return axes_from_names(layer.axis_labels, layer.ndim)

    def _name(self, layer: Image, axes: str) -> None:
        """Name the axes of a layer, or of all layers that are shown together."""
        for one in members_of(layer):
            one.axis_labels = napari_names(axes)


def _free(axes: str) -> bool:
    return any(letter not in axes for letter in NAMES)
