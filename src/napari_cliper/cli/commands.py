"""The command line: `napari-cliper segment`, `learn`, `evaluate`, `export`, `models`, `demo`.

Exit status: 0 success, 1 failure while running (weights, memory, disk), 2 invalid input, 130
stopped by the user.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .. import __version__
from ..io.files import FileError, check_places, whole_files
from ..segmentation import REGISTRY, InvalidInputError, OutOfMemoryError, parse_classes
from ._console import FAILED, WRONG_INPUT, Bars, err, fail, out, readable_errors, stopping
from ._engine_options import EngineOptions, takes_engine_options
from ._prototype_options import (
    PrototypesOption,
    PrototypeWeightOption,
    chosen_prototypes,
    matched,
    note_missing_prototypes,
)
from .evaluate import evaluate
from .export import export
from .learn import learn

if TYPE_CHECKING:
    from ..objects.classifying import ClassifiedObjects
    from ..segmentation import ScoreMaps
    from ..workflows.image_planes import Reading

SHOWN = 30
"""Most rows in the table of uncertain images; uncertainty.csv lists every image."""

SHOWN_OBJECTS = 10
"""Most objects in the list of those that are least certain."""

app = typer.Typer(
    help="Type a few words, get label maps: open-vocabulary segmentation of images.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(help="List the available weights, their sizes, and which are on disk.")
app.add_typer(models, name="models")


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"napari-cliper {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Type a few words, get label maps: open-vocabulary segmentation of images."""


