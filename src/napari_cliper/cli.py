"""The command line: `napari-cliper segment`, `models` and `demo`.

Exit status: 0 done, 1 failed at work (weights, memory, disk), 2 wrong input, 130 stopped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from . import __version__
from .export.files import FileError, whole_files
from .segmentation import (
    METHODS,
    REFINERS,
    REGISTRY,
    InvalidInputError,
    SegmentationConfig,
    SegmentationError,
    parse_classes,
    parse_words,
)
from .segmentation import Progress as Where

if TYPE_CHECKING:
    from .segmentation import ScoreMaps

app = typer.Typer(
    help="Type a few words, get label maps: open-vocabulary segmentation of images.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(help="The weights: what there is, how big, what is on this machine.")
app.add_typer(models, name="models")

out = Console()
err = Console(stderr=True)

FAILED, WRONG_INPUT, STOPPED = 1, 2, 130


def _fail(message: str, status: int) -> NoReturn:
    err.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(status)


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Turn the project's errors into one line and an exit status."""
    try:
        yield
    except (InvalidInputError, typer.BadParameter) as error:
        _fail(str(error), WRONG_INPUT)
    except (SegmentationError, FileError) as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        err.print("Stopped. Nothing was left half done.")
        raise typer.Exit(STOPPED) from None


class _Amount(ProgressColumn):
    """Steps as 3/12, downloads as 40/600 MB."""

    steps, download = MofNCompleteColumn(), DownloadColumn()

    def render(self, task: Task) -> Text:
        """Choose by the task's unit."""
        column = self.download if task.fields["unit"] == "byte" else self.steps
        return column.render(task)


