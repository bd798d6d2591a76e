"""The layers of objects in the viewer: one is visible while the page Objects is open."""

from __future__ import annotations

from functools import partial

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Signal

from ..layers.image_group import in_viewer
from ..layers.image_layers import ImageChoice
from ..layers.objects_layer import ObjectsLayer
from ..object_work import MadeObjects
from ..panels.objects_panel import ObjectsPanel
from ..qt.keys import Keys
from .base import Controller


class ObjectsDisplay(Controller):
    """Adds the layers, and shows the one of the image on the screen.

    Parameters
    ----------
    viewer : Viewer
    panel : ObjectsPanel
    keys : mapping of str to callable
        Callbacks by key, while a layer is active.
    """

    drawn = Signal(object)
    """The user has changed pixels; carries the `ObjectsLayer`."""
    released = Signal()
    """The user has ended a stroke."""
    removed = Signal()
    """The user has removed a layer."""

    def __init__(self, viewer: Viewer, panel: ObjectsPanel, keys: Keys) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._panel = panel
        self._keys = keys
        self._layers: dict[Image, ObjectsLayer] = {}

    def close(self) -> None:
        """Disconnect all events; the layers stay."""
        super().close()
        for one in self._layers.values():
            one.close()

    def of(self, image: Image) -> ObjectsLayer | None:
        """Return the layer of the objects of an image, if there is one."""
        return self._layers.get(image)

    def layer_of(self, choice: ImageChoice) -> ObjectsLayer:
        """Return the layer of the objects of an image; add one if there is none."""
        found = self._layers.get(choice.layer)
        if found is not None and (found.layer not in self._viewer.layers or not found.fits):
            found.remove()
            found = None
        if found is None:
            found = ObjectsLayer(self._viewer, choice, self._keys)
            found.drawn.connect(partial(self.drawn.emit, found))
            found.released.connect(self.released)
            found.removed.connect(partial(self._on_removed, choice.layer))
            self._layers[choice.layer] = found
        return found

    def _on_removed(self, image: Image) -> None:
        """The user has removed the layer: the objects stay, and the switch shows them again."""
        self._layers.pop(image, None)
        self.removed.emit()
        self._panel.show_switch.setChecked(False)

    def forget(self, image: Image) -> None:
        """Remove the layer of an image that is about to be removed."""
        layer = self._layers.pop(image, None)
        if layer is not None:
            layer.remove()

    def lock(self) -> None:
        """Prevent drawing until objects are shown: in 3-D, strokes would have no effect."""
        for one in self._layers.values():
            one.layer.editable = False

    def show(self, made: MadeObjects | None, *, wanted: bool) -> None:
        """Show objects while the page is open, unless they are switched off."""
        shown = None
        if made is not None and wanted and self._panel.show_switch.isChecked():
            there = len(made.plane.objects.ids) or made.seen.choice.layer in self._layers
            if there and in_viewer(self._viewer, made.seen.choice.layer):
                shown = self.layer_of(made.seen.choice)
                shown.show(made.seen.choice, made.plane.objects.numbers, made.features)
                shown.show_planes(made.others)
                shown.layer.editable = True
        for one in self._layers.values():
            if one.layer.visible != (one is shown):  # setting it ends the mode of the layer
                one.layer.visible = one is shown
