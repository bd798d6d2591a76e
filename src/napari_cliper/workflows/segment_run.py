"""A run over many images: checks before it, its journal, and its outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io import journal as journals
from ..io.filenames import folded
from ..io.files import (
    DiskError,
    FileAccessError,
    FileError,
    Replace,
    check_places,
    listed,
    remove_abandoned,
)
from ..io.journal import Journal
from ..segmentation import InvalidInputError, Monitor, OutOfMemoryError, Segmenter
from .image_sources import Shard, Source, in_natural_order
from .result_files import UNCERTAINTY
from .segment_files import ReadImage, Segmented, SegmentJob, image_digest, read_checked

COMMAND = "segment"
JOURNAL = "segmentation.jsonl"
"""File name of the journal of a folder of results."""


_SHARD = re.compile(r"segmentation-(\d+)-of-(\d+)\.jsonl")


def journal_name(shard: Shard | None) -> str:
    """Return the file name of the journal of a run, or of one of its shards."""
    return JOURNAL if shard is None else f"segmentation-{shard.index}-of-{shard.count}.jsonl"


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of one image.

    Parameters
    ----------
    source : Source
    segmented : Segmented, optional
        Its result, if it was segmented in this run.
    error : str
        Why it could not be segmented; empty if it could.
    earlier : bool
        Whether an earlier run has done it, or failed to.
    unfit : bool
        Whether it failed before the networks: it cannot be read or segmented.
    record : dict, optional
        The line of the journal that is new.
    """

    source: Source
    segmented: Segmented | None = None
    error: str = ""
    earlier: bool = False
    unfit: bool = False
    record: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Ready:
    """An image that has been read and waits for the networks."""

    source: Source
    digest: str
    image: ReadImage

    def done(self, segmented: Segmented) -> Outcome:
        """Return the outcome of an image whose files are written."""
        record = {
            "name": self.source.name,
            "digest": self.digest,
            "uncertainty": segmented.uncertainty,
            "pixels": list(segmented.counts),
        }
        return Outcome(self.source, segmented, record=record)

    def failed(self, error: Exception) -> Outcome:
        """Return the outcome of an image that failed.

        The journal keeps the reason, except that a file could not be written: this is not the
        image's fault, so the next run takes it again.

        Raises
        ------
        DiskError
            If no other image can be written either.
        """
        if isinstance(error, DiskError):
            raise DiskError(
                f"{error} Finished images are kept, and the same command goes on after them."
            )
        if isinstance(error, FileError):
            return Outcome(self.source, error=str(error))
        return failed(self.source, self.digest, error, unfit=False)


def failed(source: Source, digest: str, error: Exception, *, unfit: bool = True) -> Outcome:
    """Return the outcome of an image that failed, with the reason for the journal."""
    record = {"name": source.name, "digest": digest, "error": str(error)}
    return Outcome(source, error=str(error), unfit=unfit, record=record)


OF_ONE_IMAGE = (FileError, InvalidInputError, OutOfMemoryError)
"""Errors that concern a single image; the run continues with the others."""


def look(
    segmenter: Segmenter,
    job: SegmentJob,
    source: Source,
    known: Mapping[str, Any] | None,
    *,
    retry: bool,
) -> Outcome | Ready:
    """Read an image, unless an earlier run has done it or failed to.

    Parameters
    ----------
    segmenter, job, source
    known : mapping or None
        Its line in the journal.
    retry : bool
        Whether an image that failed is tried again.
    """
    if source.error:  # another run may be allowed to read it, so the journal does not keep it
        return Outcome(source, error=source.error, unfit=True)
    try:
        digest = image_digest(job, source)
    except FileError as error:
        return failed(source, "", error)
    if known is not None and known["digest"] == digest:
        if "error" in known:
            if not retry:
                return Outcome(source, error=known["error"], earlier=True)
        elif job.has_results(source):
            return Outcome(source, earlier=True)
    try:
        return Ready(source, digest, read_checked(segmenter, job, source))
    except OF_ONE_IMAGE as error:
        return failed(source, digest, error)


