"""Evaluate the engine on a dataset, image by image; a stopped evaluation can be resumed."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from PIL import Image

from ..io import journal as journals
from ..io.files import check_places, whole_files
from ..io.images import pixel_size_of
from ..io.journal import Journal
from ..io.prototype_file import prototypes_record
from ..segmentation import InvalidInputError, Monitor, Report, ShouldStop, Thresholds
from .dataset import Dataset, Pair, some
from .entry import NAME, Entry
from .ground_truth import read_numbers
from .metrics import Scores, image_scores, together

if TYPE_CHECKING:
    from ..segmentation import Prototypes, Segmenter, Stage

LABELS_FOLDER = "labels"
"""Folder of the predicted labels, within the folder of results."""

REPORT = (
    "summary.json", "classes.csv", "images.csv", "confusion.csv", "confusion.png", "worst.png",
)  # fmt: skip
"""The files that `report.write_report` writes."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation.

    Parameters
    ----------
    dataset : Dataset
    entries : tuple of Entry
        One per pair of the dataset, in the same order.
    scores : Scores
        All images combined.
    record : mapping
        All settings; JSON-safe, and identical for identical runs.
    folder : Path
        Folder of the results, with the predicted labels of each image.
    notes : tuple of str
        Messages for the user; those on classes left out of the metrics are added.
    """

    dataset: Dataset
    entries: tuple[Entry, ...]
    scores: Scores
    record: Mapping[str, Any]
    folder: Path
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Add the notes on classes that are left out of the metrics."""
        object.__setattr__(self, "notes", (*left_out(self), *self.notes))

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each label, the background first."""
        return ("background", *self.dataset.names)

    @property
    def figures(self) -> dict[str, float]:
        """The summary metrics by name; NaN where a metric is undefined."""
        scores = self.scores
        return {
            "mIoU": scores.mean_iou,
            "mIoU, predicted classes included": scores.mean_iou_found,
            "pixel accuracy": scores.pixel_accuracy,
            "mean accuracy": scores.mean_accuracy,
            "boundary F1": scores.mean_boundary_f1,
        }

    def labels(self, entry: Entry) -> NDArray[Any]:
        """Read the predicted labels of an image, (Y, X) uint8 or uint16.

        Raises
        ------
        FileError
            For a file that cannot be read.
        """
        return read_numbers(self.folder / entry.labels_file)


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    folder: Path,
    *,
    stage: Stage | None = None,
    thresholds: Thresholds | None = None,
    prototypes: Prototypes | None = None,
    prototype_weight: float | None = None,
    overwrite: bool = False,
    report: Report | None = None,
    should_stop: ShouldStop | None = None,
) -> Evaluation:
    """Segment every image of a dataset and compare it with the ground truth.

    The result of each image is saved as soon as it is finished. Running again with the same
    settings processes only the remaining images; the metrics equal those of an uninterrupted
    run.

    Parameters
    ----------
    segmenter : Segmenter
        Created with the configuration that `Dataset.configured` returns.
    dataset : Dataset
    folder : Path
        Folder of the results; created if missing.
    stage : {'coarse', 'refined'}, optional
        Default: refined if there is a refiner.
    thresholds : Thresholds, optional
        Default: those of the segmenter's settings.
    prototypes : Prototypes, optional
        Visual prototypes of classes.
    prototype_weight : float, optional
        Weight of the prototypes against the words, 0 to 1; see `Segmenter.score`.
    overwrite : bool
        Discard the images that an earlier run finished.
    report : callable, optional
        Called with a `Progress`.
    should_stop : callable, optional
        Called often; if it returns True, `Stopped` is raised.

    Raises
    ------
    InvalidInputError
        For invalid input, before any model runs, and for a folder of a run with other settings.
    FileError
        For a file that cannot be read or written.
    SegmentationError
        As raised by the engine, such as missing weights or too little memory.
    """
    monitor = Monitor.of(report, should_stop)
    thresholds = thresholds or segmenter.settings.thresholds
    segmenter.check_words(dataset.classes)
    settings = _settings(segmenter, dataset, stage, thresholds)
    if prototypes is not None:
        settings["prototypes"] = {
            **prototypes_record(prototypes),
            "prototype_weight": prototype_weight,
        }
    count = len(dataset.names) + 1
    journal = _checked_journal(folder, dataset, settings, overwrite=overwrite)
    _entries(journal, count)  # refuse a damaged file before the long work
    _ = segmenter.networks.source  # a wrong model ends the run; no image is at fault
    dataset.check(monitor, segmenter.check)
    with journal:
        done = _entries(journal, count)
        loaded = False
        for index, pair in enumerate(dataset.pairs):
            monitor.tell("Measuring the images", index, len(dataset.pairs))
            truth = dataset.truth(pair)
            digest = dataset.digest(pair, truth)
            found = done.get(pair.name)
            if found and found.digest == digest and (folder / found.labels_file).is_file():
                continue
            if not loaded:
                segmenter.load(report=monitor.report, should_stop=monitor.should_stop)
                journal.check_engine(segmenter.engine_record)
                loaded = True
            start = time.perf_counter()
            maps = segmenter.score(
                segmenter.embed(dataset.image(pair), should_stop=monitor.should_stop),
                dataset.classes,
                prototypes=prototypes,
                prototype_weight=prototype_weight,
                pixel_size=pixel_size_of(pair.image),
                should_stop=monitor.should_stop,
            )
            labels = maps.to_labels(thresholds, stage=stage)
            seconds = time.perf_counter() - start
            scores = image_scores(truth, labels, count)
            name = _write_labels(folder, pair, labels, [pair.image, pair.truth])
            done[pair.name] = Entry(pair.name, digest, scores, name, seconds, maps.notes)
            journal.append(done[pair.name].to_record())
        monitor.tell("Measuring the images", len(dataset.pairs), len(dataset.pairs))

    entries = tuple(done[pair.name] for pair in dataset.pairs)
    image_notes = (note for entry in entries for note in entry.notes)
    return Evaluation(
        dataset=dataset,
        entries=entries,
        scores=together((entry.scores for entry in entries), count),
        record={**settings, **journal.own.engine},
        folder=folder,
        notes=tuple(dict.fromkeys((*dataset.notes, *image_notes))),
    )


def _checked_journal(
    folder: Path, dataset: Dataset, settings: Mapping[str, Any], *, overwrite: bool
) -> Journal:
    """The journal in the folder of the results, none of which may replace other files."""
    inputs = [file for pair in dataset.pairs for file in (pair.image, pair.truth)]
    labels_files = [folder / _labels_file(pair) for pair in dataset.pairs]
    check_places([*labels_files, *(folder / name for name in REPORT)], inputs=inputs)
    path = folder / NAME
    if overwrite:
        journals.remove(path)
    journal = Journal(path, "evaluate", settings)
    journal.check(pair.name for pair in dataset.pairs)
    return journal


def _entries(journal: Journal, count: int) -> dict[str, Entry]:
    """The finished images by name; `count` is the number of labels."""
    entries = {}
    for name, record in journal.own.entries.items():
        try:
            entries[name] = Entry.from_record(record, count)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise journal.damaged(f"the line of {name}") from error
    return entries


def left_out(result: Evaluation) -> tuple[str, ...]:
    """Return notes that name the classes left out of the metrics, one per reason."""
    ignored = set(result.dataset.record.get("ignored", ()))
    pixels = result.scores.confusion.sum(axis=1)
    absent = [label for label, count in enumerate(pixels) if not count]
    reasons = {
        "are left out of the metrics because their labels are ignored": [
            result.names[label] for label in absent if label in ignored
        ],
        "are left out of the metrics because they do not occur in the ground truth": [
            result.names[label] for label in absent if label not in ignored
        ],
    }
    return tuple(
        f"{len(names)} of {len(result.names)} classes {reason}: {some(names)}."
        for reason, names in reasons.items()
        if names
    )


def _settings(
    segmenter: Segmenter, dataset: Dataset, stage: Stage | None, thresholds: Thresholds
) -> dict[str, Any]:
    """Everything that the metrics depend on, except the images."""
    if stage not in (None, "coarse", "refined"):
        raise InvalidInputError(f"Unknown stage {stage!r}. Known: coarse, refined.")
    if stage is None:
        stage = "refined" if segmenter.config.refines else "coarse"
    if stage == "refined" and not segmenter.config.refines:
        raise InvalidInputError(
            "The refiner is 'none', so there are no refined labels to evaluate. Choose the stage "
            "'coarse', or a refiner."
        )
    return {
        **segmenter.settings_record,
        "stage": stage,
        "thresholds": thresholds.as_dict,
        "names": list(dataset.names),
        "classes": [[*one.words, one.prompt] for one in dataset.classes],
        "ground truth": dict(dataset.record),
    }


def _labels_file(pair: Pair) -> str:
    """Path of an image's predicted labels, relative to the folder of results."""
    safe = re.sub(r"[^\w.-]+", "_", pair.name)[:80]
    if safe != pair.name:
        digest = hashlib.sha256(pair.name.encode(errors="backslashreplace"))
        safe += f"-{digest.hexdigest()[:8]}"
    return f"{LABELS_FOLDER}/{safe}.png"


def _write_labels(folder: Path, pair: Pair, labels: NDArray[Any], inputs: list[Path]) -> str:
    """Save an image's labels as a greyscale PNG; return its path relative to the folder."""
    name = _labels_file(pair)
    with whole_files(folder / LABELS_FOLDER, inputs=inputs) as staging:
        Image.fromarray(labels).save(staging / Path(name).name)
    return name
