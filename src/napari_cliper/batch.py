"""Picture files in, result files out: what `napari-cliper segment` does with each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .export.class_rows import rows_of
from .export.files import FileError, Replace, cannot, check_places, whole_files, write_json
from .export.labelled import LabelledImage
from .export.measurements import write_table
from .export.overlay import label_counts, overlay
from .export.pictures import read_picture
from .export.prototypes import prototypes_record
from .export.tiff import write_label_tiff
from .segmentation import (
    ClassPrompt,
    InvalidInputError,
    LiveLabels,
    Progress,
    Prototypes,
    ScoreMaps,
    Segmenter,
    Thresholds,
)

SUFFIXES = ("_coarse.tif", "_refined.tif", "_overlay.png", ".json")

UNCERTAINTY = "uncertainty.csv"
_COLUMNS = ("image", "uncertainty")


@dataclass(frozen=True, eq=False)
class Segmented:
    """What came out for one picture.

    Parameters
    ----------
    scores : ScoreMaps
    counts : list of int
        Pixels of each label, background first.
    uncertainty : float
        The mean over the picture, 0 (sure) to 1; see `LiveLabels.uncertainty`.
    """

    scores: ScoreMaps
    counts: list[int]
    uncertainty: float


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
        try:
            segmenter.check(read_picture(path))
        except FileError as error:
            problems.append(str(error))
        except InvalidInputError as error:
            problems.append(f"{path}: {error}")
    results = [output / (path.stem + suffix) for path in images for suffix in SUFFIXES]
    try:
        check_places(results, replace="own" if overwrite else "nothing", inputs=images)
        if len(images) > 1:
            check_places([output / UNCERTAINTY], inputs=images)
    except FileError as error:
        problems.append(str(error))
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
    *,
    prototypes: Prototypes | None = None,
    looks: float | None = None,
    replace: Replace = "nothing",
    inputs: Sequence[Path] = (),
) -> Segmented:
    """Segment one picture and write its files, which appear together or not at all.

    Parameters
    ----------
    thresholds : mapping
        Keywords of `ScoreMaps.to_labels`; None is the default.
    report : callable
        Called with `Progress`.
    should_stop : callable
        Asked whether to end.
    prototypes : Prototypes, optional
        What classes look like.
    looks : float, optional
        How much that counts against the words; see `Segmenter.score`.
    replace, inputs
        As in `export.files.whole_files`.

    Returns
    -------
    Segmented

    Raises
    ------
    FileError
        For a picture that cannot be read or a result that cannot be written.
    SegmentationError
    """
    wishes = {"report": report, "should_stop": should_stop}
    embedding = segmenter.embed(read_picture(path), **wishes)
    scores = segmenter.score(embedding, classes, prototypes=prototypes, looks=looks, **wishes)
    rows = dict(enumerate(rows_of(scores.classes), 1))
    labels = {stage: scores.to_labels(stage=stage, **thresholds) for stage in scores.stages}
    final = labels[scores.stages[-1]]
    counts = label_counts(final, len(rows))
    used = _used(scores, thresholds)
    live = LiveLabels(scores, scores.stages[-1], limit=0)  # these thresholds alone
    uncertainty = float(live.uncertainty(Thresholds(**used)).mean(dtype="float64"))
    record = _record(path, scores, used, counts, uncertainty)
    if prototypes is not None:
        record["prototypes"] = {
            **prototypes_record(prototypes),
            "looks": looks,
            "asked": scores.record.get("prototypes", []),
        }
    report(Progress("Writing the files", 0, 1))
    with whole_files(output, replace=replace, inputs=(path, *inputs)) as folder:
        for stage, array in labels.items():
            image = LabelledImage(
                path.stem, array, rows, image=embedding.image.pixels, image_file=path.name
            )
            write_label_tiff(folder / f"{path.stem}_{stage}.tif", image)
            if array is final:
                overlay(image).save(folder / f"{path.stem}_overlay.png")
        write_json(folder / f"{path.stem}.json", record)
    return Segmented(scores, counts, uncertainty)


def _used(scores: ScoreMaps, thresholds: Mapping[str, Any]) -> dict[str, Any]:
    """The thresholds, with the defaults where there is no wish."""
    defaults = scores.settings.as_dict
    return {name: defaults[name] if value is None else value for name, value in thresholds.items()}


def _record(
    path: Path,
    scores: ScoreMaps,
    thresholds: Mapping[str, Any],
    counts: Sequence[int],
    uncertainty: float,
) -> dict[str, Any]:
    """The engine's record, with the file, the thresholds, the counts and the uncertainty."""
    total = sum(counts)
    return {
        "file": path.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **scores.record,
        "thresholds": dict(thresholds),
        "pixels": [
            {"label": label, "pixels": count, "share": count / total}
            for label, count in enumerate(counts)
        ],
        "uncertainty": uncertainty,
    }


# ---------------------------------------------------------------------- the list


def write_uncertainty(output: Path) -> list[tuple[str, float]]:
    """List the pictures whose records are in a folder, the most uncertain first.

    Parameters
    ----------
    output : Path
        Where `segment_file` wrote; the list is put there too, as `UNCERTAINTY`.

    Returns
    -------
    list of (str, float)
        Name of the picture's file and its mean uncertainty.

    Raises
    ------
    FileError
    """
    try:
        records = [_read_record(path) for path in output.glob("*.json")]
    except OSError as error:
        raise cannot("read", output, error) from error
    found = [one for one in records if one is not None]
    found.sort(key=lambda one: (-one[1], one[0]))
    names, values = ([one[place] for one in found] for place in (0, 1))
    with whole_files(output) as folder:
        write_table(folder / UNCERTAINTY, dict(zip(_COLUMNS, (names, values), strict=True)))
    return found


def _read_record(path: Path) -> tuple[str, float] | None:
    """File and uncertainty of a record; None for another kind of JSON."""
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    name, value = record.get("file"), record.get("uncertainty")
    return (name, value) if isinstance(name, str) and isinstance(value, float) else None
