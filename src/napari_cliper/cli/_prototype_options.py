"""The options of every command that segments with prototypes as well as words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..segmentation import ClassPrompt, InvalidInputError, Progress
from ._console import err

if TYPE_CHECKING:
    from ..segmentation import Prototypes, Segmenter

SHOWN = 10
"""Names that a note lists before it counts the rest."""

PrototypesOption = Annotated[
    Path | None,
    typer.Option("--prototypes", help="What classes look like: a file of `napari-cliper learn`."),
]
PrototypeWeightOption = Annotated[
    float | None,
    typer.Option(
        "--prototype-weight",
        help="How much the prototypes count against the words, 0 to 1; default: the more the "
        "more images they were learned from.",
    ),
]


def chosen_prototypes(file: Path | None, prototype_weight: float | None) -> Prototypes | None:
    """The prototypes of a command's options.

    Raises
    ------
    InvalidInputError
        For a share that is none, or one without prototypes.
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
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool] | None = None,
) -> Segmenter:
    """Load CLIP alone and see whether the prototypes are of it; the rest can wait.

    Returns
    -------
    Segmenter
        The same with CLIP loaded.

    Raises
    ------
    InvalidInputError
        For prototypes of another CLIP.
    """
    config = segmenter.config
    light = segmenter.with_config(replace(config, refiner="none"))
    light.load(report=report, should_stop=should_stop)
    prototypes.check_model(light.identity, config.model)
    return light.with_config(config)


def note_unlearnt(prototypes: Prototypes, classes: Sequence[ClassPrompt]) -> None:
    """Say which classes the prototypes do not show."""
    names = [one.name for one in classes if not prototypes.of(one.name)]
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        note = f"Without prototypes, by words alone: {', '.join(names[:SHOWN])}{more}."
        err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
