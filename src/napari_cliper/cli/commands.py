"""The command line: `napari-cliper segment`, `learn`, `merge`, `evaluate`, `export`, ....

Exit status: 0 success, 1 failure while running (weights, memory, disk, permission), 2 invalid input
or an output that would be replaced, 130 stopped by the user.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .. import __version__
from ..io.files import check_places, whole_files
from ..segmentation import REGISTRY, InvalidInputError, wait_passively
from ..workflows.quantities import size_text
from ._console import FAILED, Bars, fail, out, readable_errors
from ._path_arguments import given_path
from .evaluate import evaluate
from .export import export
from .learn import learn
from .merge import merge
from .segment import print_scores, segment

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


app.command()(segment)
app.command()(learn)
app.command()(evaluate)
app.command()(export)
app.command()(merge)


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
        table.add_row(row.name, size_text(row.size), row.licence, on_disk, purpose)
    out.print(table)
    out.print(
        "Also: any open_clip ViT as open_clip:NAME/TAG, or a checkpoint file. "
        "To download: napari-cliper models download NAME",
        soft_wrap=True,
    )


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
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the synthetic scene, from 0.")
    ] = None,
    screenshot: Annotated[
        Path | None,
        typer.Option(
            help="Save a screenshot of the window to this PNG file, and quit.", parser=given_path
        ),
    ] = None,
    headless: Annotated[
        bool,
        typer.Option("--headless", help="Open no window; print the results and save an image."),
    ] = False,
    output: Annotated[
        Path, typer.Option(help="PNG file that --headless writes.", parser=given_path)
    ] = Path("napari-cliper-demo.png"),
    compare: Annotated[
        int, typer.Option(min=0, help="Measure every method on this many held-out scenes instead.")
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


def _check_png(path: Path) -> None:
    """Check that a PNG file can be written there.

    Raises
    ------
    InvalidInputError
        For another ending, and for a folder.
    FileError
        For a file that is not replaced.
    """
    if path.suffix.lower() != ".png" or path.is_dir():
        raise InvalidInputError(
            f"{path} is no name for a PNG file. Give one that ends in .png, such as "
            f"{path.with_suffix('.png') if path.name else 'demo.png'}."
        )
    check_places([path])


def _demo_headless(seed: int | None, output: Path) -> None:
    """Segment a scene, print the classes and the mIoU, write the overlay image."""
    _check_png(output)
    from ..demo.run import DEMO_SEED, segment_scene  # noqa: PLC0415 - torch, as above
    from ..io.writers.overlay import overlay  # noqa: PLC0415
    from ..labels.label_class import rows_of  # noqa: PLC0415
    from ..labels.labelled_image import LabelledImage  # noqa: PLC0415
    from ..labels.regions import label_counts  # noqa: PLC0415

    bars = Bars()
    with bars.progress:
        result = segment_scene(bars.report, DEMO_SEED if seed is None else seed)
    rows = dict(enumerate(rows_of(result.scores.classes), 1))
    labelled = LabelledImage(output.stem, result.labels, rows, image=result.scene.image)
    with whole_files(output.parent) as folder:
        overlay(labelled).save(folder / output.name)
    counts = label_counts(result.labels, len(rows) + 1).tolist()
    names = [one.name for one in result.scores.classes]
    class_scores = result.scores.stage().class_scores.tolist()
    print_scores(f"scene {result.scene.seed}", names, class_scores, counts)
    for note in result.scores.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
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
        _check_png(screenshot)
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
    wait_passively()
    sys.exit(app())
