"""`napari-cliper evaluate`: measure the engine against ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.markup import escape
from rich.table import Table

from ..segmentation import InvalidInputError
from ._console import Bars, err, out, readable_errors
from ._engine_options import EngineOptions, takes_engine_options
from ._prototype_options import (
    PrototypesOption,
    PrototypeWeightOption,
    chosen_prototypes,
    matched,
    note_unlearnt,
)

if TYPE_CHECKING:
    from ..evaluation.runner import Evaluation

SHOWN = 30
"""Classes in the table on the screen; classes.csv has all."""

_STOPPED = "Stopped. The images that are done are kept: the same command goes on from there."


@takes_engine_options
def evaluate(
    images: Annotated[Path | None, typer.Argument(help="Folder of images.")] = None,
    labels: Annotated[
        Path | None,
        typer.Argument(help="Folder of label PNGs or TIFFs of the same names, or a COCO JSON."),
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option(help="Folder for the results; made where missing.")
    ] = Path("napari-cliper-evaluation"),
    classes: Annotated[
        Path | None,
        typer.Option(help="The classes (.yaml, .json, .txt): label 1 is the first, 0 the rest."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Instead: where the dataset of --protocol lies, with its classes."),
    ] = None,
    ignore: Annotated[
        list[int] | None,
        typer.Option(help="A label whose pixels do not count; may be repeated. Default: 255."),
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="coarse or refined; default: refined where there is one.")
    ] = None,
    prototypes: PrototypesOption = None,
    prototype_weight: PrototypeWeightOption = None,
    limit: Annotated[int, typer.Option(help="Only the first so many images; 0 for all.")] = 0,
    engine: EngineOptions,
    overwrite: Annotated[
        bool, typer.Option(help="Forget what an earlier run left in the folder.")
    ] = False,
) -> None:
    """Measure the engine against ground truth: mIoU, accuracy, outlines, confusion.

    Either IMAGES, LABELS and --classes, or --protocol and --root. A run that was stopped goes
    on where it was when the same command is given again.
    """
    with readable_errors(_STOPPED):
        from ..evaluation.dataset import Dataset, from_benchmark, from_files  # noqa: PLC0415
        from ..evaluation.report import write_report  # noqa: PLC0415
        from ..evaluation.runner import evaluate as run  # noqa: PLC0415 - as torch, below
        from ..segmentation import Segmenter  # noqa: PLC0415 - torch, only when it is needed

        dataset: Dataset
        config = engine.config()
        chosen = chosen_prototypes(prototypes, prototype_weight)
        if root is not None:
            if images or labels or classes or ignore:
                raise InvalidInputError(
                    "--root brings images, labels, classes and what is ignored. Leave out "
                    "IMAGES, LABELS, --classes and --ignore, or leave out --root."
                )
            dataset = from_benchmark(engine.protocol, root, config.method)
        elif images is None or labels is None or classes is None:
            raise InvalidInputError(
                "There is nothing to measure with. Give IMAGES, LABELS and --classes FILE, or "
                "--protocol NAME and --root FOLDER."
            )
        else:
            dataset = from_files(images, labels, classes, ignore=ignore)
        bars = Bars()
        with bars.progress:
            segmenter = Segmenter(dataset.configured(config))
            if chosen is not None:
                note_unlearnt(chosen, dataset.classes)
                segmenter = matched(segmenter, chosen, bars.report)
            result = run(
                segmenter,
                dataset.first(limit),
                output,
                stage=cast("Any", stage),
                thresholds=engine.thresholds(),
                prototypes=chosen,
                prototype_weight=prototype_weight,
                overwrite=overwrite,
                report=bars.report,
            )
            write_report(output, result, report=bars.report)
        _print(result)
        out.print(f"The results: {output}", soft_wrap=True, highlight=False)


def _print(result: Evaluation) -> None:
    """The figures as tables, with the notes under them."""
    from ..evaluation.runner import left_out  # noqa: PLC0415 - heavy

    scores = result.scores
    missing = escape("\n".join(left_out(result)))
    figures = Table(title=escape(result.dataset.title), title_justify="left", caption=missing)
    figures.caption_justify = "left"
    figures.add_column("figure")
    figures.add_column("value", justify="right")
    for name, value in result.figures.items():
        figures.add_row(name, f"{value:.4f}")
    out.print(figures)
    table = Table(title="classes", title_justify="left")
    table.add_column("class")
    for column in ("IoU", "accuracy", "boundary F1"):
        table.add_column(column, justify="right")
    rows = list(zip(result.names, scores.iou, scores.accuracy, scores.boundary, strict=True))
    there = [row for row, count in zip(rows, scores.confusion.sum(axis=1), strict=True) if count]
    for name, *values in there[:SHOWN]:
        table.add_row(escape(name), *(f"{value:.4f}" for value in values))
    if len(there) > SHOWN:
        table.add_row(f"{len(there) - SHOWN} more: classes.csv")
    out.print(table)
    for note in result.notes:
        err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
