"""The page Objects: counts, possible actions, or the reason why there are no objects."""

from __future__ import annotations

from .. import ui_text
from ..object_work import MadeObjects
from ..panels.objects_panel import ObjectsPanel
from ..state import DockState
from .base import Controller
from .kept_objects import KeptObjects
from .object_editing import ObjectEditing
from .object_origins import ObjectOrigins
from .objects_by_class import class_rows, summary


class ObjectsPage(Controller):
    """Shows objects on the page.

    Parameters
    ----------
    state : DockState
    panel : ObjectsPanel
    tools : ObjectEditing
    origins : ObjectOrigins
    """

    def __init__(
        self, state: DockState, panel: ObjectsPanel, tools: ObjectEditing, origins: ObjectOrigins
    ) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._tools = tools
        self._origins = origins

    def show_none(self, origin: str) -> None:
        """Show that there are no objects, and why."""
        self._origins.show(ui_text.OF_LABELS, origin)
        self._panel.show_objects(None, "")
        why = self._state.why_nothing_seen or ui_text.OBJECTS_EMPTY
        why = ui_text.origin_gone(origin) if origin else why
        self._tools.show(why, warning=False)
        self._panel.set_available(why, why, ui_text.NO_EDIT)

    def show(self, made: MadeObjects, kept: KeptObjects, *, busy: bool) -> None:
        """Show counts and possible actions.

        Parameters
        ----------
        made : MadeObjects
        kept : KeptObjects
            Of the image.
        busy : bool
            Whether a table is being written.
        """
        objects, deep = made.every.objects, made.volume is not None
        of_annotation = made.seen.source == "annotation" and not made.origin
        text = ui_text.OF_ANNOTATION if of_annotation else ui_text.OF_PREDICTION
        self._origins.show(ui_text.OF_LABELS if made.origin else text, made.origin)
        order = [row.name for row in self._state.rows]
        rows = class_rows(made, order, self._panel.value())
        self._panel.show_objects(rows, summary(made), volumes=deep)
        if not len(objects.ids):
            self._tools.show(self._why_none(made, kept), warning=True)
        else:
            self._tools.show(self._how(made), warning=False)
        no_remove = "" if objects.smaller else ui_text.NO_SMALLER
        if deep:
            no_remove = ui_text.REMOVE_PER_PLANE
        no_objects = ui_text.OBJECTS_BUSY if busy else ""
        self._panel.set_available(
            no_remove if of_annotation else ui_text.ACCEPT_TO_REMOVE,
            no_objects if len(objects.ids) else ui_text.NO_OBJECTS,
            "" if kept.can_undo else ui_text.NO_EDIT,
        )

    def _how(self, made: MadeObjects) -> str:
        """How objects of another program get their classes."""
        if not made.origin:
            return ""
        run = self._origins.scores(made.seen.choice) is not None
        return ui_text.OTHERS_HOW if run else ui_text.OTHERS_NOT_RUN

    def _why_none(self, made: MadeObjects, kept: KeptObjects) -> str:
        """Why there is no object, and what to do."""
        objects = made.every.objects
        if made.seen.labels.any():
            return ui_text.all_left_out(
                smaller=objects.smaller,
                at_border=objects.at_border,
                smallest=kept.saved.choice.smallest,
            )
        if made.seen.source == "annotation":
            return ui_text.NOTHING_ANNOTATED_HERE
        return self._state.result.why_empty()