class _Bars:
    """One bar for each stage, on the error stream."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Amount(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}

    def report(self, where: Where) -> None:
        """Show where the job is; a new stage ends the one before."""
        if where.stage not in self.tasks:
            for task in self.tasks.values():
                total = self.progress.tasks[task].total
                self.progress.update(task, completed=total, visible=False)
            self.tasks[where.stage] = self.progress.add_task(where.stage, unit=where.unit)
        self.progress.update(
            self.tasks[where.stage],
            completed=where.done,
            total=where.total or None,
            visible=True,
        )


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
def segment(
    images: Annotated[list[Path], typer.Argument(help="Pictures: TIFF, PNG, JPEG, ...")],
    labels: Annotated[
        str, typer.Option(help='The words: "nucleus=cell nucleus|nuclei, bacteria".')
    ],
    output: Annotated[Path, typer.Option(help="Folder for the results; made where missing.")],
    background: Annotated[
        str | None,
        typer.Option(help="Words for the rest, or one of the lists photo, microscopy, none."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="ViT-B/16, ViT-L/14, ViT-H/14, demo, open_clip:NAME/TAG or a file."),
    ] = SegmentationConfig.model,
    method: Annotated[str, typer.Option(help=", ".join(METHODS))] = SegmentationConfig.method,
    refiner: Annotated[
        str | None, typer.Option(help=", ".join(REFINERS) + "; default: by method and model.")
    ] = None,
    diffusion_model: Annotated[
        str, typer.Option(help="A name of `napari-cliper models`, or a diffusers folder.")
    ] = SegmentationConfig.diffusion_model,
    foundation_model: Annotated[
        str, typer.Option(help="A name of `napari-cliper models`.")
    ] = SegmentationConfig.foundation_model,
    templates: Annotated[
        str | None, typer.Option(help="cliper-15, openai-80, openai-7, word, or a prompt with {}.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Whose published settings are the defaults.")
    ] = SegmentationConfig.protocol,
    shorter_side: Annotated[
        int | None, typer.Option(help="Resize the shorter side to this many pixels.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="Side of the sliding windows in pixels; 0 for none.")
    ] = None,
    class_threshold: Annotated[
        float | None, typer.Option(help="A class whose score is not above it is absent.")
    ] = None,
    background_threshold: Annotated[
        float | None, typer.Option(help="A pixel whose best class is below it is background.")
    ] = None,
    min_max: Annotated[
        bool | None, typer.Option(help="Stretch each class to [0, 1] first (CLIPer).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the diffusion model's noise.")] = 0,
    offline: Annotated[bool, typer.Option(help="Use only weights that are on disk.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace results that are there.")] = False,
) -> None:
    """Segment pictures by your words.

    For each picture the folder gets the labels (NAME_coarse.tif, NAME_refined.tif), a colour
    overlay (NAME_overlay.png) and the record of what was done (NAME.json).
    """
    with _errors_in_words():
        from .segmentation import Segmenter  # noqa: PLC0415 - torch, only when it is needed

        classes = parse_classes(labels)
        config = SegmentationConfig(
            method=cast("Any", method),
            model=model,
            refiner=cast("Any", refiner),
            diffusion_model=diffusion_model,
            foundation_model=foundation_model,
            background=None if background is None else parse_words(background),
            templates=(templates,) if templates and "{}" in templates else templates,
            protocol=protocol,
            shorter_side=shorter_side,
            window=window,
            device=device,
            precision=cast("Any", precision),
            seed=seed,
            offline=offline,
        )
        thresholds = {
            "class_threshold": class_threshold,
            "background_threshold": background_threshold,
            "min_max": min_max,
        }
        segmenter = Segmenter(config)
        from .batch import check_inputs, segment_file  # noqa: PLC0415 - torch, as above

        check_inputs(segmenter, images, classes, output, overwrite=overwrite)
        failed = 0
        for path in images:
            bars = _Bars()
            try:
                with bars.progress:
                    scores, counts = segment_file(
                        segmenter, path, classes, output, thresholds, bars.report
                    )
            except FileError as error:  # this file; the next may do
                err.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
                failed += 1
                continue
            _print_scores(path.name, scores, counts)
        if failed:
            _fail(f"{failed} of {len(images)} pictures were not segmented.", FAILED)


def _print_scores(title: str, scores: ScoreMaps, counts: list[int]) -> None:
    """A table of the classes, with the notes under it."""
    table = Table(title=escape(title), title_justify="left")
    table.add_column("label", justify="right")
    table.add_column("class")
    for column in ("score", "pixels", "share"):
        table.add_column(column, justify="right")
    pixels = sum(counts)
    rows = ["background", *(one.name for one in scores.classes)]
    values = ["", *(f"{value:.2f}" for value in scores.stage().class_scores)]
    for label, (name, value, count) in enumerate(zip(rows, values, counts, strict=True)):
        table.add_row(str(label), escape(name), value, f"{count:,}", f"{count / pixels:.1%}")
    out.print(table)
    for note in scores.notes:
        out.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


@models.callback(invoke_without_command=True)
def _list_models(context: typer.Context) -> None:
    """List the weights."""
    if context.invoked_subcommand:
        return
    from .segmentation import cached  # noqa: PLC0415 - the hub's library, only when needed

    table = Table(title="Weights", title_justify="left")
    for column in ("name", "size", "licence", "on disk", "what for"):
        numeric, whole = column == "size", column in ("name", "size")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=whole)
    for row in REGISTRY.values():
        on_disk = "no" if cached(row) is None else "yes" if row.repositories else "in the package"
        purpose = row.purpose + ("" if row.validated else " [yellow](not validated)[/]")
        table.add_row(row.name, _size(row.size), row.licence, on_disk, purpose)
    out.print(table)
    out.print(
        "Also: any ViT of open_clip as open_clip:NAME/TAG, or a checkpoint file. "
        "Fetch with: napari-cliper models download NAME",
        soft_wrap=True,
    )


def _size(size: int) -> str:
    return "" if not size else f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


@models.command("download")
def download(
    name: Annotated[str, typer.Argument(help="A name of `napari-cliper models`, or open_clip:...")],
) -> None:
    """Fetch weights into the cache that tools of the hub share."""
    with _errors_in_words():
        from .segmentation import Monitor, fetch, weights_of  # noqa: PLC0415 - torch, as above

        row = weights_of(name)
        bars = _Bars()
        with bars.progress:
            files = fetch(row, monitor=Monitor(bars.report))
        for path in files.values():
            out.print(str(path), soft_wrap=True, highlight=False)


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="Which scene is made.")] = None,
    screenshot: Annotated[
        Path | None, typer.Option(help="Save the window here after the result, and quit.")
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="No window: a table, the measure and a picture.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the picture of --headless goes.")] = Path(
        "napari-cliper-demo.png"
    ),
    compare: Annotated[
        int, typer.Option(help="Instead: measure every method on this many held-out scenes.")
    ] = 0,
) -> None:
    """Make a scene and segment it with the small model that comes along.

    Opens napari with the scene and the dock, and runs. Where there is no display, the window is
    drawn on a virtual one (Xvfb) and saved as a picture.
    """
    with _errors_in_words():
        if compare:
            _compare(compare)
        elif headless:
            _demo_headless(seed, output)
        else:
            _demo_window(seed, screenshot)


def _compare(scenes: int) -> None:
    """Print the mIoU of every method on held-out scenes."""
    from .demo.run import compare_methods  # noqa: PLC0415 - torch, only when it is needed

    table = Table(title=f"mIoU on {scenes} held-out scenes", title_justify="left")
    for column in ("method", "coarse", "with PAMR"):
        table.add_column(column, justify="left" if column == "method" else "right")
    bars = _Bars()
    with bars.progress:
        for method, coarse, refined in compare_methods(scenes, bars.report):
            table.add_row(method, f"{coarse:.3f}", f"{refined:.3f}")
    out.print(table)


def _demo_headless(seed: int | None, output: Path) -> None:
    """Segment a scene, print the table and the measure, write the picture."""
    from .demo.run import DEMO_SEED, segment_scene  # noqa: PLC0415 - torch, as above
    from .export.overlay import label_counts, overlay  # noqa: PLC0415

    bars = _Bars()
    with bars.progress:
        result = segment_scene(bars.report, DEMO_SEED if seed is None else seed)
    names = [one.name for one in result.scores.classes]
    with whole_files(output.parent) as folder:
        overlay(result.scene.image, result.labels, names).save(folder / output.name)
    counts = label_counts(result.labels, len(names))
    _print_scores(f"scene {result.scene.seed}", result.scores, counts)
    out.print(f"mIoU against the scene's ground truth: {result.mean_iou:.3f}")
    out.print(f"The picture: {output}", soft_wrap=True, highlight=False)
    out.print(
        "The demo model knows made-up scenes alone; it is no judge of quality on real images.",
        soft_wrap=True,
    )


def _demo_window(seed: int | None, screenshot: Path | None) -> None:
    """Open napari with a scene and the dock, and run."""
    if find_spec("napari") is None:
        raise InvalidInputError(
            'napari is not installed. Install it with pip install "napari-cliper[all]", or use '
            "napari-cliper demo --headless."
        )
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        virtual = shutil.which("xvfb-run")
        if virtual is None:
            raise InvalidInputError(
                "There is no display, and no virtual one. Install it with apt-get install xvfb, or "
                "use napari-cliper demo --headless."
            )
        picture = screenshot or Path("napari-cliper-demo.png")
        command = [virtual, "-a", "-s", "-screen 0 1600x1000x24", sys.executable, "-m", __package__]
        wishes = ["demo", "--screenshot", str(picture)]
        wishes += [] if seed is None else ["--seed", str(seed)]
        out.print("There is no display: the window is drawn on a virtual one.")
        status = subprocess.run([*command, *wishes], check=False).returncode  # noqa: S603
        raise typer.Exit(status)
    from .demo.run import DEMO_SEED, HELD_OUT_SEED, SCENE_SHAPE  # noqa: PLC0415 - torch, as above
    from .demo.scenes import make_scene  # noqa: PLC0415
    from .plugin.show import show_demo  # noqa: PLC0415 - napari

    scene = make_scene(SCENE_SHAPE, HELD_OUT_SEED + (DEMO_SEED if seed is None else seed))
    problem = show_demo(scene, screenshot)
    if problem:
        _fail(problem, FAILED)
    if screenshot is not None:
        out.print(f"The window: {screenshot}", soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line."""
    sys.exit(app())