@app.command()
@takes_engine_options
def segment(
    images: Annotated[
        list[Path], typer.Argument(help="Images (TIFF, PNG, JPEG, ...), or folders of them.")
    ],
    labels: Annotated[
        str,
        typer.Option(help='Classes, with synonyms: "nucleus=cell nucleus|nuclei, bacteria".'),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the results; created if missing.")],
    prototypes: PrototypesOption = None,
    prototype_weight: PrototypeWeightOption = None,
    objects: Annotated[
        Path | None,
        typer.Option(
            help="Objects of the image, each of which gets the class that wins among its pixels: "
            "a label image (TIFF, PNG, 16 or 32 bits), COCO, GeoJSON, YOLO or OME-Zarr."
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
    overwrite: Annotated[
        bool, typer.Option(help="Replace earlier results; other files are never replaced.")
    ] = False,
) -> None:
    """Segment images with your words and, optionally, visual prototypes.

    For each image, the output folder gets the labels (NAME_coarse.tif, NAME_refined.tif), a
    colour overlay (NAME_overlay.png) and the settings and results (NAME.json). Of a stack (--axis),
    the label files have all planes, and the overlay shows the middle one. With several images,
    uncertainty.csv lists all images of the folder, the most uncertain first. With --objects,
    NAME_objects.tif has the objects with the numbers that they had, and NAME_objects.csv the class,
    score and margin of each.

    If an image cannot be segmented, an error names it, the others are still segmented, and the
    exit status is 1.
    """
    with readable_errors():
        from ..segmentation import Segmenter  # noqa: PLC0415 - torch, only when it is needed

        classes = parse_classes(labels)
        reading = _reading(channels, contrast, axis)
        chosen = chosen_prototypes(prototypes, prototype_weight)
        segmenter = Segmenter(engine.config(), tile_store=engine.tile_store())
        thresholds = engine.thresholds(segmenter.settings)
        from ..workflows.result_files import write_uncertainty  # noqa: PLC0415 - torch
        from ..workflows.segment_files import (  # noqa: PLC0415 - torch
            check_inputs,
            cost_note,
            find_images,
            segment_file,
        )

        images = find_images(images)
        checked = check_inputs(
            segmenter,
            images,
            classes,
            output,
            overwrite=overwrite,
            objects=objects,
            reading=reading,
        )
        unfit = checked.unfit
        for problem in unfit.values():
            err.print(f"[bold red]Error:[/] {escape(problem)}", soft_wrap=True)
        if len(unfit) == len(images):
            fail("None of the images can be segmented.", WRONG_INPUT)
        failed = len(unfit)
        with stopping() as should_stop:
            if chosen is not None:
                note_missing_prototypes(chosen, classes)
                bars = Bars()
                with bars.progress:
                    segmenter = matched(segmenter, chosen, bars.report, should_stop)
            for path in images:
                if path in unfit:
                    continue
                bars, estimating = Bars(), Bars()
                try:
                    with estimating.progress:
                        note = cost_note(
                            segmenter,
                            path,
                            checked.shapes[path],
                            estimating.report,
                            should_stop,
                            reading,
                        )
                    out.print(escape(note), soft_wrap=True, highlight=False)
                    with bars.progress:
                        done = segment_file(
                            segmenter,
                            path,
                            classes,
                            output,
                            thresholds,
                            bars.report,
                            should_stop,
                            prototypes=chosen,
                            prototype_weight=prototype_weight,
                            objects=objects,
                            reading=reading,
                            replace="own" if overwrite else "nothing",
                        )
                except (FileError, InvalidInputError, OutOfMemoryError) as error:  # only this image
                    err.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
                    failed += 1
                    continue
                _print_scores(
                    path.name, done.scores, done.counts, done.uncertainty, done.class_scores
                )
                if done.objects is not None:
                    _print_objects(done.objects)
        if len(images) > 1 and failed < len(images):
            _print_uncertainty(write_uncertainty(output))
        if failed:
            fail(f"{failed} of {len(images)} images could not be segmented.", FAILED)


def _reading(channels: str | None, contrast: str | None, axis: str | None) -> Reading:
    """Return how images are read, from the options."""
    from ..workflows.channels import parse_channels, parse_contrast  # noqa: PLC0415 - torch
    from ..workflows.image_planes import Reading  # noqa: PLC0415 - torch

    return Reading(
        () if channels is None else parse_channels(channels),
        None if contrast is None else parse_contrast(contrast),
        axis or "",
    )


def _print_scores(
    title: str,
    scores: ScoreMaps,
    counts: list[int],
    uncertainty: float | None = None,
    class_scores: list[float] | None = None,
) -> None:
    """Print a table of the classes, followed by the mean uncertainty and the notes."""
    table = Table(title=escape(title), title_justify="left")
    table.add_column("label", justify="right")
    table.add_column("class")
    for column in ("score", "pixels", "share"):
        table.add_column(column, justify="right")
    pixels = sum(counts)
    rows = ["background", *(one.name for one in scores.classes)]
    shown = scores.stage().class_scores if class_scores is None else class_scores
    values = ["", *(f"{value:.2f}" for value in shown)]
    for label, (name, value, count) in enumerate(zip(rows, values, counts, strict=True)):
        table.add_row(str(label), escape(name), value, f"{count:,}", f"{count / pixels:.1%}")
    out.print(table)
    if uncertainty is not None:
        out.print(f"mean uncertainty: {uncertainty:.3f}", highlight=False)
    for note in scores.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


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


app.command()(learn)
app.command()(evaluate)
app.command()(export)


@models.callback(invoke_without_command=True)
def _list_models(context: typer.Context) -> None:
    """Print a table of the weights."""
    if context.invoked_subcommand:
        return
    from ..segmentation import cached  # noqa: PLC0415 - the hub's library, only when needed

    table = Table(title="Weights", title_justify="left")
    for column in ("name", "size", "licence", "on disk", "used for"):
        numeric, whole = column == "size", column in ("name", "size", "on disk")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=whole)
    for row in REGISTRY.values():
        on_disk = "no" if cached(row) is None else "yes" if row.repositories else "in the package"
        purpose = row.purpose + ("" if row.validated else " [yellow](not validated)[/]")
        table.add_row(row.name, _size(row.size), row.licence, on_disk, purpose)
    out.print(table)
    out.print(
        "Also: any open_clip ViT as open_clip:NAME/TAG, or a checkpoint file. "
        "To download: napari-cliper models download NAME",
        soft_wrap=True,
    )


def _size(size: int) -> str:
    return "" if not size else f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


@models.command("download")
def download(
    name: Annotated[
        str, typer.Argument(help="A name from `napari-cliper models`, or open_clip:NAME/TAG.")
    ],
) -> None:
    """Download weights into the Hugging Face cache, which other tools share."""
    with readable_errors():
        from ..segmentation import Monitor, fetch, weights_of  # noqa: PLC0415 - torch, as above

        for row in weights_of(name):
            out.print(f"{row.name}: licence {row.licence}", soft_wrap=True, highlight=False)
            bars = Bars()
            with bars.progress:
                files = fetch(row, monitor=Monitor(bars.report))
            for path in files.values():
                out.print(str(path), soft_wrap=True, highlight=False)


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="Seed of the synthetic scene.")] = None,
    screenshot: Annotated[
        Path | None, typer.Option(help="Save a screenshot of the window to this file, and quit.")
    ] = None,
    headless: Annotated[
        bool,
        typer.Option("--headless", help="Open no window; print the results and save an image."),
    ] = False,
    output: Annotated[Path, typer.Option(help="Image file that --headless writes.")] = Path(
        "napari-cliper-demo.png"
    ),
    compare: Annotated[
        int, typer.Option(help="Measure every method on this many held-out scenes instead.")
    ] = 0,
) -> None:
    """Segment a synthetic scene with the small demo model, which is included.

    Opens napari with the scene and the dock widget, and runs. Without a display, the window is
    drawn on a virtual one (Xvfb) and saved as an image.
    """
    with readable_errors():
        if compare:
            _compare(compare)
        elif headless:
            _demo_headless(seed, output)
        else:
            _demo_window(seed, screenshot)


