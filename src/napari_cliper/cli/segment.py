"""`napari-cliper segment`: segment images with words and, optionally, visual prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..segmentation import Monitor, parse_classes
from ._console import (
    FAILED,
    STOPPED_KEPT,
    WRONG_INPUT,
    Bars,
    err,
    fail,
    out,
    readable_errors,
    stopping,
)
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
    from ..objects.classifying import ClassifiedObjects
    from ..workflows.image_planes import Reading
    from ..workflows.segment_files import Segmented
    from ..workflows.segment_run import Outcome, SegmentRun, Way

SHOWN = 30
"""Most rows in the table of uncertain images; uncertainty.csv lists every image."""

SHOWN_OBJECTS = 10
"""Most objects in the list of those that are least certain."""

IN_DETAIL = 10
"""Most images of a run for which each result is printed."""


@takes_engine_options
def segment(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images (TIFF, PNG, OME-Zarr, ...), folders with subfolders, patterns in quotes "
            '("plates/**/*.tif"), or lists (.txt) with one path on each line.',
            parser=given_path,
        ),
    ],
    labels: Annotated[
        str,
        typer.Option(help='Classes, with synonyms: "nucleus=cell nucleus|nuclei, bacteria".'),
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for the results; created if missing.", parser=given_path)
    ],
    prototypes: PrototypesOption = None,
    prototype_weight: PrototypeWeightOption = None,
    objects: Annotated[
        Path | None,
        typer.Option(
            help="Objects of the image, each of which gets the class that wins among its pixels: "
            "a label image (TIFF, PNG, 16 or 32 bits), COCO, GeoJSON, YOLO or OME-Zarr. Objects "
            "that have a class there keep it and are examples for the others.",
            parser=given_path,
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help='Channels shown together, and their colours: "0:blue, 1:#00ff00, 3:red".'
        ),
    ] = None,
    contrast: Annotated[
        str | None,
        typer.Option(
            help="Black and white: percentiles, 0.1-99.9, or values of each channel, "
            '"0:100-4000, 1:50-900".'
        ),
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(help="Segment all planes of a stack along this axis: Z, T, or both as TZ."),
    ] = None,
    *,
    engine: EngineOptions,
    no_overlay: Annotated[
        bool, typer.Option("--no-overlay", help="Write no colour overlays.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="Segment only one share of the images, such as 3/8: the third of eight."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            help="Segment with this many processes on this machine, one per GPU if there are "
            "several GPUs (needs the extra cluster)."
        ),
    ] = 0,
    scheduler: Annotated[
        str,
        typer.Option(help="Segment on a running dask cluster: the address of its scheduler."),
    ] = "",
    retry: Annotated[
        bool, typer.Option("--retry", help="Try images again that failed in an earlier run.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(help="Start again, and replace earlier results; other files never."),
    ] = False,
) -> None:
    """Segment images with your words and, optionally, visual prototypes.

    For each image, the output folder gets the labels (NAME_coarse.tif, NAME_refined.tif; of
    images in tiles with more than 268 million pixels, OME-Zarr), a colour overlay
    (NAME_overlay.png) and the settings and results (NAME.json); those of images in subfolders are
    in the same subfolders. Of a stack (--axis), the label files have all planes,
    and the overlay shows the middle one. With several images, uncertainty.csv lists all results,
    the most uncertain first. With --objects, NAME_objects.tif has the objects with the numbers that
    they had, and NAME_objects.csv the class, score and margin of each.

    To continue a run that was stopped or killed, give the same command again. If an image cannot
    be segmented, an error names it, the others are still segmented, and the exit status is 1; the
    next run takes it again if the file has changed, or with --retry.
    """
    with readable_errors(STOPPED_KEPT):
        from ..segmentation import Segmenter  # noqa: PLC0415 - torch, only when it is needed

        classes = parse_classes(labels)
        reading = _reading(channels, contrast, axis)
        chosen = chosen_prototypes(prototypes, prototype_weight)
        store = engine.tile_store()
        segmenter = Segmenter(engine.config(mask_file=True), tile_store=store)
        from ..workflows.cluster import Cluster  # noqa: PLC0415 - torch
        from ..workflows.image_sources import Shard, find_images  # noqa: PLC0415 - torch
        from ..workflows.result_files import write_uncertainty  # noqa: PLC0415 - torch
        from ..workflows.segment_cluster import on_cluster  # noqa: PLC0415 - torch
        from ..workflows.segment_files import SegmentJob  # noqa: PLC0415 - torch
        from ..workflows.segment_pipeline import on_this_machine  # noqa: PLC0415 - torch
        from ..workflows.segment_run import SegmentRun  # noqa: PLC0415 - torch

        job = SegmentJob(
            config=segmenter.config,
            classes=classes,
            output=output,
            thresholds=engine.thresholds(segmenter.settings),
            tile_store=store,
            prototypes=chosen,
            prototype_weight=prototype_weight,
            objects=objects,
            masks=engine.mask_file,
            reading=reading,
            overlay=not no_overlay,
        )
        way: Way = on_this_machine
        if workers or scheduler:
            way = on_cluster(Cluster(workers, scheduler))
        share = None if shard is None else Shard.parsed(shard)
        found = find_images(images, output)
        run = SegmentRun(segmenter, job, found, shard=share, overwrite=overwrite, retry=retry)
        if share is not None and not run.sources:
            count = "1 image" if len(found) == 1 else f"{len(found)} images"
            out.print(
                f"Nothing to do: shard {share.index}/{share.count} has none of the {count}.",
                highlight=False,
            )
        counts = _run_and_print(run, way)
        counts.print()
        if run.has_table and counts.done:
            _print_uncertainty(write_uncertainty(output, run.journal))
        if counts.unfit == len(run.sources) > 0:
            fail("None of the images can be segmented.", WRONG_INPUT)
        if counts.failed:
            fail(f"{counts.failed} of {len(run.sources)} images could not be segmented.", FAILED)


def _run_and_print(run: SegmentRun, way: Way) -> _Counts:
    """Segment the images, and print the result of each of a few images, and every error."""
    bars = Bars()

    def notify(note: str) -> None:
        with bars.hidden():
            out.print(escape(note), soft_wrap=True, highlight=False)

    counts = _Counts()
    prototypes = run.job.prototypes
    with stopping() as should_stop, bars.progress:
        if prototypes is not None:
            note_missing_prototypes(prototypes, run.job.classes)
            run.segmenter = matched(run.segmenter, prototypes, bars.report, should_stop)
        for outcome in run.outcomes(way, Monitor(bars.report, should_stop), notify):
            counts.add(outcome)
            if outcome.error or len(run.sources) <= IN_DETAIL:
                with bars.hidden():
                    _print_outcome(outcome)
    return counts


class _Counts:
    """How many images were segmented, were done before, and failed."""

    def __init__(self) -> None:
        self.new = self.earlier = self.failed = self.unfit = self.failed_earlier = 0

    @property
    def done(self) -> int:
        """Images with a result."""
        return self.new + self.earlier

    def add(self, outcome: Outcome) -> None:
        """Count an image."""
        self.failed += bool(outcome.error)
        self.unfit += outcome.unfit
        self.failed_earlier += bool(outcome.error) and outcome.earlier
        self.earlier += outcome.earlier and not outcome.error
        self.new += outcome.segmented is not None

    def print(self) -> None:
        """Print what earlier runs have done."""
        texts = []
        if self.earlier:
            texts.append(
                f"Images done before, with the same settings: {self.earlier:,}. To do them again, "
                "add --overwrite."
            )
        if self.failed_earlier:
            texts.append(
                "Images that failed in an earlier run and were not tried again: "
                f"{self.failed_earlier:,}. To try them again, add --retry."
            )
        for text in texts:
            out.print(text, soft_wrap=True, highlight=False)


def _reading(channels: str | None, contrast: str | None, axis: str | None) -> Reading:
    """Return how images are read, from the options."""
    from ..workflows.channels import parse_channels, parse_contrast  # noqa: PLC0415 - torch
    from ..workflows.image_planes import Reading  # noqa: PLC0415 - torch

    return Reading(
        () if channels is None else parse_channels(channels),
        None if contrast is None else parse_contrast(contrast),
        axis or "",
    )


def _print_outcome(outcome: Outcome) -> None:
    """Print the result of an image, or why it failed."""
    if outcome.error:
        err.print(f"[bold red]Error:[/] {escape(outcome.error)}", soft_wrap=True)
    elif outcome.segmented is not None:
        _print_segmented(outcome.source.name, outcome.segmented)


def _print_segmented(title: str, found: Segmented) -> None:
    """Print the classes, the mean uncertainty, the notes and the objects of an image."""
    print_scores(title, found.names, found.class_scores, found.counts)
    out.print(f"mean uncertainty: {found.uncertainty:.3f}", highlight=False)
    for note in found.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    if found.objects is not None:
        _print_objects(found.objects)


def print_scores(
    title: str, names: Sequence[str], class_scores: Sequence[float], counts: Sequence[int]
) -> None:
    """Print a table of the classes."""
    table = Table(title=escape(title), title_justify="left")
    table.add_column("label", justify="right")
    table.add_column("class")
    for column in ("score", "pixels", "share"):
        table.add_column(column, justify="right")
    pixels = sum(counts)
    rows = ["background", *names]
    values = ["", *(f"{value:.2f}" for value in class_scores)]
    for label, (name, value, count) in enumerate(zip(rows, values, counts, strict=True)):
        table.add_row(str(label), escape(name), value, f"{count:,}", f"{count / pixels:.1%}")
    out.print(table)


def _print_objects(found: ClassifiedObjects) -> None:
    """Print how many objects each class has, and the objects that are least certain."""
    table = Table(title=f"{len(found.objects.ids):,} objects", title_justify="left")
    table.add_column("class")
    table.add_column("objects", justify="right")
    counts = found.objects.counts()
    for label, name in enumerate(found.names, 1):
        table.add_row(escape(name), f"{counts.get(label, 0):,}")
    out.print(table)
    unsure = ", ".join(map(str, found.unsure_first()[:SHOWN_OBJECTS]))
    out.print(f"least certain objects: {unsure}", highlight=False, soft_wrap=True)


def _print_uncertainty(ordered: list[tuple[str, float]]) -> None:
    """Print the most uncertain images."""
    table = Table(title="most uncertain first", title_justify="left")
    table.add_column("image")
    table.add_column("uncertainty", justify="right")
    for name, value in ordered[:SHOWN]:
        table.add_row(escape(name), f"{value:.3f}")
    if len(ordered) > SHOWN:
        table.add_row(f"{len(ordered) - SHOWN} more: uncertainty.csv")
    out.print(table)
