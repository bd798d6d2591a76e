"""The errors that the engine raises.

Each message says what was wrong, with the value, and what to do about it. None is a `RuntimeError`,
because generator workers of Qt programs swallow those.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SegmentationError(Exception):
    """Base class of the errors that the engine raises."""


class InvalidInputError(SegmentationError, ValueError):
    """An image, a word or a setting is invalid."""


class WeightsUnavailableError(SegmentationError):
    """Weights are not on disk and cannot be downloaded."""


class DamagedWeightsError(SegmentationError):
    """A weight file is truncated, has tensors of other shapes, or contains more than tensors."""


class OutOfMemoryError(SegmentationError):
    """The device ran out of memory; the message says what to change."""


class WorkerLostError(SegmentationError):
    """Workers of a cluster died or do not respond."""


class Stopped(SegmentationError):  # noqa: N818 - a request that was granted, not a failure
    """The caller's `should_stop` returned True."""


def single_string(what: str, text: str) -> InvalidInputError:
    """Return the error for a string in place of a tuple, whose letters would become words."""
    return InvalidInputError(
        f"{what} is the single string {text!r}, not a tuple of strings. Write ({text!r},)."
    )


def unknown_choice(what: str, value: str, known: Iterable[str]) -> InvalidInputError:
    """Return the error for an unknown name; it suggests the nearest known name.

    Parameters
    ----------
    what : str
        What the name is for, such as ``"method"``.
    value : str
        The unknown name.
    known : iterable of str
        The known names.
    """
    names = list(known)
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(value.casefold(), folded, n=1, cutoff=0.7)
    hint = f" Did you mean {folded[near[0]]!r}?" if near else ""
    return InvalidInputError(f"Unknown {what} {value!r}.{hint} Known: {', '.join(names)}.")
