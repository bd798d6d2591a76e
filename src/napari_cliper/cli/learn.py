"""`napari-cliper learn`: what classes look like, from labelled images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ._console import Bars, err, out, readable_errors, stopping
from ._engine_options import EngineOptions, takes_engine_options

if TYPE_CHECKING:
    from ..io.files import Replace
    from ..workflows.learn_prototypes import LearnResult

SHOWN = 30
"""Classes in the table on the screen."""


@takes_engine_options
def learn(
    images: Annotated[Path, typer.Argument(help="Folder of images.")],
    labels: Annotated[
        Path,
        typer.Argument(
            help="Folder of label PNGs or TIFFs of the same names, or a COCO JSON. Scribbles do: "
            "let pixels that you did not draw on have a label that is ignored, such as 255."
        ),
    ],
    *,
    classes: Annotated[
        Path,
        typer.Option(help="The classes (.yaml, .json, .txt): label 1 is the first, 0 the rest."),
    ],
    output: Annotated[
        Path, typer.Option(help="The file to write, such as classes.prototypes.safetensors.")
    ],
    ignore: Annotated[
        list[int] | None,
        typer.Option(
            help="A label whose pixels teach nothing; may be repeated. Default: 255. Ignore 0 as "
            "well where it stands for what nobody has drawn on, and not for background."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Only the first so many images; 0 for all.")] = 0,
    engine: EngineOptions,
    overwrite: Annotated[
        bool, typer.Option(help="Replace an earlier result, never another file.")
    ] = False,
) -> None:
    """Learn what classes look like from images with labels or scribbles.

    The file then helps words that CLIP never read about: give it to segment and evaluate with
    --prototypes, and the same model and method. Words, thresholds and the refiner have no part
    in learning.
    """
    with readable_errors():
        from ..evaluation.dataset import from_files  # noqa: PLC0415 - heavy
        from ..io.prototype_file import write_prototypes  # noqa: PLC0415
        from ..segmentation import Segmenter  # noqa: PLC0415 - torch, only when it is needed
        from ..workflows.learn_prototypes import check_output, learn_files  # noqa: PLC0415

        replace_files: Replace = "own" if overwrite else "nothing"
        check_output(output, replace=replace_files, inputs=[labels, classes])
        config = replace(engine.config(), refiner="none")
        dataset = from_files(images, labels, classes, ignore=ignore).first(limit)
        bars = Bars()
        with stopping() as should_stop, bars.progress:
            learnt = learn_files(
                Segmenter(config), dataset, output, report=bars.report, should_stop=should_stop
            )
            write_prototypes(
                output, learnt.prototypes, replace=replace_files, inputs=[labels, classes]
            )
        _print(learnt)
        out.print(f"The prototypes: {output}", soft_wrap=True, highlight=False, markup=False)


def _print(learnt: LearnResult) -> None:
    """What was learned, with the notes under it."""
    table = Table(title="learned", title_justify="left")
    table.add_column("class")
    for column in ("prototypes", "images", "patches"):
        table.add_column(column, justify="right")
    for one in learnt.classes[:SHOWN]:
        counts = (one.prototypes, one.images, one.patches)
        table.add_row(escape(one.name), *(f"{count:,}" for count in counts))
    if len(learnt.classes) > SHOWN:
        table.add_row(f"{len(learnt.classes) - SHOWN} more")
    out.print(table)
    for note in learnt.notes:
        err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