def merge_shards(output: Path) -> Journal:
    """Merge the journals of all shards of a folder of results into one, and delete them.

    Images that were merged before and done again since are those of the shards.

    Returns
    -------
    Journal
        As if there had been no shards.

    Raises
    ------
    InvalidInputError
        If there is no shard, one is missing, or they have other settings or weights.
    FileError
        For a journal that cannot be read or written, or that a program is writing.
    """
    shards: dict[int, set[int]] = {}
    for path in output.glob("segmentation-*-of-*.jsonl"):
        if found := _SHARD.fullmatch(path.name):
            shards.setdefault(int(found[2]), set()).add(int(found[1]))
    if not shards:
        raise InvalidInputError(
            f"There is no journal of a shard in {output}. Give the folder of results of runs with "
            "--shard."
        )
    paths = []
    for count, there in sorted(shards.items()):
        missing = sorted(set(range(1, count + 1)) - there)
        if missing:
            numbers = ", ".join(f"{index}/{count}" for index in missing)
            raise InvalidInputError(f"These shards have not been run: {numbers}. Run them first.")
        paths += [output / journal_name(Shard(index, count)) for index in sorted(there)]
    with ExitStack() as stack:
        merged = stack.enter_context(Journal(output / JOURNAL, COMMAND, {}))
        merged.absorb([stack.enter_context(Journal(path, COMMAND, {})) for path in paths])
        merged.rewrite(in_natural_order)
        for path in paths:
            journals.remove(path)
    return merged


