"""Thresholds and the engine's configuration as JSON, and back with every value checked.

`SegmentationConfig` checks what values mean; what kind of value each field takes is checked here,
since a file edited by hand may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ...io.json_records import check_keys, current_keys, flag, mapping, number, text, whole, words
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, SegmentationConfig, Thresholds

if TYPE_CHECKING:
    from ...segmentation import Prototypes

Check = Callable[[Any, str], Any]


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
    known = ("class_threshold", "background_threshold", "min_max", "per_class")
    record = current_keys(record, {"own": "per_class"})
    found = check_keys(record, known, "thresholds", known[:2])
    per_class = mapping(found.get("per_class", {}), "per_class")
    return Thresholds(
        class_threshold=number(found["class_threshold"], "class_threshold"),
        background_threshold=number(found["background_threshold"], "background_threshold"),
        min_max=flag(found.get("min_max", False), "min_max"),
        per_class={
            name: number(value, f"the threshold of {name!r}") for name, value in per_class.items()
        },
    )


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
    found = check_keys(record, FIELDS, "the configuration")
    return SegmentationConfig(**{name: FIELDS[name](value, name) for name, value in found.items()})


def _or_none(check: Check) -> Check:
    return lambda value, what: None if value is None else check(value, what)


def _text_or_words(value: Any, what: str) -> str | tuple[str, ...]:
    return words(value, what) if isinstance(value, list) else text(value, what)


FIELDS: Mapping[str, Check] = MappingProxyType(
    {
        "method": text,
        "model": text,
        "refiner": _or_none(text),
        "diffusion_model": text,
        "foundation_model": text,
        "background": _or_none(words),
        "templates": _or_none(_text_or_words),
        "protocol": text,
        "shorter_side": _or_none(whole),
        "window": _or_none(whole),
        "stride": _or_none(whole),
        "select_layer": _or_none(whole),
        "logit_scale": _or_none(number),
        "attention_threshold": _or_none(number),
        "device": text,
        "precision": text,
        "seed": whole,
        "offline": flag,
    }
)
"""What each field of `SegmentationConfig` takes."""


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
    prototype_weight = _or_none(number)(found.get("prototype_weight"), "prototype_weight")
    if prototype_weight is not None and not 0 <= prototype_weight <= 1:
        raise InvalidInputError(
            f"prototype_weight is {prototype_weight}. Give 0 (text) to 1 (prototypes), or null."
        )
    return ProjectSettings(tuple(classes), thresholds, config, prototype_weight=prototype_weight)
