"""The visible objects of a large plane, while all of them would take long to make."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import Signal

from ...segmentation import InvalidInputError
from ..layers.image_layers import ImageChoice, Region, sides_of
from ..layers.image_view import visible_region
from ..object_work import ObjectsRequest, make_part
from ..panels.objects_panel import ObjectsPanel
from ..worker import Work
from .base import Controller
from .kept_objects import KeptObjects


class VisibleObjects(Controller):
    """Makes the objects that the viewer shows, always of the newest labels.

    Parameters
    ----------
    panel : ObjectsPanel
    viewer : Viewer
    request : callable
        Returns the objects of the image and the request for those of its plane; None for none.
    """

    found = Signal(object, object, object)
    """Carries the `ImageChoice`, the visible part of its plane, and the numbers there."""

    def __init__(
        self,
        panel: ObjectsPanel,
        viewer: Viewer,
        request: Callable[[], tuple[KeptObjects, ObjectsRequest] | None],
    ) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._request = request
        self._making = self.newest(self._snapshot, self._on_made)

    def follow(self) -> None:
        """Make the visible objects soon."""
        self._making.request()

    def _snapshot(self) -> Work | None:
        asked = self._request()
        if asked is None or asked[1].seen.choice.region is not None:
            return None
        kept, request = asked
        choice = request.seen.choice
        try:
            part = visible_region(self._viewer, choice.layer)
        except InvalidInputError:
            return None  # the plane is not shown flat
        if 2 * math.prod(sides_of(part)) > math.prod(replace(choice, region=None).shape):
            return None  # it would take as long as the whole plane
        version = kept.version
        work = partial(make_part, request, part)
        return lambda report, stop: (kept, version, choice, part, work(report, stop))

    def _on_made(self, result: tuple[KeptObjects, int, ImageChoice, Region, Any]) -> None:
        kept, version, choice, part, numbers = result
        if kept.version == version and not self.closed:  # else an object was edited meanwhile
            self.found.emit(choice, part, numbers)