class SegmentRun:
    """A run over images, with its journal.

    Parameters
    ----------
    segmenter : Segmenter
    job : SegmentJob
    sources : sequence of Source
    shard : Shard, optional
        The share of the images that this run segments.
    overwrite : bool
        Whether images that are done are done again, and their results replaced.
    retry : bool
        Whether images that failed are tried again.

    Raises
    ------
    InvalidInputError
        For invalid classes, for two images with the same result files, for existing files that
        may not be replaced, and for images that were segmented with other settings.
    FileError
        For a journal that cannot be read, and, with a shard, for a folder that cannot be read.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        job: SegmentJob,
        sources: Sequence[Source],
        *,
        shard: Shard | None = None,
        overwrite: bool = False,
        retry: bool = False,
    ) -> None:
        segmenter.check_words(job.classes)
        _ = segmenter.networks.source  # a wrong model ends the run; no image is at fault
        _check_names(job, sources)
        if shard is not None and (unread := [one.error for one in sources if one.error]):
            raise FileAccessError(
                f"{listed(unread, 'folders')} Each share of the images must find the same ones, so "
                "give a pattern or a list of images to leave folders out."
            )
        self.segmenter = segmenter
        self.job = job
        self.shard = shard
        self.sources = list(sources) if shard is None else shard.of(sources)
        self.retry = retry
        self._overwrite = overwrite
        settings = job.settings(segmenter)
        self.journal = _opened(job.output / journal_name(shard), settings, overwrite=overwrite)
        self._merged = None if shard is None else Journal(job.output / JOURNAL, COMMAND, settings)
        journals = [one for one in (self._merged, self.journal) if one is not None]
        if not overwrite:
            for one in journals:
                one.check(source.name for source in self.sources)
        goes_on = any(one.goes_on for one in journals)
        self.replace: Replace = "own" if overwrite or goes_on else "nothing"
        self._check_places()
        self._started = goes_on
        self._pending: list[dict[str, Any]] = []

    def known(self, source: Source) -> Mapping[str, Any] | None:
        """Return the line of an image in the journal; None if it is new."""
        if self._overwrite:
            return None
        found = self.journal.own.entries.get(source.name)
        if found is None and self._merged is not None:
            found = self._merged.own.entries.get(source.name)
        return found

    def _check_places(self) -> None:
        """Refuse existing files that may not be replaced; images that are done keep theirs."""
        there = _existing(self.job.output, {source.folder for source in self.sources})
        results = [
            path
            for source in self.sources
            if there and not source.error and (self._overwrite or self.known(source) is None)
            for paths in self.job.results(source)
            for path in paths
            if folded(str(path)) in there
        ]
        given = self.job.files_of_image.values()
        inputs = [*(source.path for source in self.sources), *given] if there else []
        try:
            check_places(results, replace=self.replace, inputs=inputs)
            if self.has_table:
                check_places([self.job.output / UNCERTAINTY], inputs=inputs)
        except FileError as error:
            raise InvalidInputError(str(error)) from error

    @property
    def has_table(self) -> bool:
        """Whether the run writes the table of uncertainties."""
        return self.shard is None and len(self.sources) > 1

    # ------------------------------------------------------------------ while it runs

    def start(self, engine: Mapping[str, Any]) -> None:
        """Begin the journal; the networks are loaded.

        Parameters
        ----------
        engine : mapping
            See `Segmenter.engine_record`.

        Raises
        ------
        InvalidInputError
            If the weights are not those of the images that are done.
        """
        self.journal.check_engine(engine)
        self._begin()

    def _begin(self) -> None:
        self.journal.start()
        self._started = True
        for record in self._pending:
            self.journal.append(record)
        self._pending.clear()

    def commit(self, outcome: Outcome) -> None:
        """Keep an outcome in the journal; called in any thread, when its files are written.

        Images that fail before any was segmented are kept once one is: if all fail, nothing is
        written.
        """
        if outcome.record is None:
            return
        if self._started:
            self.journal.append(outcome.record)
        else:
            self._pending.append(outcome.record)

    def _remove_abandoned(self) -> None:
        """Delete the temporary folders of processes that were killed."""
        for folder in {source.folder for source in self.sources}:
            remove_abandoned(self.job.output / folder)

    def outcomes(self, way: Way, monitor: Monitor, notify: Notify) -> Iterator[Outcome]:
        """Segment the images.

        Parameters
        ----------
        way : callable
            Does the work: `segment_pipeline.on_this_machine`, or one for a cluster.
        monitor : Monitor
        notify : callable
            Called with a sentence on what can be found in an image of a size, and on its cost.

        Yields
        ------
        Outcome
            One per image.
        """
        with self.journal:
            if self._overwrite:
                names = [source.name for source in self.sources]
                if any(name in run.entries for run in self.journal.runs for name in names):
                    self.journal.forget(names)
            self._remove_abandoned()
            new = False
            for number, outcome in enumerate(way(self, monitor, notify), 1):
                if len(self.sources) > 1:
                    monitor.tell("Segmenting the images", number, len(self.sources))
                new |= outcome.record is not None
                yield outcome
            self._remove_abandoned()  # of workers that were killed
            if self.shard is not None and not self._started:  # `merge` asks for every shard
                self._begin()
            if new and self._started:
                self.journal.rewrite(in_natural_order)


def _opened(path: Path, settings: Mapping[str, Any], *, overwrite: bool) -> Journal:
    """Open a journal; with `overwrite`, a damaged one is deleted."""
    try:
        return Journal(path, COMMAND, settings)
    except FileError:
        if not overwrite:
            raise
    journals.remove(path)
    return Journal(path, COMMAND, settings)


Notify = Callable[[str], None]
Way = Callable[[SegmentRun, Monitor, Notify], Iterator[Outcome]]
"""Segments the images of a run, commits each outcome, and yields it."""


def _check_names(job: SegmentJob, sources: Sequence[Source]) -> None:
    """Refuse images whose results would have the same names, and files of one image for several."""
    stems: dict[str, Source] = {}
    problems = []
    for source in sources:
        if source.error:
            continue
        other = stems.setdefault(folded(source.stem), source)
        if other is not source:
            problems.append(
                f"{other.path} and {source.path} would have the same result files, because their "
                "names are the same apart from ending and letter case. Rename one of them, or "
                "segment them into two output folders."
            )
    for what, path in job.files_of_image.items():
        if len(sources) > 1:
            problems.append(f"{path} has the {what} of one image. Give one image, not a folder.")
        if job.reading.axes:
            problems.append(f"{path} has the {what} of one plane. Leave out --axis or --{what}.")
    if problems:
        raise InvalidInputError(listed(problems, "images"))


def _existing(output: Path, folders: set[str]) -> set[str]:
    """The files that are in folders of results, without asking the disk for each result."""
    found = set()
    for folder in folders:
        place = output / folder
        if place.is_dir():
            found |= {folded(str(path)) for path in place.iterdir()}
    return found
