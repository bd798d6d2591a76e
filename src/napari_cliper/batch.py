"""Picture files in, result files out: what `napari-cliper segment` does with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .export.class_rows import rows_of
from .export.files import FileError, whole_files, write_json
from .export.labelled import LabelledImage
from .export.overlay import label_counts, overlay
from .export.pictures import read_picture
from .export.tiff import write_label_tiff
from .segmentation import (
    ClassPrompt,
    InvalidInputError,
    Progress,
    ScoreMaps,
    Segmenter,
)

SUFFIXES = ("_coarse.tif", "_refined.tif", "_overlay.png", ".json")


def check_inputs(
    segmenter: Segmenter,
    images: Sequence[Path],
    classes: Sequence[ClassPrompt],
    output: Path,
    *,
    overwrite: bool,
) -> None:
    """Refuse all that is wrong with the input before any long work starts.

    Raises
    ------
    InvalidInputError
        Naming every picture that cannot be segmented, and every result that is there already.
    """
    segmenter.check_words(classes)
    stems: dict[str, Path] = {}
    problems = []
    for path in images:
        if path.stem in stems:
            problems.append(
                f"{stems[path.stem]} and {path} would write the same files. Segment them into two "
                "folders."
            )
        stems[path.stem] = path
        there = [
            path.stem + suffix for suffix in SUFFIXES if (output / (path.stem + suffix)).exists()
        ]
        if there and not overwrite:
            problems.append(f"{output / there[0]} is there already. Add --overwrite to replace it.")
        try:
            segmenter.check(read_picture(path))
        except FileError as error:
            problems.append(str(error))
        except InvalidInputError as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise InvalidInputError("\n".join(problems))


def segment_file(
    segmenter: Segmenter,
    path: Path,
    classes: Sequence[ClassPrompt],
    output: Path,
    thresholds: Mapping[str, Any],
    report: Any,
    should_stop: Callable[[], bool],
) -> tuple[ScoreMaps, list[int]]:
    """Segment one picture and write its files, which appear together or not at all.

    Parameters
    ----------
    thresholds : mapping
        Keywords of `ScoreMaps.to_labels`; None is the default.
    report : callable
        Called with `Progress`.
    should_stop : callable
        Asked whether to end.

    Returns
    -------
    ScoreMaps
    list of int
        Pixels of each label, background first.

    Raises
    ------
    FileError
        For a picture that cannot be read or a result that cannot be written.
    SegmentationError
    """
    wishes = {"report": report, "should_stop": should_stop}
    embedding = segmenter.embed(read_picture(path), **wishes)
    scores = segmenter.score(embedding, classes, **wishes)
    rows = dict(enumerate(rows_of(scores.classes), 1))
    labels = {stage: scores.to_labels(stage=stage, **thresholds) for stage in scores.stages}
    final = labels[scores.stages[-1]]
    counts = label_counts(final, len(rows))
    report(Progress("Writing the files", 0, 1))
    with whole_files(output) as folder:
        for stage, array in labels.items():
            image = LabelledImage(
                path.stem, array, rows, image=embedding.image.pixels, image_file=path.name
            )
            write_label_tiff(folder / f"{path.stem}_{stage}.tif", image)
            if array is final:
                overlay(image).save(folder / f"{path.stem}_overlay.png")
        write_json(folder / f"{path.stem}.json", _record(path, scores, thresholds, counts))
    return scores, counts


def _record(
    path: Path, scores: ScoreMaps, thresholds: Mapping[str, Any], counts: Sequence[int]
) -> dict[str, Any]:
    """The engine's record, with the file, the thresholds and the counts."""
    defaults = scores.settings.as_dict
    total = sum(counts)
    return {
        "file": path.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **scores.record,
        "thresholds": {
            name: defaults[name] if value is None else value for name, value in thresholds.items()
        },
        "pixels": [
            {"label": label, "pixels": count, "share": count / total}
            for label, count in enumerate(counts)
        ],
    }