def _compare(scenes: int) -> None:
    """Print the mIoU of every method on held-out scenes."""
    from ..demo.run import compare_methods  # noqa: PLC0415 - torch, only when it is needed

    table = Table(title=f"mIoU on {scenes} held-out scenes", title_justify="left")
    for column in ("method", "coarse", "with PAMR"):
        table.add_column(column, justify="left" if column == "method" else "right")
    bars = Bars()
    with bars.progress:
        for method, coarse, refined in compare_methods(scenes, bars.report):
            table.add_row(method, f"{coarse:.3f}", f"{refined:.3f}")
    out.print(table)


def _demo_headless(seed: int | None, output: Path) -> None:
    """Segment a scene, print the classes and the mIoU, write the overlay image."""
    check_places([output])
    from ..demo.run import DEMO_SEED, segment_scene  # noqa: PLC0415 - torch, as above
    from ..io.writers.overlay import label_counts, overlay  # noqa: PLC0415
    from ..labels.label_class import rows_of  # noqa: PLC0415
    from ..labels.labelled_image import LabelledImage  # noqa: PLC0415

    bars = Bars()
    with bars.progress:
        result = segment_scene(bars.report, DEMO_SEED if seed is None else seed)
    rows = dict(enumerate(rows_of(result.scores.classes), 1))
    labelled = LabelledImage(output.stem, result.labels, rows, image=result.scene.image)
    with whole_files(output.parent) as folder:
        overlay(labelled).save(folder / output.name)
    counts = label_counts(result.labels, len(rows))
    _print_scores(f"scene {result.scene.seed}", result.scores, counts)
    out.print(f"mIoU against the scene's ground truth: {result.mean_iou:.3f}")
    out.print(f"Image written to {output}", soft_wrap=True, highlight=False)
    out.print(
        "The demo model knows only synthetic scenes; it says nothing about accuracy on real "
        "images.",
        soft_wrap=True,
    )


def _demo_window(seed: int | None, screenshot: Path | None) -> None:
    """Open napari with a scene and the dock widget, and run."""
    if find_spec("napari") is None:
        raise InvalidInputError(
            'napari is not installed. Install it with pip install "napari-cliper[all]", or use '
            "napari-cliper demo --headless."
        )
    if screenshot is not None:
        check_places([screenshot])
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        virtual = shutil.which("xvfb-run")
        if virtual is None:
            raise InvalidInputError(
                "There is no display. Install a virtual one with apt-get install xvfb, or use "
                "napari-cliper demo --headless."
            )
        image_file = screenshot or Path("napari-cliper-demo.png")
        command = [virtual, "-a", "-s", "-screen 0 1600x1000x24"]
        command += [sys.executable, "-m", "napari_cliper"]
        command += ["demo", "--screenshot", str(image_file)]
        command += [] if seed is None else ["--seed", str(seed)]
        out.print("There is no display: the window is drawn on a virtual one.")
        status = subprocess.run(command, check=False).returncode  # noqa: S603
        raise typer.Exit(status)
    from ..demo.run import DEMO_SEED, HELD_OUT_SEED, SCENE_SHAPE  # noqa: PLC0415 - torch, as above
    from ..demo.scenes import make_scene  # noqa: PLC0415
    from ..plugin.demo_window import show_demo  # noqa: PLC0415 - napari

    scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + (DEMO_SEED if seed is None else seed))
    problem = show_demo(scene, screenshot)
    if problem:
        fail(problem, FAILED)
    if screenshot is not None:
        out.print(f"Screenshot written to {screenshot}", soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):  # file names may not be encodable in the terminal
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(app())
