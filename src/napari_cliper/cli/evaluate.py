"""`napari-cliper evaluate`: measure the engine against ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.markup import escape
from rich.table import Table

from ..segmentation import METHODS, InvalidInputError, Monitor, SegmentationConfig
from ._console import STOPPED_KEPT, Bars, err, out, readable_errors
from ._engine_options import EngineOptions, takes_engine_options
from ._path_arguments import given_path
from ._prototype_options import (
    PrototypesOption,
    PrototypeWeightOption,
    chosen_prototypes,
    matched,
    note_missing_prototypes,
)

if TYPE_CHECKING:
    from ..evaluation.dataset import Dataset
    from ..evaluation.runner import Evaluation
    from ..segmentation import Segmenter

SHOWN = 30
"""Most classes in the printed table; classes.csv lists all."""


@takes_engine_options
def evaluate(
    images: Annotated[
        Path | None, typer.Argument(help="Folder of images.", parser=given_path)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of label PNGs, TIFFs or OME-Zarr with the same names, or a COCO JSON.",
            parser=given_path,
        ),
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option(help="Folder for the results; created if missing.", parser=given_path)
    ] = Path("napari-cliper-evaluation"),
    classes: Annotated[
        Path | None,
        typer.Option(
            help="The classes (.yaml, .json, .txt): label 1 is the first, 0 is background.",
            parser=given_path,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the benchmark dataset that --preset names.", parser=given_path
        ),
    ] = None,
    ignore: Annotated[
        list[int] | None,
        typer.Option(help="A label whose pixels are ignored; may be repeated. Default: 255."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Several methods, separated by commas, in one table and one contact sheet."
        ),
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="coarse or refined; default: refined if there is a refiner.")
    ] = None,
    prototypes: PrototypesOption = None,
    prototype_weight: PrototypeWeightOption = None,
    limit: Annotated[int, typer.Option(help="Use only the first N images; 0 for all.")] = 0,
    engine: EngineOptions,
    overwrite: Annotated[
        bool, typer.Option(help="Discard the results of an earlier run in the folder.")
    ] = False,
) -> None:
    """Measure accuracy against ground truth: mIoU, pixel accuracy, boundary F1, confusion matrix.

    Give either IMAGES, LABELS and --classes, or --preset and --root. To continue a run that
    was stopped, give the same command again.
    """
    with readable_errors(STOPPED_KEPT):
        from ..evaluation.comparison import compare, method_configs  # noqa: PLC0415
        from ..evaluation.report import write_report  # noqa: PLC0415
        from ..evaluation.runner import evaluate as run  # noqa: PLC0415 - as torch, below
        from ..segmentation import Segmenter, fetch_weights  # noqa: PLC0415 - torch

        config = engine.config()
        configs = None if methods is None else method_configs(methods, config)
        if configs and prototypes is not None:
            raise InvalidInputError(
                "Prototypes belong to one method. Leave out --prototypes, or choose one with "
                "--method instead of --methods."
            )
        chosen = chosen_prototypes(prototypes, prototype_weight)
        data = _dataset_of_method(images, labels, classes, ignore, root, engine.preset)
        shared: Segmenter | None = None

        def measured(config: SegmentationConfig, folder: Path) -> Evaluation:
            nonlocal shared
            dataset = data(config.method)
            wanted = dataset.configured(config)
            segmenter = (
                Segmenter(wanted, tile_store=engine.tile_store())
                if shared is None
                else shared.with_config(wanted)
            )
            if chosen is not None:
                note_missing_prototypes(chosen, dataset.classes)
                segmenter = matched(segmenter, chosen, bars.report)
            shared = segmenter
            return run(
                segmenter,
                dataset.first(limit),
                folder,
                stage=cast("Any", stage),
                thresholds=engine.thresholds(segmenter.settings),
                prototypes=chosen,
                prototype_weight=prototype_weight,
                overwrite=overwrite,
                report=bars.report,
            )

        bars = Bars()
        with bars.progress:
            if configs:
                for name, one in configs.items():  # rather than when it is the method's turn
                    fetch_weights(data(name).configured(one), Monitor(bars.report))
                results = compare(configs, measured, output, report=bars.report)
            else:
                result = measured(config, output)
                write_report(output, result, report=bars.report)
        if configs:
            _print_comparison(results)
        else:
            _print(result)
        out.print(f"Results written to {output}", soft_wrap=True, highlight=False)


def _dataset_of_method(
    images: Path | None,
    labels: Path | None,
    classes: Path | None,
    ignore: list[int] | None,
    root: Path | None,
    preset: str,
) -> Callable[[str], Dataset]:
    """A function that returns the images and their ground truth, as a method takes them.

    Raises
    ------
    InvalidInputError
        For both a benchmark and files, and for neither.
    """
    from ..evaluation.benchmark_dataset import from_benchmark  # noqa: PLC0415 - heavy
    from ..evaluation.dataset import from_files  # noqa: PLC0415 - heavy

    if root is not None:
        if images or labels or classes or ignore:
            raise InvalidInputError(
                "--root already defines the images, labels, classes and ignored labels. Leave "
                "out IMAGES, LABELS, --classes and --ignore, or leave out --root."
            )
        return cache(partial(from_benchmark, preset, root))
    if images is None or labels is None or classes is None:
        raise InvalidInputError(
            "The ground truth is missing. Give IMAGES, LABELS and --classes FILE, or "
            "--preset NAME and --root FOLDER."
        )
    dataset = from_files(images, labels, classes, ignore=ignore)
    return lambda _method: dataset


def _print_comparison(results: Mapping[str, Evaluation]) -> None:
    """Print the metrics of several methods as one table, followed by the notes."""
    from ..evaluation.comparison import seconds_per_image  # noqa: PLC0415 - heavy

    first = next(iter(results.values()))
    columns = [name for name in first.figures if "," not in name]  # methods.csv has all
    table = Table(title=escape(first.dataset.title), title_justify="left")
    table.add_column("method")
    for name in (*columns, "s per image"):
        table.add_column(name, justify="right")
    for method, result in results.items():
        figures = [f"{result.figures[name]:.4f}" for name in columns]
        table.add_row(METHODS[method].title, *figures, f"{seconds_per_image(result):.2f}")
    out.print(table)
    owners: dict[str, list[str]] = {}
    for method, result in results.items():
        for note in result.notes:
            owners.setdefault(note, []).append(METHODS[method].title)
    for note, titles in owners.items():
        whose = "" if len(titles) == len(results) else f", {', '.join(titles)}"
        err.print(f"[yellow]Note{whose}:[/] {escape(note)}", soft_wrap=True)


def _print(result: Evaluation) -> None:
    """Print the metrics as tables, followed by the notes."""
    from ..evaluation.runner import left_out  # noqa: PLC0415 - heavy

    scores = result.scores
    missing = escape("\n".join(left_out(result)))
    metrics = Table(title=escape(result.dataset.title), title_justify="left", caption=missing)
    metrics.caption_justify = "left"
    metrics.add_column("metric")
    metrics.add_column("value", justify="right")
    for name, value in result.figures.items():
        metrics.add_row(name, f"{value:.4f}")
    out.print(metrics)
    table = Table(title="classes", title_justify="left")
    table.add_column("class")
    for column in ("IoU", "accuracy", "boundary F1"):
        table.add_column(column, justify="right")
    rows = list(zip(result.names, scores.iou, scores.accuracy, scores.boundary, strict=True))
    present = [row for row, count in zip(rows, scores.confusion.sum(axis=1), strict=True) if count]
    for name, *values in present[:SHOWN]:
        table.add_row(escape(name), *(f"{value:.4f}" for value in values))
    if len(present) > SHOWN:
        table.add_row(f"{len(present) - SHOWN} more: classes.csv")
    out.print(table)
    for note in result.notes:
        err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
