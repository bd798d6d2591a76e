"""Segment the images of a run on the workers of a cluster: a task is an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ..segmentation import Monitor, Segmenter
from .cluster import Cluster
from .image_sources import Source
from .segment_files import SegmentJob, encode, finish
from .segment_run import OF_ONE_IMAGE, Notify, Outcome, SegmentRun, Way, failed, look

Task = tuple[Source, Mapping[str, Any] | None]
"""An image, and its line in the journal."""


def on_cluster(cluster: Cluster) -> Way:
    """Return a way to segment the images of a run; see `segment_run.Way`.

    Every worker holds one segmenter. Results and journal are those of a run on this machine, byte
    for byte. If a worker dies, the image that it was working on is segmented by another one.
    """

    def way(run: SegmentRun, monitor: Monitor, _notify: Notify) -> Iterator[Outcome]:
        monitor.tell("Starting the workers", 0, 0)
        with cluster.workplace(partial(Segmenting, run.job)) as place:
            run.start(place.call(Segmenting.engine_record, monitor))
            tasks = ((source, run.known(source)) for source in run.sources)
            work = partial(_segment, retry=run.retry)
            for (source, _), found in place.each(work, tasks, monitor):
                outcome = found if isinstance(found, Outcome) else failed(source, "", found)
                run.commit(outcome)
                yield outcome

    return way


class Segmenting:
    """What a worker keeps between images.

    Parameters
    ----------
    job : SegmentJob
    """

    def __init__(self, job: SegmentJob) -> None:
        self.job = job
        self.segmenter = Segmenter(job.config, tile_store=job.tile_store)

    def engine_record(self) -> dict[str, Any]:
        """The weights and library versions of the worker."""
        self.segmenter.load()
        return self.segmenter.engine_record


def _segment(own: Segmenting, task: Task, *, retry: bool) -> Outcome:
    """Segment an image in a worker."""
    source, known = task
    segmenter, job, monitor = own.segmenter, own.job, Monitor()
    found = look(segmenter, job, source, known, retry=retry)
    if isinstance(found, Outcome):
        return found
    try:
        (encoded,) = encode(segmenter, job, [(source, found.image)], monitor)
        # Another worker may have written the files and died before it said so.
        done = finish(segmenter, job, source, found.image, encoded, monitor, replace="own")
    except OF_ONE_IMAGE as error:
        return found.failed(error)
    return found.done(done)
