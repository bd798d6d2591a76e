"""Segment one large image in tiles, chunk by chunk, on this machine or by the workers of a cluster.

The score maps of the tiles and the labels are in a temporary folder beside the results, which all
workers write to. The labels become an OME-Zarr where the image has more than `ZARR_PIXELS` pixels,
and TIFF files as of other images below that.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ..io.files import whole_files
from ..io.writers import ome_zarr
from ..io.writers.ome_zarr import create_ome_zarr, halve, open_levels
from ..segmentation import (
    ChunkedLabels,
    Described,
    Known,
    Monitor,
    Part,
    Segmenter,
    Stage,
    TiledImage,
    Window,
    WorkerLostError,
    squares,
)
from .image_sources import Source
from .result_files import ZARR, labels_of
from .segment_files import ReadImage, SegmentJob, naming_memory, reading_errors, write_found
from .segment_planes import SegmentedPlanes
from .segment_run import OF_ONE_IMAGE, Outcome, Ready, SegmentRun

TILES_APART = 64
"""An image with as many tiles or more is labelled chunk by chunk, by all workers together."""

ZARR_PIXELS = 1 << 28
"""The labels of an image with more pixels are written as OME-Zarr."""

PARTS = ".parts"
"""Name of the folder for what is not a result, in the temporary folder."""

Work = Callable[["LargeImage", Any, Monitor], Any]
Each = Callable[[Work, Iterable[Any]], Iterator[Any]]
"""Calls a function for each item, in any process and order, and yields the results."""

Start = Callable[["Place"], Each]
"""Returns how the parts of an image are done, in this temporary folder."""


def tiles_apart() -> int:
    """Return how many tiles an image must have to be labelled chunk by chunk."""
    return TILES_APART


def is_large(segmenter: Segmenter, job: SegmentJob, image: ReadImage, least: int) -> bool:
    """Return whether an image is labelled chunk by chunk; `least` is `tiles_apart`.

    What needs all of an image at once is excluded: given objects and masks, and a threshold for the
    area of classes.
    """
    if not image.single or not isinstance(image.first, TiledImage) or job.files_of_image:
        return False
    layout = segmenter.layout(image.first.shape)
    whole = segmenter.settings.area_threshold > 0
    return layout is not None and len(layout) >= least and not whole


@dataclass(frozen=True)
class Place:
    """Where the parts of the work on an image are.

    Parameters
    ----------
    folder : Path
        The temporary folder.
    source : Source
    as_zarr : bool
        Whether the labels are results as they are.
    """

    folder: Path
    source: Source
    as_zarr: bool

    @property
    def parts(self) -> Path:
        """The folder for what is not a result."""
        return self.folder / PARTS

    def labels(self, stage: Stage) -> Path:
        """The OME-Zarr with the labels of a stage."""
        folder = self.folder if self.as_zarr else self.parts
        return folder / f"{Path(self.source.stem).name}_{stage}{ZARR}"


class LargeImage:
    """What a process keeps of a large image.

    Parameters
    ----------
    segmenter, job
    image : ReadImage
    place : Place
    """

    def __init__(
        self, segmenter: Segmenter, job: SegmentJob, image: ReadImage, place: Place
    ) -> None:
        assert isinstance(image.first, TiledImage)  # noqa: S101 - `is_large`
        self.place = place
        self.chunked = ChunkedLabels(
            segmenter,
            image.first,
            job.classes,
            job.thresholds,
            place.parts,
            prototypes=job.prototypes,
            prototype_weight=job.prototype_weight,
            pixel_size=image.pixel_size,
        )

    @cached_property
    def levels(self) -> dict[Stage, list[zarr.Array[Any]]]:
        """The levels of the labels of each stage, the largest first."""
        return {stage: open_levels(self.place.labels(stage)) for stage in self.chunked.stages}

    def run(self, part: Part, known: Known, monitor: Monitor) -> Known:
        """Do a part; see `ChunkedLabels.run`."""
        return self.chunked.run(part, known, self._write, monitor)

    def _write(self, stage: Stage, window: Window, labels: NDArray[Any]) -> None:
        self.levels[stage][0][window.slices] = labels

    def halve(self, stage: Stage, level: int, window: Window) -> None:
        """Fill a part of a smaller level of the labels."""
        larger, smaller = self.levels[stage][level - 1 : level + 1]
        halve(larger, smaller, window)


def _described(own: LargeImage, _item: None, monitor: Monitor) -> Described:
    return own.chunked.described(monitor)


def _run(own: LargeImage, part: Part, monitor: Monitor, *, known: Known) -> Known:
    return own.run(part, known, monitor)


def _halve(own: LargeImage, item: tuple[Stage, int, Window], _monitor: Monitor) -> None:
    own.halve(*item)


def in_this_process(run: SegmentRun, image: ReadImage, monitor: Monitor, place: Place) -> Each:
    """Return how the parts of an image are done here, one after the other."""
    own = LargeImage(run.segmenter, run.job, image, place)
    inner = Monitor(should_stop=monitor.should_stop)
    return lambda work, items: (work(own, item, inner) for item in items)


def segment_large(run: SegmentRun, ready: Ready, start: Start, monitor: Monitor) -> Outcome:
    """Segment a large image and write its result files, either all of them or none.

    Parameters
    ----------
    run : SegmentRun
    ready : Ready
        For which `is_large` is true.
    start : callable
    monitor : Monitor
        Told of each part.
    """
    job, source = run.job, ready.source
    height, width = ready.image.first.shape
    try:
        with (
            naming_memory(source.path, "segmenting it"),
            whole_files(
                job.output / source.folder, replace=run.replace, inputs=[source.path]
            ) as folder,
        ):
            place = Place(folder, source, as_zarr=height * width > ZARR_PIXELS)
            place.parts.mkdir()
            with reading_errors():
                found = _labelled(run, ready.image, place, start(place), monitor)
            segmented, problem = write_found(folder, job, source, found)
            shutil.rmtree(place.parts)
    except WorkerLostError as error:
        return ready.failed(WorkerLostError(f"{source.path}: {error}"))
    except OF_ONE_IMAGE as error:
        return ready.failed(error)
    return ready.done(segmented) if problem is None else ready.failed(problem)


def _labelled(
    run: SegmentRun, image: ReadImage, place: Place, each: Each, monitor: Monitor
) -> SegmentedPlanes:
    """Label an image; the labels are in the OME-Zarr of each stage."""
    own = LargeImage(run.segmenter, run.job, image, place)
    chunked, classes = own.chunked, run.job.classes
    dtype = np.uint8 if len(classes) < 256 else np.uint16
    empty = np.broadcast_to(np.zeros((), dtype), image.first.shape)
    for stage in chunked.stages:
        path = place.labels(stage)
        create_ome_zarr(path, labels_of(place.source.path, empty, classes))
    (described,) = each(_described, [None])
    known = Known()
    for title, count, parts in chunked.passes(ome_zarr.CHUNK):
        after = known
        for done, found in enumerate(each(partial(_run, known=known), parts)):
            monitor.tell(title, done, count)
            after = after.merged(found, chunked.rank)
        known = after
    if place.as_zarr:
        for level, smaller in enumerate(own.levels["coarse"][1:], 1):
            height, width = smaller.shape
            for stage in chunked.stages:
                windows = squares((height, width), ome_zarr.CHUNK)
                for _ in each(_halve, ((stage, level, window) for window in windows)):
                    monitor.check()
    scores = chunked.result(known, described)
    counts = [] if known.counts is None else known.counts.tolist()
    found = SegmentedPlanes(image.planes, counts=counts, scores=scores, shown=(image.first, ()))
    found.results = [
        {
            "position": {},
            "scores": scores.stage().class_scores.tolist(),
            "pixels": counts,
            "uncertainty": known.mean_uncertainty,
        }
    ]
    for stage, (labels, *_) in own.levels.items():
        found.labels[stage] = labels if place.as_zarr else np.asarray(labels[...])
    return found
