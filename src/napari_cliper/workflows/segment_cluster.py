"""Segment the images of a run on the workers of a cluster.

A task is an image, or some tiles or chunks of a large image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..io.files import FileError
from ..segmentation import Monitor, Segmenter, WorkerLostError
from .cluster import Cluster, Workplace
from .image_sources import Source
from .segment_files import SegmentJob, encode, finish, image_digest, read_checked, segment_stack
from .segment_large import Each, LargeImage, Place, Work, is_large, segment_large, tiles_apart
from .segment_run import OF_ONE_IMAGE, Notify, Outcome, Ready, SegmentRun, Way, failed, look

Task = tuple[Source, Mapping[str, Any] | None]
"""An image, and its line in the journal."""


def on_cluster(cluster: Cluster) -> Way:
    """Return a way to segment the images of a run; see `segment_run.Way`.

    Every worker holds one segmenter. Results and journal are those of a run on this machine, byte
    for byte. If a worker dies, the image that it was working on is segmented by another one.
    """

    def way(run: SegmentRun, monitor: Monitor, _notify: Notify) -> Iterator[Outcome]:
        monitor.tell("Starting the workers", 0, 0)
        with cluster.workplace(partial(Segmenting, run.job), monitor) as place:
            run.start(place.call(Segmenting.engine_record, monitor))
            large: list[_Large] = []
            yield from _images(run, place, large, monitor)
            for one in large:
                yield _large(run, place, one, monitor)

    return way


@dataclass(frozen=True)
class _Large:
    """An image that all workers share, with its hash."""

    source: Source
    digest: str


def _large(run: SegmentRun, place: Workplace, large: _Large, monitor: Monitor) -> Outcome:
    """Segment a large image; a task is some tiles or a chunk of it."""

    def start(here: Place) -> Each:
        def each(work: Work, items: Iterable[Any]) -> Iterator[Any]:
            for _, found in place.each(partial(_part, here=here, work=work), items, monitor):
                if isinstance(found, Exception):
                    raise found
                yield found

        return each

    source, digest = large.source, large.digest
    try:
        ready = Ready(source, digest, read_checked(run.segmenter, run.job, source))
    except OF_ONE_IMAGE as error:
        outcome = failed(source, digest, error)
    else:
        outcome = segment_large(run, ready, start, monitor)
    run.commit(outcome)
    return outcome


def _images(
    run: SegmentRun, place: Workplace, large: list[_Large], monitor: Monitor
) -> Iterator[Outcome]:
    """Segment the images that are one task each; the others are added to `large`."""
    work = partial(_segment, retry=run.retry, least=tiles_apart())
    tasks: Iterator[Task] = ((source, run.known(source)) for source in run.sources)
    for (source, _), found in place.each(work, tasks, monitor):
        if isinstance(found, _Large):
            large.append(found)
            continue
        outcome = found if isinstance(found, Outcome) else _lost(run, source, found)
        run.commit(outcome)
        yield outcome


def _lost(run: SegmentRun, source: Source, error: WorkerLostError) -> Outcome:
    """Return the outcome of an image whose workers died."""
    try:
        digest = image_digest(run.job, source)
    except FileError as problem:
        return failed(source, "", problem)
    named = WorkerLostError(f"{source.path}: {error}")
    return failed(source, digest, named, unfit=False)


class Segmenting:
    """What a worker keeps between images.

    Parameters
    ----------
    job : SegmentJob
    """

    def __init__(self, job: SegmentJob) -> None:
        self.job = job
        self.segmenter = Segmenter(job.config, tile_store=job.tile_store)
        self.large: LargeImage | None = None

    def engine_record(self) -> dict[str, Any]:
        """The weights and library versions of the worker."""
        self.segmenter.load()
        return self.segmenter.engine_record


def _part(own: Segmenting, item: Any, *, here: Place, work: Work) -> Any:
    """Do a part of a large image in a worker; the result may be an error that concerns it."""
    try:
        if own.large is None or own.large.place != here:
            image = read_checked(own.segmenter, own.job, here.source)
            own.large = LargeImage(own.segmenter, own.job, image, here)
        return work(own.large, item, Monitor())
    except OF_ONE_IMAGE as error:
        return error


def _segment(own: Segmenting, task: Task, *, retry: bool, least: int) -> Outcome | _Large:
    """Segment an image in a worker, unless it is for all workers."""
    source, known = task
    segmenter, job, monitor = own.segmenter, own.job, Monitor()
    found = look(segmenter, job, source, known, retry=retry)
    if isinstance(found, Outcome):
        return found
    if is_large(segmenter, job, found.image, least):
        return _Large(source, found.digest)
    try:
        # Another worker may have written the files and died before it said so: replace="own".
        if found.image.single:
            (embedding,) = encode(segmenter, [(source, found.image)], monitor)
            done = finish(segmenter, job, source, found.image, embedding, monitor, replace="own")
        else:
            done = segment_stack(segmenter, job, source, found.image, monitor, replace="own")
    except OF_ONE_IMAGE as error:
        return found.failed(error)
    return found.done(done)
