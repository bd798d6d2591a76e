"""Prototype options shared by the commands that segment with words and visual prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..segmentation import ClassPrompt, InvalidInputError, Report, ShouldStop
from ._console import err
from ._path_arguments import given_path

if TYPE_CHECKING:
    from ..segmentation import Prototypes, Segmenter

SHOWN = 10
"""Most class names that a note lists; the rest are only counted."""

PrototypesOption = Annotated[
    Path | None,
    typer.Option(
        "--prototypes",
        help="Visual prototypes: a file from `napari-cliper learn`.",
        parser=given_path,
    ),
]
PrototypeWeightOption = Annotated[
    float | None,
    typer.Option(
        "--prototype-weight",
        help="Weight of the prototypes against the words, 0 (words only) to 1 (prototypes only); "
        "default: grows with the number of images they were learned from.",
    ),
]


def chosen_prototypes(file: Path | None, prototype_weight: float | None) -> Prototypes | None:
    """Read the prototypes of a command's options; None without ``--prototypes``.

    Raises
    ------
    InvalidInputError
        For a weight outside 0 to 1, or a weight without prototypes.
    FileError
        For a file that cannot be read.
    """
    if prototype_weight is not None and not 0 <= prototype_weight <= 1:
        raise InvalidInputError(
            f"--prototype-weight is {prototype_weight}. Give 0 (text) to 1 (prototypes)."
        )
    if file is None:
        if prototype_weight is not None:
            raise InvalidInputError("--prototype-weight needs prototypes. Add --prototypes FILE.")
        return None
    from ..io.prototype_file import read_prototypes  # noqa: PLC0415 - heavy

    return read_prototypes(file)


def matched(
    segmenter: Segmenter,
    prototypes: Prototypes,
    report: Report,
    should_stop: ShouldStop | None = None,
) -> Segmenter:
    """Load CLIP without the refiner and check that the prototypes were learned with it.

    Returns
    -------
    Segmenter
        The same segmenter with CLIP loaded; the refiner is loaded later.

    Raises
    ------
    InvalidInputError
        For prototypes learned with another CLIP model.
    """
    config = segmenter.config
    without_refiner = segmenter.with_config(replace(config, refiner="none"))
    without_refiner.load(report=report, should_stop=should_stop)
    prototypes.check_model(without_refiner.identity, config.model)
    return without_refiner.with_config(config)


def note_missing_prototypes(prototypes: Prototypes, classes: Sequence[ClassPrompt]) -> None:
    """Print a note that names the classes without prototypes."""
    names = [one.name for one in classes if not prototypes.of(one.name)]
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        note = f"No prototypes, segmented by words only: {', '.join(names[:SHOWN])}{more}."
        err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
