"""Thresholds and the engine's configuration as JSON, and back with every value checked.

`SegmentationConfig` checks what values mean; the type of each value is checked here, since a file
edited by hand may hold anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...io.record_checks import check_keys, checked, current_keys, from_record
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, SegmentationConfig, Thresholds

if TYPE_CHECKING:
    from ...segmentation import Prototypes


@dataclass(frozen=True)
class ProjectSettings:
    """What is kept from image to image.

    Parameters
    ----------
    classes : tuple of ClassRow
    thresholds : Thresholds
    config : SegmentationConfig
    prototypes : Prototypes, optional
        What the classes look like.
    prototype_weight : float, optional
        The share of the prototypes against the words, 0 to 1; None grows with the evidence.
    """

    classes: tuple[ClassRow, ...]
    thresholds: Thresholds
    config: SegmentationConfig
    prototypes: Prototypes | None = None
    prototype_weight: float | None = None


# ---------------------------------------------------------------------- thresholds


def thresholds_from_record(record: Any) -> Thresholds:
    """Thresholds from what `Thresholds.as_dict` gave.

    Raises
    ------
    InvalidInputError
        For keys that are not known or missing, and values that are no numbers.
    """
    return from_record(Thresholds, current_keys(record, {"own": "per_class"}), "thresholds")


# ---------------------------------------------------------------------- configuration


def config_to_record(config: SegmentationConfig) -> dict[str, Any]:
    """Every field of a configuration as JSON can hold it; None stands for "as published"."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
    }


def config_from_record(record: Any) -> SegmentationConfig:
    """A configuration from a mapping; fields that are left out are as by default.

    Raises
    ------
    InvalidInputError
        For keys that are not known, naming them; for values of another kind, and as
        `SegmentationConfig`.
    """
    return from_record(SegmentationConfig, record, "the configuration")


def settings_to_record(
    thresholds: Thresholds, config: SegmentationConfig, prototype_weight: float | None = None
) -> dict[str, Any]:
    """What ``settings.json`` holds; an older version reads it where `prototype_weight` is None."""
    record = {"thresholds": thresholds.as_dict, "config": config_to_record(config)}
    return record if prototype_weight is None else {**record, "prototype_weight": prototype_weight}


def settings_from_record(record: Any, classes: Sequence[ClassRow]) -> ProjectSettings:
    """What ``settings.json`` says, with the classes.

    Raises
    ------
    InvalidInputError
        As `thresholds_from_record` and `config_from_record`; for `prototype_weight` beyond 0 to 1.
    """
    record = current_keys(record, {"looks": "prototype_weight"})
    found = check_keys(record, ("thresholds", "config", "prototype_weight"), "it")
    config = config_from_record(found.get("config", {}))
    given = found.get("thresholds")
    thresholds = config.settings().thresholds if given is None else thresholds_from_record(given)
    weight = found.get("prototype_weight")
    prototype_weight = None if weight is None else checked(float, weight, "prototype_weight")
    if prototype_weight is not None and not 0 <= prototype_weight <= 1:
        raise InvalidInputError(
            f"prototype_weight is {prototype_weight}. Give 0 (text) to 1 (prototypes), or null."
        )
    return ProjectSettings(tuple(classes), thresholds, config, prototype_weight=prototype_weight)
