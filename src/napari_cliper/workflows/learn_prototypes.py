"""Learn visual prototypes from labelled images, as `napari-cliper learn` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.dataset import Dataset, some
from ..evaluation.metrics import IGNORED
from ..io import journal as journals
from ..io.files import FileError, check_places
from ..io.images import pixel_size_of
from ..io.journal import Journal
from ..io.prototype_file import FORMAT, check_suffix, from_record, to_record, write_prototypes
from ..segmentation import (
    BACKGROUND,
    InvalidInputError,
    Monitor,
    Prototypes,
    Report,
    Segmenter,
    ShouldStop,
)

if TYPE_CHECKING:
    from ..segmentation import Prototype


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


def journal_of(output: Path) -> Path:
    """Return the path of the journal of a prototype file; it is hidden and lies beside the file."""
    return output.with_name(f".{output.name}.jsonl")


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path]) -> None:
    """Check that a prototype file can be written, before any long work starts.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Whether an earlier result may be replaced. Without it, that of a run that was stopped may.
    inputs
        As in `io.files.whole_files`.

    Raises
    ------
    InvalidInputError
        For a wrong suffix, a folder, or an existing file that may not be replaced.
    """
    try:
        check_suffix(path)
        if not path.is_dir():
            goes_on = overwrite or journal_of(path).exists()
            check_places([path], replace="own" if goes_on else "nothing", inputs=inputs)
    except FileError as error:
        raise InvalidInputError(str(error)) from error
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder. Give the name of a file.")


def learn_files(
    segmenter: Segmenter,
    dataset: Dataset,
    output: Path,
    *,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    report: Report | None = None,
    should_stop: ShouldStop | None = None,
) -> LearnResult:
    """Learn visual prototypes of the classes from labelled images, and write them to a file.

    What was learned from each image is saved as soon as it is finished. Running again with the
    same settings after a stop processes only the remaining images; the result is the same.

    Parameters
    ----------
    segmenter : Segmenter
        Its background words, templates and refiner have no effect.
    dataset : Dataset
        Ignored pixels are not used; label 0 is learned as background.
    output : Path
        The file to write.
    overwrite : bool
        Whether an earlier result may be replaced, and images that an earlier run finished are
        discarded.
    inputs
        As in `io.files.whole_files`.
    report : callable, optional
        Called with a `Progress`.
    should_stop : callable, optional
        Called often; if it returns True, `Stopped` is raised.

    Raises
    ------
    InvalidInputError
        For invalid input, before any model runs, if all pixels are ignored, and if a run with
        other settings was stopped.
    FileError
        For a file that cannot be read, or a folder that cannot be written to.
    SegmentationError
        As raised by the engine, such as missing weights or too little memory.
    """
    monitor = Monitor.of(report, should_stop)
    inputs = list(inputs)
    check_output(output, overwrite=overwrite, inputs=inputs)
    place = journal_of(output)
    if overwrite:
        journals.remove(place)
    settings = {
        **segmenter.settings_record,
        "names": list(dataset.names),
        "ground truth": dict(dataset.record),
        "prototype format": FORMAT,
    }
    journal = Journal(place, "learn", settings)
    journal.check(pair.name for pair in dataset.pairs)
    _ = segmenter.networks.source  # a wrong model ends the run; no image is at fault
    dataset.check(monitor, segmenter.check)
    names = dict(enumerate(dataset.names, 1))
    with journal:
        goes_on = overwrite or journal.goes_on
        segmenter.load(report=monitor.report, should_stop=monitor.should_stop)
        journal.check_engine(segmenter.engine_record)
        prototypes = Prototypes(segmenter.config.model, segmenter.identity)
        blank = []
        for index, pair in enumerate(dataset.pairs):
            monitor.tell("Learning from the images", index, len(dataset.pairs))
            labels = dataset.truth(pair)
            confirmed = labels != IGNORED
            if not confirmed.any():
                blank.append(pair.name)
                continue
            digest = dataset.digest(pair, labels)
            done = journal.own.entries.get(pair.name)
            if done is None or done["digest"] != digest:
                embedding = segmenter.embed(dataset.image(pair), should_stop=monitor.should_stop)
                found = segmenter.learn(embedding, labels, confirmed, names, pair.name)
                items = [to_record(one) for one in found.items]
                done = {"name": pair.name, "digest": digest, "prototypes": items}
                journal.append(done)
            own = _from_journal(journal, done)
            size = pixel_size_of(pair.image)
            sizes = {} if size is None else {pair.name: size}
            prototypes = prototypes.union(replace(prototypes, items=own, pixel_sizes=sizes))
        monitor.tell("Learning from the images", len(dataset.pairs), len(dataset.pairs))
        if not prototypes:
            raise InvalidInputError(
                f"There is nothing to learn: every pixel of the labels of {dataset.title} is "
                "ignored. Label some pixels, or ignore fewer labels."
            )
        write_prototypes(output, prototypes, replace="own" if goes_on else "nothing", inputs=inputs)
        journals.remove(place)
    return _with_counts(dataset, prototypes, blank)


def _from_journal(journal: Journal, record: Mapping[str, Any]) -> tuple[Prototype, ...]:
    """The prototypes of an image."""
    try:
        return tuple(map(from_record, record["prototypes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise journal.damaged(f"the line of {record['name']}") from error


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
    notes = [*dataset.notes, *filter(None, [prototypes.mixed_sizes_note()])]
    if blank:
        notes.append(f"Images without a labelled pixel: {some(blank)}.")
    if not classes[0].prototypes:
        advice = (
            "Label 0 is ignored: give pixels that are not drawn another label, such as 255, and "
            "label some background pixels with 0"
            if 0 in dataset.record.get("ignored", ())
            else "Label some background pixels with 0"
        )
        notes.append(
            "No pixel is labelled as background, so it will be found by words only. "
            f"{advice}; this improves results a lot."
        )
    unseen = [one.name for one in classes[1:] if not one.prototypes]
    if unseen:
        notes.append(f"Classes without labelled pixels, found by words only: {some(unseen)}.")
    return LearnResult(prototypes, classes, tuple(notes))
