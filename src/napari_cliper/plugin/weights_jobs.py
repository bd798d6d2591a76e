"""Jobs about the weights of models: which are on disk, downloads. Without Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..segmentation import (
    REGISTRY,
    Monitor,
    Report,
    SegmentationError,
    ShouldStop,
    WeightsEntry,
)
from .pytorch_loading import load_pytorch


def find_models(report: Report, _should_stop: ShouldStop) -> tuple[str, ...]:
    """Load PyTorch, and return the models of open_clip's table; called in a thread."""
    load_pytorch(report)
    from ..segmentation import listed_models  # noqa: PLC0415 - torch

    return listed_models()


def fetch_weights(names: Sequence[str], report: Report, should_stop: ShouldStop) -> None:
    """Download weights by name; called in a thread."""
    load_pytorch(report)
    from ..segmentation import fetch, weights_of  # noqa: PLC0415 - heavy

    for name in names:
        for row in weights_of(name):
            fetch(row, monitor=Monitor(report, should_stop))


@dataclass(frozen=True)
class WeightsFound:
    """Which weights are on disk.

    Parameters
    ----------
    on_disk : mapping of str to bool
        By name: those of the registry, and the requested one.
    requested : str
        The requested name outside the registry; empty for none.
    row : WeightsEntry or None
        Its weights, if they can be downloaded.
    vocabulary : tuple of str
        The words that the demo model knows.
    free : int
        Bytes that are free where downloads are stored.
    """

    on_disk: Mapping[str, bool]
    requested: str
    row: WeightsEntry | None
    vocabulary: tuple[str, ...]
    free: int


def weights_on_disk(name: str, _report: Report, _should_stop: ShouldStop) -> WeightsFound:
    """Find which weights of the registry and of one more model are on disk; called in a thread.

    Parameters
    ----------
    name : str
        A model of open_clip's table, or empty. An invalid name is ignored.
    """
    from ..segmentation import cached, free_space, vocabulary  # noqa: PLC0415 - heavy

    on_disk = {one: cached(entry) is not None for one, entry in REGISTRY.items()}
    row = None
    if name:
        load_pytorch()
        from ..segmentation import weights_of  # noqa: PLC0415 - torch

        with suppress(SegmentationError):  # a run will show the error
            rows = weights_of(name)
            row = rows[0]
            on_disk[name] = all(cached(one) is not None for one in rows)
    return WeightsFound(on_disk, name, row, vocabulary(REGISTRY["demo"]), free_space())
