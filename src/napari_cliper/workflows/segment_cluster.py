"""Segment the images of a run on the workers of a cluster.

A task is an image, or some tiles of a large image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ..segmentation import Monitor, Segmenter, TileCache, TiledImage
from .cluster import Cluster, Workplace
from .image_sources import Source
from .segment_files import ReadImage, SegmentJob, encode, finish, read_checked
from .segment_run import OF_ONE_IMAGE, Notify, Outcome, Ready, SegmentRun, Way, failed, look

TILES_APART = 64
"""An image with as many tiles or more is encoded by all workers together."""

TILES_A_TASK = 16

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
            large: list[tuple[Task, int]] = []
            yield from _images(run, place, _small(run, large), monitor)
            for task, tiles in large:
                _encode_tiles(place, task, tiles, monitor)
                yield from _images(run, place, [task], monitor)

    return way


def _small(run: SegmentRun, large: list[tuple[Task, int]]) -> Iterator[Task]:
    """Yield the images that are one task each; the others are added to `large`, with their tiles.

    Only a cache on disk is shared by the workers, so without it every image is one task.
    """
    shares = run.job.config.tiles is not None and isinstance(run.job.tile_store, TileCache)
    for source in run.sources:
        task, tiles = (source, run.known(source)), 0
        if shares:
            found = look(run.segmenter, run.job, *task, retry=run.retry)
            if isinstance(found, Ready) and found.image.single:
                layout = run.segmenter.layout(found.image.first.shape)
                tiles = 0 if layout is None else len(layout)
        if tiles >= TILES_APART:
            large.append((task, tiles))
        else:
            yield task


def _images(
    run: SegmentRun, place: Workplace, tasks: Iterable[Task], monitor: Monitor
) -> Iterator[Outcome]:
    """Segment images, one task each."""
    work = partial(_segment, retry=run.retry)
    for (source, _), found in place.each(work, tasks, monitor):
        outcome = found if isinstance(found, Outcome) else failed(source, "", found)
        run.commit(outcome)
        yield outcome


def _encode_tiles(place: Workplace, task: Task, tiles: int, monitor: Monitor) -> None:
    """Encode the tiles of an image into the cache, some in each task.

    Tiles whose workers died are encoded when the image is segmented.
    """
    parts = [
        range(start, min(start + TILES_A_TASK, tiles)) for start in range(0, tiles, TILES_A_TASK)
    ]
    work = partial(_encode_part, source=task[0])
    for done, _ in enumerate(place.each(work, parts, monitor), 1):
        monitor.tell("Encoding the tiles", done * TILES_A_TASK, tiles)


class Segmenting:
    """What a worker keeps between images.

    Parameters
    ----------
    job : SegmentJob
    """

    def __init__(self, job: SegmentJob) -> None:
        self.job = job
        self.segmenter = Segmenter(job.config, tile_store=job.tile_store)
        self.tiled: tuple[Source, ReadImage] | None = None

    def engine_record(self) -> dict[str, Any]:
        """The weights and library versions of the worker."""
        self.segmenter.load()
        return self.segmenter.engine_record


def _encode_part(own: Segmenting, tiles: Sequence[int], *, source: Source) -> None:
    """Encode some tiles of an image in a worker."""
    if own.tiled is None or own.tiled[0] != source:
        own.tiled = source, read_checked(own.segmenter, own.job, source)
    image = own.tiled[1].first
    if isinstance(image, TiledImage):
        own.segmenter.encode_tiles(image, tiles)


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
