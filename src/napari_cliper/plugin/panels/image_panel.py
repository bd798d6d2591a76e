"""Choice of image, plane and region: the head of the dock."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from napari.layers import Image, Shapes
from napari.viewer import Viewer
from qtpy.QtCore import Signal
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from ...segmentation import InvalidInputError, Reduction
from .. import ui_text
from ..layers.image_group import ImageGroup, groups_in, in_viewer
from ..layers.image_layers import (
    ImageChoice,
    Region,
    axis_name,
    check_whole,
    image_shape,
    is_output,
)
from ..layers.image_view import (
    current_plane,
    go_to_plane,
    rectangle_region,
    rectangles,
    view_events,
    visible_region,
)
from ..layers.image_words import in_words, title_of
from ..qt.eliding_combo_box import ElidingComboBox
from ..qt.listeners import Listeners
from ..qt.notice_line import notice_line
from ..qt.popup import PopupButton
from ..qt.wrapping_label import label_of
from .context_line import ContextLine
from .plane_strip import PlaneStrip

_MOVES = ("scale", "translate", "rotate", "shear", "affine", "units")
_IMAGE_EVENTS = ("name", "data", "axis_labels", "visible", "blending", *_MOVES)
_SHAPES_EVENTS = ("name", "data", "highlight", *_MOVES)  # highlight: another selection
_LIST_EVENTS = ("inserted", "removed", "reordered")
_DIMS_EVENTS = ("current_step", "ndisplay", "order", "ndim")


class ImagePanel(QWidget):
    """Combo boxes for the image, its plane and its region.

    `valueChanged` carries the new `value` when the next run would differ: image or its name, plane,
    region, or the reason why nothing can be run. `tiles_wanted` and `visible_wanted` ask for a run
    in tiles, or of what is visible, of an image whose small objects would be lost.

    Parameters
    ----------
    viewer : Viewer
    """

    valueChanged = Signal(object)
    tiles_wanted = Signal()
    visible_wanted = Signal()

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._images: list[Image] = []  # layers, and groups of layers
        self._groups: list[ImageGroup] = []
        self._used: list[ImageGroup] = []  # groups that were chosen
        self._image: Image | None = None
        self._by_hand = False  # whether the user chose the image here
        self._regions: list[str | Shapes] = []
        self._chosen_region: str | Shapes = "whole"
        self._spins: list[tuple[QLabel, QSpinBox]] = []
        self._told: tuple[Any, ...] = ()

        self.images = ElidingComboBox(ui_text.IMAGE_TIP)
        self.planes = ElidingComboBox(ui_text.PLANE_TIP)
        self.planes.offer(ui_text.CURRENT_PLANE, ui_text.CURRENT_PLANE_TIP)
        self.planes.offer(ui_text.CHOSEN_PLANE, ui_text.CHOSEN_PLANE_TIP)
        self.regions = ElidingComboBox(ui_text.REGION_TIP)
        self._where = QWidget()
        self.region_button = PopupButton(
            "\N{SQUARE WITH LOWER RIGHT DIAGONAL HALF BLACK}",
            ui_text.WHERE_NAME,
            ui_text.WHERE_TIP,
            self._where,
        )
        self.context = ContextLine()
        self.strip = PlaneStrip(self)
        """The planes of a stack, for a place of its own."""
        self._model = ""
        self._smallest = ""  # the smallest objects that are found, in words
        self.tiles_button = QPushButton(ui_text.USE_TILES)
        self.tiles_button.setToolTip(ui_text.RUN_WITH_TILES_TIP)
        self.visible_button = QPushButton(ui_text.USE_VISIBLE)
        self.visible_button.setToolTip(ui_text.RUN_VISIBLE_TIP)
        self.offer = QWidget(self)
        """The warning of lost objects, with two buttons, for a place of its own."""
        self.warning = notice_line(self.offer, (self.tiles_button, self.visible_button))
        self.offer.hide()
        self._lay_out()

        self.images.currentIndexChanged.connect(self._on_image)
        self.images.activated.connect(self._on_chosen)  # also where it is the one that was shown
        self.planes.currentIndexChanged.connect(self._on_planes)
        self.regions.currentIndexChanged.connect(self._on_region)
        self._listeners = Listeners()
        self.destroyed.connect(self._listeners.clear)
        self._listen()

    # ------------------------------------------------------------------ values

    @property
    def image(self) -> Image | None:
        """The chosen image layer, or None."""
        return self._image

    @property
    def has_images(self) -> bool:
        """Whether there is an image layer to choose."""
        return bool(self._images)

    def value(self) -> ImageChoice | None:
        """Return the image, plane and region to run on; None if there is none, see `why_not`."""
        return self._look()[0]

    def on_screen(self) -> ImageChoice:
        """Return the plane of the chosen image that the viewer shows.

        Raises
        ------
        InvalidInputError
            If there is none: no image, a 3-D view, or sliders outside the image.
        """
        if self._image is None or not in_viewer(self._viewer, self._image):
            raise InvalidInputError(ui_text.NO_IMAGE)
        plane = current_plane(self._viewer, self._image)
        return ImageChoice(self._image, self._image.name, plane)

    def go_to_chosen(self) -> None:
        """Move the viewer's sliders to the chosen plane; a 3-D view stays as it is."""
        choice = self.value()
        if choice is None:
            return
        with suppress(InvalidInputError):
            if self.on_screen().plane != choice.plane:
                go_to_plane(self._viewer, choice)

    def choose_group(self, group: ImageGroup) -> None:
        """Choose a group whose layers are in the viewer, as the user does in the list."""
        self._groups = []  # one of the same layers may have been found already
        self._used.append(group)
        self._fill_images()
        self.images.setCurrentIndex(self._images.index(group))

    def choose_current_plane(self) -> None:
        """Choose the plane at the position of the sliders."""
        self.planes.setCurrentIndex(0)

    def why_not(self) -> str:
        """Return why there is nothing to run on; empty if there is."""
        return self._look()[1]

    def _look(self) -> tuple[ImageChoice | None, str]:
        if self._image is None:
            return None, ui_text.NO_IMAGE
        try:
            plane, region = self._plane(self._image), self._region(self._image)
        except InvalidInputError as error:
            return None, str(error)
        return ImageChoice(self._image, self._image.name, plane, region), ""

    def _plane(self, layer: Image) -> tuple[int, ...]:
        if self.planes.currentIndex() == 0:
            return current_plane(self._viewer, layer)
        return tuple(spin.value() for _, spin in self._spins)

    def _region(self, layer: Image) -> Region | None:
        if self._chosen_region == "visible":
            return visible_region(self._viewer, layer)
        if self._chosen_region == "whole":
            check_whole(layer)
            return None
        return rectangle_region(self._viewer, layer, self._chosen_region)

    def rectangles(self) -> list[Shapes]:
        """Return the Shapes layers that contain a rectangle."""
        return [one for one in self._regions if isinstance(one, Shapes)]

    def choose(self, region: str | Shapes, *, current_plane: bool = False) -> None:
        """Choose a region, as the user does in the boxes.

        Parameters
        ----------
        region : str or Shapes
            A name of ``ui_text.REGIONS``, or one of `rectangles`.
        current_plane : bool
            Whether the plane at the sliders is chosen too.
        """
        self.regions.setCurrentIndex(self._regions.index(region))
        if current_plane:
            self.choose_current_plane()

    # ------------------------------------------------------------------ layout

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        self._row = row = QHBoxLayout()
        row.addWidget(self.images, 1)
        row.addWidget(self.region_button)
        column.addLayout(row)
        column.addWidget(self.context)
        self.tiles_button.clicked.connect(self.tiles_wanted)
        self.visible_button.clicked.connect(self.visible_wanted)
        self.images.setAccessibleName(ui_text.IMAGE_NAME)

        grid = QGridLayout(self._where)
        grid.setColumnStretch(1, 1)
        self._plane_label = label_of(ui_text.PLANE_LABEL, self.planes)
        grid.addWidget(self._plane_label, 0, 0)
        grid.addWidget(self.planes, 0, 1)
        self._axes = QWidget()
        self._axes_grid = QGridLayout(self._axes)
        self._axes_grid.setContentsMargins(0, 0, 0, 0)
        self._axes_grid.setColumnStretch(1, 1)
        grid.addWidget(self._axes, 1, 1)
        grid.addWidget(label_of(ui_text.REGION_LABEL, self.regions), 2, 0)
        grid.addWidget(self.regions, 2, 1)

    def add_button(self, button: QWidget) -> None:
        """Put a button at the end of the row of the image."""
        before = self._row.itemAt(self._row.count() - 1).widget()
        self._row.addWidget(button)
        QWidget.setTabOrder(before, button)

    def show_context(self, model: str, reduced: Reduction | None, *, offer: bool = True) -> None:
        """Show the chosen model, and which objects a run finds.

        Parameters
        ----------
        model : str
        reduced : Reduction or None
            How much the image is reduced; None if that is not known.
        offer : bool
            Whether to warn of objects that would be lost, and to offer ways to find them.
        """
        self._model = model
        self._smallest = "" if reduced is None else ui_text.smallest_object(reduced.smallest)
        warn = reduced is not None and reduced.notable and offer
        if reduced is not None and warn:
            self.warning.setText(ui_text.objects_lost(reduced.smallest))
            self.warning.setToolTip(ui_text.reduced(reduced.factor, reduced.smallest))
        self.offer.setVisible(warn)
        self._show_summary(*self._look())

    def set_running(self, *, running: bool) -> None:
        """Disable the offers while a job runs."""
        for button in (self.tiles_button, self.visible_button):
            button.setEnabled(not running)

    def _show_summary(self, choice: ImageChoice | None, why_not: str) -> None:
        parts = [why_not if self._image is not None else ui_text.NO_IMAGE_SHORT]
        if choice is not None:
            parts = in_words(choice, self._smallest)
        self.context.show_parts(parts, "" if choice is None else self._model)

    def _fill_images(self) -> None:
        """List the image layers of the viewer, the topmost first, and groups of them."""
        layers = list(self._viewer.layers)
        images = [one for one in reversed(layers) if isinstance(one, Image) and not is_output(one)]
        self._fill_groups(images)
        self._images = [*images, *self._groups]
        if self._image not in self._images:
            self._image = self._preferred()
            self._by_hand = False
            self._fill_axes()
        with signals_blocked(self.images):
            self.images.clear()
            for layer in self._images:
                self.images.offer(title_of(layer))
            if self._image is not None:
                self.images.setCurrentIndex(self._images.index(self._image))
        self.images.explain("" if self._images else ui_text.NO_IMAGE)

    def _fill_groups(self, images: list[Image]) -> None:
        """List what can be shown together; a chosen group stays while its layers are there."""
        known = [*self._groups, *self._used]
        self._groups = groups_in(self._viewer, images, known)
        self._used = [one for one in self._used if all(layer in images for layer in one.members)]
        self._groups += [one for one in self._used if one.fits and one not in self._groups]

    def _preferred(self) -> Image | None:
        """The active image, another selected one, or the topmost."""
        selection = self._viewer.layers.selection
        return next(
            (one for one in self._images if one == selection.active),
            next((one for one in self._images if one in selection), next(iter(self._images), None)),
        )

    def _fill_regions(self) -> None:
        """List whole image, visible region, and each Shapes layer that contains a rectangle."""
        every = [layer for layer in self._viewer.layers if isinstance(layer, Shapes)]
        if self._chosen_region not in (*ui_text.REGIONS, *every):
            self._chosen_region = "whole"
        shapes = [one for one in every if one is self._chosen_region or rectangles(one)]
        self._regions = ["whole", "visible", *shapes]
        names = [*ui_text.REGIONS.values(), *(ui_text.rectangle_in(one.name) for one in shapes)]
        with signals_blocked(self.regions):
            self.regions.clear()
            for name in names:
                self.regions.offer(name)
            if not shapes:
                self.regions.offer(ui_text.RECTANGLE, ui_text.NO_RECTANGLE, enabled=False)
            self.regions.setCurrentIndex(self._regions.index(self._chosen_region))
        self.regions.explain("" if self._image is not None else ui_text.NO_IMAGE)

    def _fill_axes(self) -> None:
        """Add a spin box for each leading axis of the image; none for a single plane."""
        layer = self._image
        sizes = image_shape(layer)[:-2] if layer is not None else ()
        while len(self._spins) > len(sizes):
            for widget in self._spins.pop():
                self._axes_grid.removeWidget(widget)
                widget.deleteLater()
        while len(self._spins) < len(sizes):
            self._add_spin()
        for axis, (size, (label, spin)) in enumerate(zip(sizes, self._spins, strict=True)):
            name = axis_name(layer, axis)
            label.setText(name)
            spin.setToolTip(ui_text.plane_index_tip(axis=name, last=size - 1))
            spin.setAccessibleName(name)
            with signals_blocked(spin):
                spin.setRange(0, size - 1)
        for widget in (self._plane_label, self.planes):
            widget.setVisible(bool(sizes))
        self._axes.setVisible(bool(sizes) and self.planes.currentIndex() == 1)
        self._start_from_current()

    def _add_spin(self) -> None:
        row, spin = len(self._spins), QSpinBox()
        label = label_of("", spin)
        self._axes_grid.addWidget(label, row, 0)
        self._axes_grid.addWidget(spin, row, 1)
        QWidget.setTabOrder(self._spins[-1][1] if self._spins else self.planes, spin)
        QWidget.setTabOrder(spin, self.regions)
        spin.valueChanged.connect(self._tell)
        self._spins.append((label, spin))

    def _start_from_current(self) -> None:
        """Set the indices to the current plane, until the user chooses one."""
        if self._image is None or self.planes.currentIndex() == 1:
            return
        try:
            plane = current_plane(self._viewer, self._image)
        except InvalidInputError:
            return
        for index, (_, spin) in zip(plane, self._spins, strict=True):
            with signals_blocked(spin):
                spin.setValue(index)

    # ------------------------------------------------------------------ the user's choice

    def _on_chosen(self, _index: int) -> None:
        self._by_hand = True

    def _on_image(self, index: int) -> None:
        self._by_hand = True
        self._image = image = self._images[index]
        if isinstance(image, ImageGroup) and image not in self._used:
            self._used.append(image)
        self.images.explain("")
        self._fill_axes()
        self._tell()

    def _on_planes(self, index: int) -> None:
        self._axes.setVisible(index == 1 and bool(self._spins))
        self._tell()

    def _on_region(self, index: int) -> None:
        if index < len(self._regions):  # not the disabled entry about rectangles
            self._chosen_region = self._regions[index]
        self._fill_regions()
        self._tell()

    def _tell(self, *_: Any) -> None:
        """Update the boxes, and emit `valueChanged` if the choice has changed."""
        choice, why_not = self._look()
        self._show_summary(choice, why_not)
        told = (choice and (choice.key, choice.name, tuple(map(id, choice.arrays))), why_not)
        if told != self._told:
            self._told = told
            self.valueChanged.emit(choice)

    # ------------------------------------------------------------------ napari's events

    def _listen(self) -> None:
        """Connect to the viewer, unless already connected."""
        if self._listeners:
            return
        viewer, layers = self._viewer, self._viewer.layers
        emitters = [
            *((getattr(layers.events, name), self._on_layers) for name in _LIST_EVENTS),
            *((getattr(viewer.dims.events, name), self._on_view) for name in _DIMS_EVENTS),
            *((emitter, self._on_view) for emitter in view_events(viewer)),
            (layers.selection.events.active, self._on_active),
        ]
        for emitter, callback in emitters:
            self._listeners.connect("viewer", emitter, callback)
        for layer in layers:
            self._listen_to(layer)
        self._on_layers()

    def _listen_to(self, layer: Any) -> None:
        if isinstance(layer, Image) and not is_output(layer):
            names: tuple[str, ...] = _IMAGE_EVENTS
            callback = self._on_image_event
        elif isinstance(layer, Shapes):
            names, callback = _SHAPES_EVENTS, self._on_shapes_event
        else:
            return
        for name in names:
            self._listeners.connect(layer, getattr(layer.events, name), callback)

    def _on_layers(self, event: Any = None) -> None:
        kind = getattr(event, "type", "")
        if kind == "removed":
            self._listeners.disconnect(event.value)
        elif kind == "inserted":
            self._listen_to(event.value)
        self._fill_images()
        self._fill_regions()
        self._tell()

    def _on_active(self, _event: Any = None) -> None:
        """Follow the image that is active in napari, until the user chooses one here."""
        active = self._viewer.layers.selection.active
        found = next((one for one in self._images if one == active), None)
        if not self._by_hand and found is not None and found is not self._image:
            self._image = found
            self._fill_images()
            self._fill_axes()
            self._tell()

    def _on_image_event(self, event: Any) -> None:
        for group in {*self._groups, *self._used}:
            if event.source in group.members and event.type in ("name", *_MOVES) and group.fits:
                group.follow()
        if event.type in ("data", "axis_labels") and event.source is self._image:
            self._fill_axes()
        self._fill_images()
        self._tell()

    def _on_shapes_event(self, event: Any) -> None:
        if event.type in ("name", "data"):
            self._fill_regions()
        if event.type == "name" or event.source is self._chosen_region:
            self._tell()

    def _on_view(self, _event: Any = None) -> None:
        if self._image is None or not in_viewer(self._viewer, self._image):
            return  # it is being removed: `_on_layers` follows
        if len(self._spins) != self._image.ndim - 2:
            self._fill_axes()  # other data: this event comes before the layer's own
        self._start_from_current()
        self._tell()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Connect to the viewer again if the panel had been closed."""
        self._listen()
        super().showEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Disconnect from the viewer."""
        self._listeners.clear()
        super().closeEvent(event)
