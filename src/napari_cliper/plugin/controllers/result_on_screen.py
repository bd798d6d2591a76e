"""Find the stored result of the current plane, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence

from napari.viewer import Viewer

from ...segmentation import InvalidInputError
from .. import ui_text
from ..layers.image_layers import ImageChoice, axis_name
from ..panels.image_panel import ImagePanel
from .kept_results import Kept, KeptResults

PLANES_NAMED = 3


def result_on_screen(
    viewer: Viewer,
    images: ImagePanel,
    kept: KeptResults,
    waiting: ImageChoice | None,
    *,
    stored: bool,
) -> tuple[Kept | None, str]:
    """Find the result of the current plane.

    Parameters
    ----------
    viewer : Viewer
    images : ImagePanel
    kept : KeptResults
    waiting : ImageChoice or None
        A plane that has a saved prediction, which was not shown yet.
    stored : bool
        Whether a saved prediction is shown for this plane.

    Returns
    -------
    Kept or None
    str
        Why there is none; empty if there is one.
    """
    try:
        seen = images.on_screen()
    except InvalidInputError as error:
        return None, str(error)
    every = [one for one in kept if one.shown.choice.layer is seen.layer]
    of_image = [one for one in every if one.shown.choice.is_current]
    of_plane = [one for one in of_image if one.shown.choice.plane == seen.plane]
    there = [
        one
        for one in of_plane
        if any(s.layer in viewer.layers for s in one.shown.predictions.values())
    ]
    if there:
        return _preferred(viewer, images.value(), there), ""
    if stored:
        return None, ui_text.STORED_PREDICTION
    indices = plane_in_words(seen, seen.plane)
    plane = ui_text.plane_of(indices=indices, image=seen.name)
    if of_plane:
        return None, ui_text.prediction_removed(plane)
    if every and not of_image:
        return None, ui_text.pixels_changed(seen.name)
    if kept.was_dropped(seen):
        return None, ui_text.scores_dropped(plane)
    planes = {one.shown.choice.plane for one in of_image}
    if waiting is not None and waiting.layer is seen.layer:
        planes.add(waiting.plane)
    if planes and seen.plane:
        known = [plane_in_words(seen, one) for one in sorted(planes)]
        return None, ui_text.not_run(plane, known, PLANES_NAMED)
    if next(iter(kept), None) is not None:
        return None, ui_text.not_run(plane)
    return None, ui_text.NO_PREDICTION


def _preferred(viewer: Viewer, chosen: ImageChoice | None, found: Sequence[Kept]) -> Kept:
    """Of several regions, choose that of the active layer, the chosen one, or the last."""
    active = viewer.layers.selection.active
    for one in found:
        if any(s.layer is active for s in one.shown.predictions.values()):
            return one
    for one in found:
        if chosen is not None and one.shown.choice.key == chosen.key:
            return one
    return found[0]


def plane_in_words(choice: ImageChoice, plane: tuple[int, ...]) -> str:
    """Return the indices of a plane of the image of a choice, such as ``t 2, z 5``."""
    return ", ".join(
        ui_text.axis_index(axis=axis_name(choice.layer, axis), index=at)
        for axis, at in enumerate(plane)
    )
