"""Several methods on the same labelled images: one table and one contact sheet.

- ``methods.csv``: one row per method; the metrics, then the IoU of each class
- ``methods.png``: the images with the lowest mIoU, with the labels of every method

Each method's own report is in a folder of its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..io.files import check_places, whole_files
from ..segmentation import METHODS, InvalidInputError, Report, SegmentationConfig
from .figures import ContactRow, contact_sheet
from .report import WORST, table_text, write_report, write_table
from .runner import Evaluation

COMPARISON = ("methods.csv", "methods.png")
"""The files that `write_comparison` writes."""


def method_configs(methods: str, config: SegmentationConfig) -> Mapping[str, SegmentationConfig]:
    """Return the configuration of each of several methods, by name.

    Parameters
    ----------
    methods : str
        Names in `METHODS`, separated by commas; repeated ones count once.
    config : SegmentationConfig
        The other settings.

    Raises
    ------
    InvalidInputError
        For an unknown name, and for no name.
    """
    names = list(dict.fromkeys(name.strip() for name in methods.split(",") if name.strip()))
    if not names:
        raise InvalidInputError("--methods names no method. Known: " + ", ".join(METHODS) + ".")
    return {name: replace(config, method=name) for name in names}


def compare(
    configs: Mapping[str, SegmentationConfig],
    run: Callable[[SegmentationConfig, Path], Evaluation],
    folder: Path,
    *,
    report: Report,
) -> Mapping[str, Evaluation]:
    """Evaluate each method into a folder of its own, then write the comparison.

    Parameters
    ----------
    configs : mapping of str to SegmentationConfig
        As returned by `method_configs`.
    run : callable
        Evaluates a configuration; see `runner.evaluate`. Gets the folder for its results.
    folder : Path
    report : callable
        Called with a `Progress`.

    Returns
    -------
    mapping of str to Evaluation
        By method.
    """
    check_places([folder / name for name in COMPARISON])
    results = {}
    for name, config in configs.items():
        results[name] = run(config, folder / name)
        write_report(folder / name, results[name], report=report)
    write_comparison(folder, results)
    return results


def write_comparison(folder: Path, results: Mapping[str, Evaluation]) -> None:
    """Write ``methods.csv`` and ``methods.png``, both or none.

    Raises
    ------
    FileError
        If a file cannot be written, or an image can no longer be read.
    """
    names = next(iter(results.values())).dataset.names
    rows = [_contact_row(results, name) for name in _worst(results)]
    with whole_files(folder) as staging:
        write_table(staging / COMPARISON[0], _table(results))
        contact_sheet(rows, names).save(staging / COMPARISON[1])


def _table(results: Mapping[str, Evaluation]) -> Iterator[Sequence[Any]]:
    first = next(iter(results.values()))
    yield "method", "stage", *first.figures, *(f"IoU of {name}" for name in first.names)
    for method, result in results.items():
        values = (*result.figures.values(), *result.scores.iou)
        yield method, result.record["stage"], *map(table_text, values)


def _worst(results: Mapping[str, Evaluation]) -> list[str]:
    """Names of the images with the lowest mean mIoU over the methods, lowest first."""
    scores = [
        {entry.name: entry.scores.mean_iou for entry in result.entries}
        for result in results.values()
    ]
    # Some methods cut the images of a benchmark into strips, so that only others have them.
    shared = [name for name in scores[0] if all(name in one for one in scores)]
    means = {name: sum(one[name] for one in scores) / len(scores) for name in shared}
    measured = [name for name, mean in means.items() if not math.isnan(mean)]
    return sorted(measured, key=lambda name: (means[name], name))[:WORST]


def _contact_row(results: Mapping[str, Evaluation], name: str) -> ContactRow:
    dataset = next(iter(results.values())).dataset
    (pair,) = (one for one in dataset.pairs if one.name == name)
    entries = {
        method: next(entry for entry in result.entries if entry.name == name)
        for method, result in results.items()
    }
    reached = (
        f"{METHODS[method].title} {entry.scores.mean_iou:.3f}" for method, entry in entries.items()
    )
    return ContactRow(
        caption=f"{name}   image, truth, mIoU of {', '.join(reached)}",
        image=dataset.image(pair),
        truth=dataset.truth(pair),
        labels=tuple(result.labels(entries[method]) for method, result in results.items()),
    )


def seconds_per_image(result: Evaluation) -> float:
    """Return the mean time of an image in seconds; NaN without images."""
    seconds: Iterable[float] = [entry.seconds for entry in result.entries]
    return sum(seconds) / len(result.entries) if result.entries else math.nan
