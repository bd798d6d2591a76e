"""Accepted pixels of a large annotation that follow hints, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.stored_edits import region_of, unpack
from ...annotation.stored_follow import Followed, StoredFollow
from ...labels.label_class import ClassRow
from ...segmentation import Monitor, Report, ShouldStop
from .image_layers import ImageChoice
from .large_annotation_layer import LargeAnnotationLayer, numbers_of


@dataclass(frozen=True, eq=False)
class Hint:
    """A hint on a large image.

    Parameters
    ----------
    choice : ImageChoice
        The image and region of the prediction.
    before, after : (Y, X) arrays of int or LabelsByChunk
        The prediction before and after the hint; label i + 1 is ``rows[i]``.
    rows : sequence of ClassRow
    changed : int
        Predicted pixels that it has changed.
    """

    choice: ImageChoice
    before: Any
    after: Any
    rows: Sequence[ClassRow]
    changed: int


@dataclass(frozen=True, eq=False)
class FollowedHint:
    """What a thread has moved for a hint; `classes` are those of the annotation and the hint."""

    annotation: LargeAnnotationLayer
    hint: Hint
    followed: Followed
    classes: Mapping[int, ClassRow]

    def take(self) -> bool:
        """Show it in the annotation; False if something else has changed there meanwhile."""
        one = self.annotation
        if not self.followed.changes:
            return True
        names = {label: row.name for label, row in self.classes.items()}
        if any(names.get(label) != row.name for label, row in one.classes.items()):
            return False
        stale = one.edits.take_followed(self.followed.fork, self.followed.changes)
        one.classes = {**self.classes, **one.classes}
        one.show_classes([*one.classes.values()])
        one.show_changes()
        one.changed.emit()
        return not stale


def following(
    annotation: LargeAnnotationLayer, hint: Hint
) -> Callable[[Report, ShouldStop], FollowedHint]:
    """Return the work that moves accepted pixels to a prediction with a hint, for a thread."""
    annotation.follow()
    key = hint.choice.key
    if annotation.following is None or annotation.following[0] != key:
        region = region_of(annotation.place_of(hint.choice), annotation.store.shape)
        annotation.following = key, StoredFollow(region, hint.before)
    known, annotation.classes = annotation.classes, dict(annotation.classes)
    numbers = numbers_of(hint.rows, annotation.number_of)
    known, annotation.classes = annotation.classes, known  # what is only predicted stays out
    return partial(_followed, annotation, hint, annotation.following[1], numbers, known)


def _followed(
    annotation: LargeAnnotationLayer,
    hint: Hint,
    follow: StoredFollow,
    numbers: NDArray[np.uint16],
    classes: Mapping[int, ClassRow],
    report: Report,
    should_stop: ShouldStop,
) -> FollowedHint:
    followed = follow.run(annotation.store, hint.after, numbers, Monitor(report, should_stop))
    unpack(followed.changes, annotation.edits.region)
    return FollowedHint(annotation, hint, followed, classes)
