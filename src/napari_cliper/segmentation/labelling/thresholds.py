"""The thresholds that turn score maps into labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InvalidInputError

AGREEMENT_LIMIT = 0.5
"""Propagation to the next planes stops at a plane whose agreement with the plane before is lower
(`plane_propagation.plane_agreement`)."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds that turn score maps into labels.

    The defaults of a method and model are `Settings.thresholds`.

    Parameters
    ----------
    class_threshold : float
        A class whose score is not above it is absent. No upper bound.
    background_threshold : float
        A pixel whose best class is below it becomes background (0). With CLIPer and 0 or less,
        the background has a score of its own, (1 - best score)^2, and wins where that is higher.
    min_max : bool
        Whether each class is min-max normalised over the image first (CLIPer only).
    per_class : mapping of str to float
        Thresholds by class name; they replace `background_threshold` for the pixels of a class.

    Raises
    ------
    InvalidInputError
        For a threshold that is not a finite number.
    """

    class_threshold: float
    background_threshold: float
    min_max: bool = False
    per_class: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that all are finite numbers."""
        from ..type_checks import check_fields  # noqa: PLC0415 - pydantic, not for --help

        check_fields(self)
        named = {
            "class threshold": self.class_threshold,
            "background threshold": self.background_threshold,
            **{f"threshold of {name!r}": value for name, value in self.per_class.items()},
        }
        for what, value in named.items():
            if not math.isfinite(value):
                raise InvalidInputError(
                    f"The {what} is {value}. Give a finite number, such as 0.5."
                )

    @property
    def as_dict(self) -> dict[str, Any]:
        """JSON-safe copy."""
        return {
            "class_threshold": self.class_threshold,
            "background_threshold": self.background_threshold,
            "min_max": self.min_max,
            "per_class": dict(self.per_class),
        }

    def with_values(self, **values: float | bool | None) -> Thresholds:
        """Copy with other values; None keeps the value."""
        changes: dict[str, Any] = {
            name: value for name, value in values.items() if value is not None
        }
        return replace(self, **changes)

    def only_for(self, names: Collection[str]) -> Thresholds:
        """Copy without the per-class thresholds of other classes."""
        kept = {name: value for name, value in self.per_class.items() if name in names}
        return replace(self, per_class=kept)
