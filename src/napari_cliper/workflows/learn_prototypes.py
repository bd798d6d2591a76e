"""Learn visual prototypes from labelled images, as `napari-cliper learn` does."""

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
    """The number of prototypes learned for a class.

    Parameters
    ----------
    name : str
    prototypes, images, patches : int
        Number of prototypes, of images they come from, and of patches averaged in them.
    """

    name: str
    prototypes: int
    images: int
    patches: int


@dataclass(frozen=True, eq=False)
class LearnResult:
    """Prototypes learned from a dataset.

    Parameters
    ----------
    prototypes : Prototypes
    classes : tuple of LearnedClass
        The background first, then all classes in order, including those that never occurred.
    notes : tuple of str
        Messages for the user.
    """

    prototypes: Prototypes
    classes: tuple[LearnedClass, ...]
    notes: tuple[str, ...]


def check_output(path: Path, *, replace: Replace, inputs: Iterable[Path]) -> None:
    """Check that a prototype file can be written, before any long work starts.

    Parameters
    ----------
    path : Path
    replace, inputs
        As in `io.files.whole_files`.

    Raises
    ------
    InvalidInputError
        For a wrong suffix, a folder, or an existing file that may not be replaced.
    """
    try:
        check_suffix(path)
        if not path.is_dir():
            check_places([path], replace=replace, inputs=inputs)
    except FileError as error:
        raise InvalidInputError(str(error)) from error
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder. Give the name of a file.")


def learn_files(
    segmenter: Segmenter,
    dataset: Dataset,
    output: Path,
    *,
    report: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> LearnResult:
    """Learn visual prototypes of the classes from labelled images.

    Parameters
    ----------
    segmenter : Segmenter
        Its background words, templates and refiner have no effect.
    dataset : Dataset
        Ignored pixels are not used; label 0 is learned as background.
    output : Path
        File that the caller will write; its folder is created now if it is missing.
    report : callable, optional
        Called with a `Progress`.
    should_stop : callable, optional
        Called often; if it returns True, `Stopped` is raised.

    Raises
    ------
    InvalidInputError
        For invalid input, before any model runs, and if all pixels are ignored.
    FileError
        For a file that cannot be read, or a folder that cannot be written to.
    SegmentationError
        As raised by the engine, such as missing weights or too little memory.
    """
    monitor = Monitor.of(report, should_stop)
    dataset.check(monitor, segmenter.check)
    with whole_files(output.parent):
        """Create the folder now, so that an unusable one is an error before the long work."""
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
            "Label some pixels, or ignore fewer labels."
        )
    return _with_counts(dataset, prototypes, blank)


def _with_counts(dataset: Dataset, prototypes: Prototypes, blank: list[str]) -> LearnResult:
    """Add counts per class, and notes on classes and images without labels."""
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
        notes.append(f"Images without a labelled pixel: {some(blank)}.")
    if not classes[0].prototypes:
        notes.append(
            "No pixel is labelled as background, so it will be found by words only. Label some "
            "background pixels with 0; this improves results a lot."
        )
    unseen = [one.name for one in classes[1:] if not one.prototypes]
    if unseen:
        notes.append(f"Classes without labelled pixels, found by words only: {some(unseen)}.")
    return LearnResult(prototypes, classes, tuple(notes))
