"""Work on annotations in a thread: cleaning and counting. Without Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.cleanup import CLEANING
from ...annotation.completion import Done, done, done_on_disk
from ...annotation.label_store import LabelStore
from ...segmentation import Progress
from ..layers.image_layers import Region


def cleaned(
    tool: Any,
    labels: NDArray[np.uint16],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
    *,
    amount: int | None,
    wanted: set[int] | None = None,
    where: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """The labels after a cleaning tool; it changes the given classes, by default all."""
    chosen = set(np.unique(labels).tolist()) - {0} if wanted is None else wanted
    return CLEANING[tool](labels, chosen, amount, where=where)


def counted(
    labels: NDArray[np.uint16],
    edit_mask: NDArray[np.uint8],
    predicted: tuple[NDArray[Any], Region] | tuple[()],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> Done:
    """The progress of an annotation in memory."""
    return done(labels, edit_mask, *predicted)


def counted_on_disk(
    store: LabelStore,
    predicted: tuple[NDArray[Any], Region] | tuple[()],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> Done:
    """The progress of an annotation on disk."""
    return done_on_disk(store, *predicted)
