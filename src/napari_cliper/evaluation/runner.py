"""Measure the engine on a dataset, image by image, so that it can be stopped and go on."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import __version__
from ..io.files import cannot, check_places, whole_files
from ..io.prototype_file import prototypes_record
from ..segmentation import InvalidInputError, Monitor, Progress, Thresholds
from . import checkpoint as checkpoints
from .checkpoint import Checkpoint, Entry
from .dataset import Dataset, Pair, some
from .ground_truth import read_numbers
from .metrics import Scores, image_scores, together

if TYPE_CHECKING:
    from ..segmentation import Prototypes, ScoreMaps, Segmenter, Stage

LABELS_FOLDER = "labels"

REPORT = (
    "summary.json", "classes.csv", "images.csv", "confusion.csv", "confusion.png", "worst.png",
)  # fmt: skip
"""The files that `report.write_report` writes."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out.

    Parameters
    ----------
    dataset : Dataset
    entries : tuple of Entry
        One for each pair, in their order.
    scores : Scores
        Of all images together.
    record : mapping
        What it was measured with; JSON-safe, the same from run to run.
    folder : Path
        Where the labels of each image are kept.
    notes : tuple of str
        What a person should know.
    """

    dataset: Dataset
    entries: tuple[Entry, ...]
    scores: Scores
    record: Mapping[str, Any]
    folder: Path
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Say which classes have no part in the figures."""
        object.__setattr__(self, "notes", (*left_out(self), *self.notes))

    @property
    def names(self) -> tuple[str, ...]:
        """What each label is called, the background first."""
        return ("background", *self.dataset.names)

    @property
    def figures(self) -> dict[str, float]:
        """The figures in one number each; NaN where there is nothing to measure."""
        scores = self.scores
        return {
            "mIoU": scores.mean_iou,
            "mIoU, labels found by mistake too": scores.mean_iou_found,
            "pixel accuracy": scores.pixel_accuracy,
            "mean accuracy": scores.mean_accuracy,
            "boundary F1": scores.mean_boundary_f1,
        }

    def labels(self, entry: Entry) -> NDArray[Any]:
        """The labels (Y, X) that an image was given.

        Raises
        ------
        FileError
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
    report: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """Segment every image of a dataset and compare with its ground truth.

    Each image that is done is kept in the folder. Run again with the same settings, only the
    others are measured; the figures are those of a run in one go.

    Parameters
    ----------
    segmenter : Segmenter
        Its configuration should be `Dataset.configured`.
    dataset : Dataset
    folder : Path
        Made where it is missing.
    stage : {'coarse', 'refined'}, optional
        Default: refined where there is a refiner.
    thresholds : Thresholds, optional
        Default: those of the segmenter's settings.
    prototypes : Prototypes, optional
        What classes look like.
    prototype_weight : float, optional
        How much that counts against the words; see `Segmenter.score`.
    overwrite : bool
        Forget the images that are done.
    report : callable, optional
        Called with a `Progress`.
    should_stop : callable, optional
        Asked often; once it returns True this ends with `Stopped`.

    Raises
    ------
    InvalidInputError
        For wrong input, before any network runs, and for a folder of a run with other settings.
    FileError
        For a file that cannot be read or written.
    SegmentationError
    """
    monitor = Monitor(report or (lambda progress: None), should_stop or (lambda: False))
    thresholds = thresholds or segmenter.settings.thresholds
    segmenter.check_words(dataset.classes)
    settings = _settings(segmenter, dataset, stage, thresholds)
    if prototypes is not None:
        settings["prototypes"] = {
            **prototypes_record(prototypes),
            "prototype_weight": prototype_weight,
        }
    path = folder / checkpoints.NAME
    inputs = [file for pair in dataset.pairs for file in (pair.image, pair.truth)]
    labels_files = [folder / _labels_file(pair) for pair in dataset.pairs]
    check_places([*labels_files, *(folder / name for name in REPORT)], inputs=inputs)
    if overwrite:
        checkpoints.remove(path)
    count = len(dataset.names) + 1
    checkpoint = Checkpoint(path, settings, count)
    dataset.check(monitor, segmenter.check)
    _make(folder)

    loaded = False
    for index, pair in enumerate(dataset.pairs):
        monitor.tell("Measuring the images", index, len(dataset.pairs))
        truth = dataset.truth(pair)
        digest = _digest(pair, truth)
        done = checkpoint.entries.get(pair.name)
        if done and done.digest == digest and (folder / done.labels_file).is_file():
            continue
        if not loaded:
            segmenter.load(report=monitor.report, should_stop=monitor.should_stop)
            loaded = True
        start = time.perf_counter()
        embedding = segmenter.embed(dataset.image(pair), should_stop=monitor.should_stop)
        maps = segmenter.score(
            embedding,
            dataset.classes,
            prototypes=prototypes,
            prototype_weight=prototype_weight,
            should_stop=monitor.should_stop,
        )
        labels = maps.to_labels(thresholds, stage=stage)
        seconds = time.perf_counter() - start
        checkpoint.check_engine(_engine(maps))
        scores = image_scores(truth, labels, count)
        name = _write_labels(folder, pair, labels, [pair.image, pair.truth])
        checkpoint.append(Entry(pair.name, digest, scores, name, seconds, maps.notes))
    monitor.tell("Measuring the images", len(dataset.pairs), len(dataset.pairs))

    entries = tuple(checkpoint.entries[pair.name] for pair in dataset.pairs)
    hint_labels = (note for entry in entries for note in entry.notes)
    return Evaluation(
        dataset=dataset,
        entries=entries,
        scores=together((entry.scores for entry in entries), count),
        record={**checkpoint.settings, **checkpoint.engine},
        folder=folder,
        notes=tuple(dict.fromkeys((*dataset.notes, *hint_labels))),
    )


def left_out(result: Evaluation) -> tuple[str, ...]:
    """Which labels have no part in the figures, and why: a sentence for each reason."""
    ignored = set(result.dataset.record.get("ignored", ()))
    pixels = result.scores.confusion.sum(axis=1)
    absent = [label for label, count in enumerate(pixels) if not count]
    reasons = {
        "are left out of the figures, because their labels are ignored": [
            result.names[label] for label in absent if label in ignored
        ],
        "are left out of the figures, because no pixel of the ground truth has their labels": [
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
    """Everything that the figures depend on, but for the images."""
    config = segmenter.config
    wishes = {
        **asdict(config),
        "refiner": config.chosen_refiner,
        "background": list(config.chosen_background),
        "device": str(segmenter.device),
        "precision": str(segmenter.dtype).removeprefix("torch."),
    }
    del wishes["offline"]
    defaults = segmenter.settings.as_dict
    if stage not in (None, "coarse", "refined"):
        raise InvalidInputError(f"Unknown stage {stage!r}. Known: coarse, refined.")
    if stage is None:
        stage = "refined" if config.refines else "coarse"
    if stage == "refined" and not config.refines:
        raise InvalidInputError(
            "There are no refined labels to measure: the refiner is 'none'. Choose the stage "
            "'coarse', or a refiner."
        )
    return {
        "napari-cliper": __version__,
        **{f"config.{name}": value for name, value in wishes.items()},
        **{f"settings.{name}": value for name, value in defaults.items()},
        "stage": stage,
        "thresholds": thresholds.as_dict,
        "names": list(dataset.names),
        "classes": [[*one.words, one.prompt] for one in dataset.classes],
        "ground truth": dict(dataset.record),
    }


def _engine(maps: ScoreMaps) -> dict[str, Any]:
    """What the engine alone knows: its weights and the versions of the libraries."""
    return {name: maps.record[name] for name in ("weights", "versions")}


def _digest(pair: Pair, truth: NDArray[np.uint16]) -> str:
    """Of the image's file, the strip and the labels."""
    found = hashlib.sha256(f"{pair.strip} {truth.shape}".encode())
    try:
        found.update(pair.image.read_bytes())
    except OSError as error:
        raise cannot("read", pair.image, error) from error
    found.update(np.ascontiguousarray(truth).tobytes())
    return found.hexdigest()


def _labels_file(pair: Pair) -> str:
    """Where an image's labels are kept, from the folder of results."""
    safe = re.sub(r"[^\w.-]+", "_", pair.name)[:80]
    if safe != pair.name:
        digest = hashlib.sha256(pair.name.encode(errors="backslashreplace"))
        safe += f"-{digest.hexdigest()[:8]}"
    return f"{LABELS_FOLDER}/{safe}.png"


def _write_labels(folder: Path, pair: Pair, labels: NDArray[Any], inputs: list[Path]) -> str:
    """Keep an image's labels as a grey PNG; return where, from the folder."""
    name = _labels_file(pair)
    with whole_files(folder / LABELS_FOLDER, inputs=inputs) as staging:
        Image.fromarray(labels).save(staging / Path(name).name)
    return name


def _make(folder: Path) -> None:
    with whole_files(folder):
        """Nothing is written; the folder is there afterwards, or the error says why not."""
