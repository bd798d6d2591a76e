"""`napari-cliper learn`: learn visual prototypes of classes from labelled images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ._console import STOPPED_KEPT, Bars, err, out, readable_errors, stopping
from ._engine_options import EngineOptions, takes_engine_options
from ._path_arguments import given_path

if TYPE_CHECKING:
    from ..workflows.learn_prototypes import LearnResult

SHOWN = 30
"""Most classes in the printed table."""


@takes_engine_options
def learn(
    images: Annotated[Path, typer.Argument(help="Folder of images.", parser=given_path)],
    labels: Annotated[
        Path,
        typer.Argument(
            help="Folder of label PNGs or TIFFs with the same names, or a COCO JSON. Scribbles "
            "are enough: give the pixels you did not draw on an ignored label, such as 255.",
            parser=given_path,
        ),
    ],
    *,
    classes: Annotated[
        Path,
        typer.Option(
            help="The classes (.yaml, .json, .txt): label 1 is the first, 0 is background.",
            parser=given_path,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="File to write, such as classes.prototypes.safetensors.", parser=given_path
        ),
    ],
    ignore: Annotated[
        list[int] | None,
        typer.Option(
            help="A label whose pixels are ignored; may be repeated. Default: 255. Also ignore 0 "
            "if it means unlabelled rather than background."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Use only the first N images; 0 for all.")] = 0,
    engine: EngineOptions,
    overwrite: Annotated[
        bool,
        typer.Option(
            help="Replace an earlier result, and start again; other files are never replaced."
        ),
    ] = False,
) -> None:
    """Learn visual prototypes of classes from images with labels or scribbles.

    Prototypes help with classes whose words CLIP does not know. Pass the file to segment and
    evaluate with --prototypes, with the same model and method. Background words, templates,
    thresholds and the refiner do not affect learning. To continue a run that was stopped, give the
    same command again, without --overwrite.
    """
    with readable_errors(STOPPED_KEPT):
        from ..evaluation.dataset import from_files  # noqa: PLC0415 - heavy
        from ..segmentation import Segmenter  # noqa: PLC0415 - torch, only when it is needed
        from ..workflows.learn_prototypes import check_output, learn_files  # noqa: PLC0415

        check_output(output, overwrite=overwrite, inputs=[labels, classes])
        config = replace(engine.config(), refiner="none")
        dataset = from_files(images, labels, classes, ignore=ignore).first(limit)
        bars = Bars()
        with stopping() as should_stop, bars.progress:
            result = learn_files(
                Segmenter(config, tile_store=engine.tile_store()),
                dataset,
                output,
                overwrite=overwrite,
                inputs=[labels, classes],
                report=bars.report,
                should_stop=should_stop,
            )
        _print(result)
        out.print(f"Prototypes written to {output}", soft_wrap=True, highlight=False, markup=False)


def _print(result: LearnResult) -> None:
    """Print a table of the learned prototypes, followed by the notes."""
    table = Table(title="prototypes", title_justify="left")
    table.add_column("class")
    for column in ("prototypes", "images", "patches"):
        table.add_column(column, justify="right")
    for one in result.classes[:SHOWN]:
        counts = (one.prototypes, one.images, one.patches)
        table.add_row(escape(one.name), *(f"{count:,}" for count in counts))
    if len(result.classes) > SHOWN:
        table.add_row(f"{len(result.classes) - SHOWN} more")
    out.print(table)
    for note in result.notes:
        err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
