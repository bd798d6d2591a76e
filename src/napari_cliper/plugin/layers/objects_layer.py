"""The Labels layer of the objects of an image: each object has its own number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from ...labels.numbers import mapped
from ...objects.object_set import objects_of
from .. import ui_text
from ..qt.keys import Keys, bind
from ..qt.listeners import Listeners
from .image_layers import (
    OBJECTS_OF,
    OUTPUT_KEY,
    ImageChoice,
    Region,
    labels_shape,
    place,
    transforms,
)


def make_room(layer: Labels, highest: int) -> None:
    """Let a layer of objects have numbers up to the highest one.

    It has 16 bits until it needs more: napari draws them in a tenth of the time.
    """
    if highest > np.iinfo(layer.data.dtype).max:
        layer.data = layer.data.astype(np.int32)


class ObjectsLayer(QObject):
    """Shows the objects of an image, plane by plane.

    Parameters
    ----------
    viewer : Viewer
    choice : ImageChoice
        The image; its region is not used.
    keys : mapping of str to callable
        Callbacks by key, while the layer is active.
    """

    drawn = Signal()
    """The user has changed pixels of the layer."""
    released = Signal()
    """The user has ended a stroke."""
    removed = Signal()
    """The user has removed the layer."""

    def __init__(self, viewer: Viewer, choice: ImageChoice, keys: Keys) -> None:
        super().__init__()
        self._viewer = viewer
        self.image: Image = choice.layer
        whole = ImageChoice(choice.layer, choice.name)
        self.drawing = False
        """Whether the user is drawing a stroke, so that pixels must not be replaced."""
        self._features: dict[tuple[int, ...], pd.DataFrame] = {}
        # What is shown on each plane; None for a plane that was shown in part.
        self._planes: dict[tuple[int, ...], NDArray[np.int32] | None] = {}
        self._shown: tuple[ImageChoice, NDArray[np.int32]] | None = None
        self.layer = Labels(
            np.zeros(labels_shape(whole), np.uint16),
            name=ui_text.objects_layer(choice.name),
            metadata={OUTPUT_KEY: {OBJECTS_OF: choice.name}},
            **transforms(whole),
        )
        bind(self.layer, keys)
        self._removing = False
        self._listeners = Listeners()
        self._listeners.connect(self, self.layer.events.paint, self._on_paint)
        self._listeners.connect(self, self.layer.events.mode, self._on_mode)
        self.layer.mouse_drag_callbacks.insert(0, self._on_stroke)
        self._listeners.connect(self, viewer.layers.events.removed, self._on_removed)
        selection = viewer.layers.selection
        active, chosen = selection.active, set(selection)
        viewer.add_layer(self.layer)
        selection.clear()
        selection.update(chosen)
        selection.active = active  # the active layer stays active

    @property
    def fits(self) -> bool:
        """Whether the image still has the size of the layer."""
        whole = ImageChoice(self.image, self.image.name)
        return labels_shape(whole) == self.layer.data.shape

    def numbers(self, choice: ImageChoice) -> NDArray[np.int32]:
        """Return a copy of the numbers on a plane, as the user may have drawn them."""
        return np.array(self.layer.data[self._place(choice)], np.int32)

    def drawn_elsewhere(self, choice: ImageChoice) -> dict[tuple[int, ...], NDArray[np.int32]]:
        """Return copies of the numbers on other planes that the user has drawn on.

        With *n edit dim* 3 or more, a stroke goes through several planes.
        """
        found = {}
        if self.layer.n_edit_dimensions > 2:
            for plane in product(*map(range, self.layer.data.shape[:-2])):
                now, known = self.layer.data[plane], self._planes.get(plane, 0)
                if plane == choice.plane or known is None or not (now != known).any():
                    continue
                found[plane] = np.array(now, np.int32)
        return found

    def show(
        self, choice: ImageChoice, numbers: NDArray[np.int32], features: pd.DataFrame | None = None
    ) -> None:
        """Show the objects of a plane.

        Parameters
        ----------
        choice : ImageChoice
        numbers : (Y, X) int32 array
            Of the whole plane.
        features : DataFrame, optional
            One row for each object, with the column ``index``. Default: as before.
        """
        here = self._place(choice)
        self._shown = choice, numbers
        self._planes[choice.plane] = numbers
        if not np.array_equal(self.layer.data[here], numbers):
            make_room(self.layer, int(numbers.max(initial=0)))
            self.layer.data[here] = numbers
            self.layer.refresh()
        if features is not None:
            # The rows of the plane on the screen are last, so that its objects are under the cursor
            # if those of other planes have the same numbers.
            self._features.pop(choice.plane, None)
            self._features[choice.plane] = features
            self.layer.features = pd.concat(self._features.values(), ignore_index=True)

    def show_planes(self, planes: Mapping[tuple[int, ...], NDArray[np.int32]]) -> None:
        """Show objects of other planes than the one on the screen, without their features."""
        new = {at: one for at, one in planes.items() if self._planes.get(at) is not one}
        self._planes |= new
        make_room(self.layer, max((int(one.max(initial=0)) for one in new.values()), default=0))
        for plane, numbers in new.items():
            self.layer.data[plane] = numbers
            self._features.pop(plane, None)
        if new:
            self.layer.refresh()

    def renumber(self, plane: tuple[int, ...], new: Mapping[int, int]) -> None:
        """Give the objects of a plane that is not on the screen other numbers."""
        found = objects_of(self.layer.data[plane])
        ids = [new.get(one, one) for one in found.ids.tolist()]
        self.show_planes({plane: mapped(found.numbers, found.ids, np.array(ids, np.int32))})

    def show_part(self, choice: ImageChoice, part: Region, numbers: NDArray[np.int32]) -> None:
        """Show the objects of a part of a plane for the time being, unless a tool can draw.

        Later strokes are still compared with the objects that `show` has shown.
        """
        if self._draws:
            return
        self._planes[choice.plane] = None
        make_room(self.layer, int(numbers.max(initial=0)))
        self.layer.data[(*choice.plane, *part)] = numbers
        self.layer.refresh()

    def remove(self) -> None:
        """Remove the layer; nothing is signalled."""
        self._removing = True
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.close()

    def close(self) -> None:
        """Disconnect all events; the layer stays."""
        self._listeners.clear()
        if self._on_stroke in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._on_stroke)

    @property
    def _draws(self) -> bool:
        return str(self.layer.mode) != "pan_zoom"

    @staticmethod
    def _place(choice: ImageChoice) -> tuple[int | slice, ...]:
        return place(choice)

    def _on_paint(self, _event: Any = None) -> None:
        self.drawn.emit()

    def _on_mode(self, _event: Any = None) -> None:
        """Show what is drawn on; a stroke that another mode has interrupted is over."""
        if self._draws and not self.drawing and self._shown is not None:
            self.show(*self._shown)
        if not self._draws:
            self._release()

    def _on_stroke(self, _layer: Labels, event: Any) -> Iterator[None]:
        if not self._draws:
            return
        self.drawing = True
        yield
        while event.type == "mouse_move":
            yield
        self._release()

    def _release(self) -> None:
        if self.drawing:
            self.drawing = False
            self.released.emit()

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer and not self._removing:
            self.close()
            self.removed.emit()
