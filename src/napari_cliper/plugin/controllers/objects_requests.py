"""Collect the input from which the objects on the screen are made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...objects.plane_objects import PlaneObjects
from ..layers.image_layers import ImageChoice, depth_of, planes_along, whole_sides
from ..object_links import PlaneSource
from ..object_work import ObjectsRequest
from ..state import DockState, SeenLabels
from .kept_objects import KeptObjects
from .object_linking import plane_sources
from .object_origins import ObjectOrigins


class ObjectsRequests:
    """Takes labels, scores and earlier objects of planes.

    Parameters
    ----------
    state : DockState
    origins : ObjectOrigins
    """

    def __init__(self, state: DockState, origins: ObjectOrigins) -> None:
        self._state = state
        self._origins = origins

    def of_plane(self, choice: ImageChoice, kept: KeptObjects) -> ObjectsRequest | None:
        """Return the input for the objects of a plane; None if there is none."""
        origin, scores = kept.saved.origin, self._origins.scores(choice)
        first: Callable[[], PlaneObjects] | None = None
        earlier = kept.of(kept.key(choice.plane), whole_sides(choice))
        seen = None if origin else self._state.seen_labels()
        volume = self._volume(choice, kept)
        fixed = seen is None and not volume
        if seen is None:
            seen = self._without_labels(choice)
            if fixed and earlier is None and origin:
                first = self._origins.objects_in(origin, choice, seen.classes)
            if earlier is None and first is None:
                return None
        return ObjectsRequest(
            seen,
            earlier or PlaneObjects.empty(whole_sides(choice), seen.classes),
            kept.saved.choice,
            kept.highest(),
            scores,
            origin=origin,
            fixed=fixed,
            first=first,
            volume=volume,
            sizing=kept.sizing,
            measured=kept.measured,
        )

    def _volume(self, choice: ImageChoice, kept: KeptObjects) -> list[PlaneSource]:
        """The planes along Z that are split as one volume; none if they are split one by one."""
        depth = depth_of(choice)
        if depth is None or kept.saved.origin or not kept.saved.choice.volume:
            return []
        sources = plane_sources(self._state, kept, planes_along(choice, depth))
        there = (one for one in sources if one.seen is not None or one.known is not None)
        return sources if any(there) else []

    def _without_labels(self, choice: ImageChoice) -> SeenLabels:
        """A plane without labels, whose objects were saved."""
        classes = dict(enumerate(self._state.labelled_rows, 1))
        return SeenLabels("annotation", choice, np.zeros(whole_sides(choice), np.uint16), classes)
