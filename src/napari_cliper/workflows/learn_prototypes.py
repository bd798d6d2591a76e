"""Labelled images in, visual prototypes out: what `napari-cliper learn` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..evaluation.dataset import Dataset, some
from ..evaluation.metrics import IGNORED
from ..io.files import FileError, Replace, check_places, whole_files
from ..io.prototype_file import check_suffix
from ..segmentation import BACKGROUND, InvalidInputError, Monitor, Progress, Prototypes, Segmenter


@dataclass(frozen=True)
class LearnedClass:
    """How much was learned of a class.

    Parameters
    ----------
    name : str
    prototypes, images, patches : int
        Number of prototypes, of the images they are from, and of the patches in them.
    """

    name: str
    prototypes: int
    images: int
    patches: int


@dataclass(frozen=True, eq=False)
class LearnResult:
    """What a folder of labelled images taught.

    Parameters
    ----------
    prototypes : Prototypes
    classes : tuple of LearnedClass
        The background first, then the classes in their order, those that were not seen too.
    notes : tuple of str
        What a person should know.
    """

    prototypes: Prototypes
    classes: tuple[LearnedClass, ...]
    notes: tuple[str, ...]


def check_output(path: Path, *, replace: Replace, inputs: Iterable[Path]) -> None:
    """Refuse a file that cannot be written, before any long work starts.

    Parameters
    ----------
    path : Path
    replace, inputs
        As in `export.files.whole_files`.

    Raises
    ------
    InvalidInputError
        For another suffix, a folder, and a file that is there already.
    """
    try:
        check_suffix(path)
        if not path.is_dir():
            check_places([path], replace=replace, inputs=inputs)
    except FileError as error:
        raise InvalidInputError(str(error)) from error
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder. Name the file to write in it.")


def learn_files(
    segmenter: Segmenter,
    dataset: Dataset,
    output: Path,
    *,
    report: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> LearnResult:
    """Learn what the classes look like from images with labels.

    Parameters
    ----------
    segmenter : Segmenter
        Its words, thresholds and refiner do not matter.
    dataset : Dataset
        Pixels whose label is ignored teach nothing; label 0 teaches the background.
    output : Path
        Where the prototypes will be written: its folder is made now, where it is missing.
    report : callable, optional
        Called with a `Progress`.
    should_stop : callable, optional
        Asked often; once it returns True this ends with `Stopped`.

    Raises
    ------
    InvalidInputError
        For wrong input, before any network runs, and where no pixel is labelled.
    FileError
        For a file that cannot be read, and a folder that cannot be written.
    SegmentationError
    """
    monitor = Monitor(report or (lambda progress: None), should_stop or (lambda: False))
    dataset.check(monitor, segmenter.check)
    with whole_files(output.parent):
        """Nothing is written yet; a folder that cannot be used is an error now, not at the end."""
    segmenter.load(report=monitor.report, should_stop=monitor.should_stop)
    names = dict(enumerate(dataset.names, 1))
    prototypes: Prototypes | None = None
    blank = []
    for index, pair in enumerate(dataset.pairs):
        monitor.tell("Learning from the images", index, len(dataset.pairs))
        labels = dataset.truth(pair)
        confirmed = labels != IGNORED
        if not confirmed.any():
            blank.append(pair.name)
            continue
        prototypes = segmenter.learn(
            segmenter.embed(dataset.image(pair), should_stop=monitor.should_stop),
            labels,
            confirmed,
            names,
            pair.name,
            prototypes,
        )
    monitor.tell("Learning from the images", len(dataset.pairs), len(dataset.pairs))
    if not prototypes:
        raise InvalidInputError(
            f"There is nothing to learn: every pixel of the labels of {dataset.title} is ignored. "
            "Label some, or have fewer labels ignored."
        )
    return _learnt(dataset, prototypes, blank)


def _learnt(dataset: Dataset, prototypes: Prototypes, blank: list[str]) -> LearnResult:
    """Count what was learned, and say what was not."""
    classes = tuple(
        LearnedClass(
            name or "background",
            len(prototypes.of(name)),
            prototypes.images_of(name),
            sum(one.patches for one in prototypes.of(name)),
        )
        for name in (BACKGROUND, *dataset.names)
    )
    notes = list(dataset.notes)
    if blank:
        notes.append(f"No pixel is labelled in: {some(blank)}.")
    if not classes[0].prototypes:
        notes.append(
            "No pixel is labelled as background: its words alone will stand for it. Label some "
            "with 0, which teaches much."
        )
    unseen = [one.name for one in classes[1:] if not one.prototypes]
    if unseen:
        notes.append(f"Never seen, so that words alone will stand for them: {some(unseen)}.")
    return LearnResult(prototypes, classes, tuple(notes))
