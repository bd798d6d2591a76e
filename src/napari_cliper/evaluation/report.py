"""Report files of an evaluation: a summary, tables and two images.

- ``summary.json``: the metrics and all settings
- ``classes.csv``, ``images.csv``: one row per class and per image
- ``confusion.csv``: the confusion matrix in pixels (rows: true, columns: predicted)
- ``confusion.png``: the same, each row normalised
- ``worst.png``: the images with the lowest mIoU

No file holds a time or date, so the same run writes the same bytes. Tables start with a byte
order mark, because some spreadsheet programs otherwise misread UTF-8.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..io.files import whole_files
from ..io.json_records import write_json
from ..segmentation import Progress, Report
from .entry import Entry
from .figures import ContactRow, confusion_figure, contact_sheet
from .runner import REPORT, Evaluation

__all__ = [
    "REPORT", "WORST", "summary", "table_text", "worst_entries", "write_report", "write_table",
]  # fmt: skip

WORST = 10
"""Number of images in ``worst.png``."""


def write_report(folder: Path, result: Evaluation, *, report: Report | None = None) -> None:
    """Write the report files, either all of them or none.

    Parameters
    ----------
    folder : Path
        Created if missing. An earlier report in it is replaced.
    result : Evaluation
    report : callable, optional
        Called with a `Progress`.

    Raises
    ------
    FileError
        If a file cannot be written, or an image can no longer be read.
    """
    tell = report or (lambda progress: None)
    names = result.names
    confusion = result.scores.confusion
    worst = worst_entries(result)
    tell(Progress("Writing the files", 0, 1))
    rows = [_contact_row(result, entry) for entry in worst]
    with whole_files(folder) as staging:
        write_json(staging / "summary.json", summary(result))
        write_table(staging / "classes.csv", _class_rows(result))
        write_table(staging / "images.csv", _image_rows(result))
        write_table(
            staging / "confusion.csv",
            [["true / predicted", *map(_cell, names)]]
            + [[_cell(name), *map(int, row)] for name, row in zip(names, confusion, strict=True)],
        )
        confusion_figure(confusion, names).save(staging / "confusion.png")
        contact_sheet(rows, result.dataset.names).save(staging / "worst.png")
    tell(Progress("Writing the files", 1, 1))


def summary(result: Evaluation) -> dict[str, Any]:
    """Return the metrics and all settings, JSON-safe: NaN becomes None."""
    scores = result.scores
    return {
        "dataset": result.dataset.title,
        "images": len(result.entries),
        "pixels": int(scores.confusion.sum()),
        "figures": {name: _number(value) for name, value in result.figures.items()},
        "mIoU is over": [
            name
            for name, pixels in zip(result.names, scores.confusion.sum(axis=1), strict=True)
            if pixels
        ],
        "classes": [
            {"label": label, "name": name, "IoU": _number(value)}
            for label, (name, value) in enumerate(zip(result.names, scores.iou, strict=True))
        ],
        "measured with": dict(result.record),
        "notes": list(result.notes),
    }


def worst_entries(result: Evaluation) -> list[Entry]:
    """Return the `WORST` images with the lowest mIoU, lowest first, ties sorted by name."""
    measured = [one for one in result.entries if not math.isnan(one.scores.mean_iou)]
    return sorted(measured, key=lambda one: (one.scores.mean_iou, one.name))[:WORST]


def _contact_row(result: Evaluation, entry: Entry) -> ContactRow:
    (pair,) = (one for one in result.dataset.pairs if one.name == entry.name)
    return ContactRow(
        caption=f"{entry.name}   mIoU {entry.scores.mean_iou:.3f}   image, truth, labels",
        image=result.dataset.image(pair),
        truth=result.dataset.truth(pair),
        labels=(result.labels(entry),),
    )


def _class_rows(result: Evaluation) -> Iterable[Sequence[Any]]:
    scores = result.scores
    yield (
        "label", "class", "IoU", "accuracy", "boundary F1", "true pixels", "predicted pixels",
        "correct pixels",
    )  # fmt: skip
    for label, name in enumerate(result.names):
        values = (scores.iou[label], scores.accuracy[label], scores.boundary[label])
        pixels = (scores.confusion[label].sum(), scores.confusion[:, label].sum(),
                  scores.confusion[label, label])  # fmt: skip
        yield label, _cell(name), *map(table_text, values), *map(int, pixels)


def _image_rows(result: Evaluation) -> Iterable[Sequence[Any]]:
    yield "image", "mIoU", "pixel accuracy", "mean accuracy", "boundary F1", "pixels"
    for entry in result.entries:
        one = entry.scores
        figures = (one.mean_iou, one.pixel_accuracy, one.mean_accuracy, one.mean_boundary_f1)
        yield _cell(entry.name), *map(table_text, figures), int(one.confusion.sum())


def write_table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV in UTF-8 with a byte order mark."""
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        csv.writer(file).writerows(rows)


def table_text(value: float) -> str:
    """Format with six decimals; NaN is empty."""
    return "" if math.isnan(value) else f"{value:.6f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _cell(text: str) -> str:
    """Escape text that a spreadsheet program would read as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
