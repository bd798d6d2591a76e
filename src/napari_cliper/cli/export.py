"""`napari-cliper export`: hand annotations and labels on in other formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..io.formats import FORMATS, check_formats
from ._console import err, out, readable_errors

if TYPE_CHECKING:
    from ..io.lazy_images import LazyImages
    from ..labels.labelled_image import LabelledImage

SHOWN = 30
"""Classes in the table on the screen."""


def export(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Annotation projects, or labels: TIFF, PNG, COCO JSON."),
    ],
    *,
    formats: Annotated[
        list[str], typer.Option("--format", help=f"May be repeated: {', '.join(FORMATS)}.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the files; made where missing.")],
    classes: Annotated[
        Path | None,
        typer.Option(help="The classes (.yaml, .json, .txt): the first has number 1, and so on."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the images that belong to label files, of the same names."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Replace earlier exports, never a file of anything else.")
    ] = False,
) -> None:
    """Hand annotations on: to ImageJ, QuPath, COCO, YOLO, OME-Zarr, tables, images.

    A class has the same number in every image. With more than one format each has a folder of
    its own. All files appear, or none.
    """
    with readable_errors():
        from ..io.export import export_images  # noqa: PLC0415 - heavy
        from ..workflows.export_datasets import gather  # noqa: PLC0415 - as above

        chosen = check_formats(formats)
        gathered = gather(sources, classes, images)
        made = export_images(
            output, gathered.images, chosen, overwrite=overwrite, inputs=gathered.inputs
        )
        notes = _report(gathered.images, chosen)
        for note in (*gathered.notes, *notes):
            err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
        for path in made:
            out.print(str(path), soft_wrap=True, highlight=False, markup=False)


def _report(images: LazyImages, formats: Sequence[str]) -> list[str]:
    """Print the classes with their numbers, and in how many images each is; return notes."""
    from ..io.export import export_notes  # noqa: PLC0415 - as above
    from ..labels.categories import categories_of, used_labels  # noqa: PLC0415 - heavy

    used: list[list[int]] = []
    missing: list[str] = []
    told: list[str] = []

    def noted() -> Iterator[LabelledImage]:
        for image in images:
            used.append(used_labels(image))
            if "yolo" in formats and (image.image is None or image.image.dtype != "uint8"):
                missing.append(image.name)
            told.extend(export_notes(image, formats))
            yield image

    numbered = categories_of(noted()).by_id
    count = "1 image" if len(used) == 1 else f"{len(used)} images"
    table = Table(title=f"Classes of {count}", title_justify="left")
    table.add_column("number", justify="right")
    table.add_column("class")
    table.add_column("in images", justify="right")
    for number, category in list(numbered.items())[:SHOWN]:
        there = sum(number in labels for labels in used)
        table.add_row(str(number), escape(category.name), str(there))
    if len(numbered) > SHOWN:
        table.add_row("", f"{len(numbered) - SHOWN} more", "")
    out.print(table)
    return [*_missing_images(missing), *told]


def _missing_images(missing: Sequence[str]) -> list[str]:
    """Which images YOLO trains on without an image of its own making."""
    if not missing:
        return []
    names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    advice = "Put one into images/train, or name a folder of 8 bit images with --images."
    return [f"YOLO has no 8 bit image of {names}. {advice}"]
