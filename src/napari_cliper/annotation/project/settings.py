"""Convert thresholds and the engine's configuration to JSON and back.

Types are checked here, because files may be edited by hand; ranges are checked by
`SegmentationConfig`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ...io.record_checks import check_keys, checked, current_keys, from_record
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, SegmentationConfig, Thresholds, Tiles
from ..class_change import ClassChange, change_prototypes, change_rows, change_thresholds

if TYPE_CHECKING:
    from ...segmentation import Prototypes


@dataclass(frozen=True)
class ProjectSettings:
    """Settings shared by all images of a project.

    Parameters
    ----------
    classes : tuple of ClassRow
    thresholds : Thresholds
    config : SegmentationConfig
    prototypes : Prototypes, optional
        Visual prototypes of the classes.
    prototype_weight : float, optional
        Weight of the prototypes against the words, 0 to 1; None: it grows with the number of
        images they were learned from.
    """

    classes: tuple[ClassRow, ...]
    thresholds: Thresholds
    config: SegmentationConfig
    prototypes: Prototypes | None = None
    prototype_weight: float | None = None


def change_settings(settings: ProjectSettings, change: ClassChange) -> ProjectSettings:
    """Return settings with a class renamed, merged or deleted; see `annotation.class_change`."""
    return replace(
        settings,
        classes=change_rows(settings.classes, change),
        thresholds=change_thresholds(settings.thresholds, change),
        prototypes=change_prototypes(settings.prototypes, change),
    )


# ---------------------------------------------------------------------- thresholds


def thresholds_from_record(record: Any) -> Thresholds:
    """Parse thresholds written by `Thresholds.as_dict`.

    Raises
    ------
    InvalidInputError
        For unknown or missing keys, and values that are not numbers.
    """
    return from_record(Thresholds, current_keys(record, {"own": "per_class"}), "thresholds")


# ---------------------------------------------------------------------- configuration


def config_to_record(config: SegmentationConfig) -> dict[str, Any]:
    """Return a configuration as a JSON-safe dict; None stands for the published value."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
    }


def config_from_record(record: Any) -> SegmentationConfig:
    """Parse a configuration; missing fields get their default.

    Raises
    ------
    InvalidInputError
        For unknown keys, values of the wrong type, and as `SegmentationConfig`.
    """
    current = current_keys(record, {"protocol": "preset"})
    return from_record(SegmentationConfig, current, "the configuration", {"tiles": _tiles})


def _tiles(record: Any) -> Tiles | None:
    return None if record is None else from_record(Tiles, record, "tiles")


def settings_to_record(
    thresholds: Thresholds, config: SegmentationConfig, prototype_weight: float | None = None
) -> dict[str, Any]:
    """Return the contents of ``settings.json``.

    `prototype_weight` is left out if it is None, so that older versions can read the file.
    """
    record = {"thresholds": thresholds.as_dict, "config": config_to_record(config)}
    return record if prototype_weight is None else {**record, "prototype_weight": prototype_weight}


def settings_from_record(record: Any, classes: Sequence[ClassRow]) -> ProjectSettings:
    """Parse the contents of ``settings.json`` and combine them with the classes.

    Raises
    ------
    InvalidInputError
        As `thresholds_from_record` and `config_from_record`; for `prototype_weight` outside 0 to 1.
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
