"""`napari-cliper export`: export annotations and labels in other formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..io.formats import FORMATS, check_formats
from ._console import err, out, readable_errors
from ._path_arguments import given_path

if TYPE_CHECKING:
    from ..io.lazy_images import LazyImages
    from ..labels.labelled_image import LabelledImage

SHOWN = 30
"""Most classes in the printed table."""


def export(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Annotation projects, results of segment, or label files: TIFF, PNG, OME-Zarr, "
            "COCO JSON. Patterns in quotes work too.",
            parser=given_path,
        ),
    ],
    *,
    formats: Annotated[
        list[str], typer.Option("--format", help=f"May be repeated: {', '.join(FORMATS)}.")
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for the files; created if missing.", parser=given_path)
    ],
    classes: Annotated[
        Path | None,
        typer.Option(
            help="The classes (.yaml, .json, .txt): the first is label 1, and so on.",
            parser=given_path,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the images of the label files, with the same names.", parser=given_path
        ),
    ] = None,
    every_plane: Annotated[
        bool,
        typer.Option(
            "--every-plane",
            help="Also write planes of stacks that were never touched.",
        ),
    ] = False,
    validation: Annotated[
        float,
        typer.Option(
            help="Share of the images for validation in COCO and YOLO, such as 0.2; chosen by "
            "their names. Default: all are for training."
        ),
    ] = 0.0,
    overwrite: Annotated[
        bool, typer.Option(help="Replace earlier exports; other files are never replaced.")
    ] = False,
) -> None:
    """Export annotations for ImageJ, QuPath, COCO, YOLO, OME-Zarr, or as tables and images.

    A class has the same number in every image. With several formats, each gets its own folder.
    Either all files are written or none.
    """
    with readable_errors():
        from ..io.export import check_split, export_images, split_notes  # noqa: PLC0415 - heavy
        from ..workflows.export_datasets import gather  # noqa: PLC0415 - as above

        chosen = check_formats(formats)
        check_split(chosen, validation)
        gathered = gather(sources, classes, images)
        made = export_images(
            output,
            gathered.images,
            chosen,
            overwrite=overwrite,
            every_plane=every_plane,
            validation=validation,
            inputs=gathered.inputs,
        )
        notes = _report(gathered.images, chosen, every_plane=every_plane)
        notes += split_notes(gathered.images, chosen, validation)
        for note in (*gathered.notes, *notes):
            err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
        for path in made:
            out.print(str(path), soft_wrap=True, highlight=False, markup=False)


def _report(images: LazyImages, formats: Sequence[str], *, every_plane: bool) -> list[str]:
    """Print a table of the classes and the number of images with each; return the notes."""
    from ..io.export import export_notes  # noqa: PLC0415 - as above
    from ..labels.categories import categories_of, used_labels  # noqa: PLC0415 - heavy

    used: list[list[int]] = []
    missing: list[str] = []
    notes: list[str] = []

    def inspected() -> Iterator[LabelledImage]:
        for image in images:
            used.append(used_labels(image))
            if "yolo" in formats and (image.image is None or image.image.dtype != "uint8"):
                missing.append(image.name)
            notes.extend(export_notes(image, formats, every_plane=every_plane))
            yield image

    numbered = categories_of(inspected()).by_id
    count = "1 image" if len(used) == 1 else f"{len(used)} images"
    table = Table(title=f"Classes of {count}", title_justify="left")
    table.add_column("number", justify="right")
    table.add_column("class")
    table.add_column("in images", justify="right")
    for number, category in list(numbered.items())[:SHOWN]:
        count_with = sum(number in labels for labels in used)
        table.add_row(str(number), escape(category.name), str(count_with))
    if len(numbered) > SHOWN:
        table.add_row("", f"{len(numbered) - SHOWN} more", "")
    out.print(table)
    return [*_missing_images(missing), *notes]


def _missing_images(missing: Sequence[str]) -> list[str]:
    """Return a note that names the images that the YOLO export could not write as PNG."""
    if not missing:
        return []
    names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    advice = (
        "Put each beside its labels (images/train or images/val), or give a folder of 8-bit images "
        "with --images."
    )
    return [f"The YOLO export has no 8-bit image of {names}. {advice}"]
