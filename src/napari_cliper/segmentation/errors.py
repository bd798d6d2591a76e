"""What can go wrong, in words a person can act on.

Every error of the engine says what was wrong, with the value, and what to do
about it. None of them is a `RuntimeError`: generator workers of Qt programs
swallow those.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SegmentationError(Exception):
    """Base of every error that the engine raises on purpose."""


class InvalidInputError(SegmentationError, ValueError):
    """An image, a word or a setting that cannot be worked with."""


class WeightsUnavailableError(SegmentationError):
    """Weights that are neither on disk nor to be had from where they live."""


class DamagedWeightsError(SegmentationError):
    """A weight file that is truncated, of another shape, or not plain tensors."""


class OutOfMemoryError(SegmentationError):
    """The memory of the device did not suffice; the message says what to change."""


class WorkerLostError(SegmentationError):
    """Workers of a cluster died or do not answer."""


class Stopped(SegmentationError):  # noqa: N818 - a request that was granted, not a failure
    """The caller's `should_stop` asked the engine to stop."""


def unknown_choice(what: str, value: str, known: Iterable[str]) -> InvalidInputError:
    """The error for a name that is in no table, with the nearest name that is.

    Parameters
    ----------
    what : str
        What was being chosen, e.g. ``"method"``.
    value : str
        The name that is not known.
    known : iterable of str
        The names that are.
    """
    names = list(known)
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(value.casefold(), folded, n=1, cutoff=0.7)
    hint = f" Did you mean {folded[near[0]]!r}?" if near else ""
    return InvalidInputError(f"Unknown {what} {value!r}.{hint} Known: {', '.join(names)}.")
