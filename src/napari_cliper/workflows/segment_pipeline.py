"""Segment the images of a run on this machine: reading, networks and writing overlap.

    readers (2 threads)      read and check the next images
    this thread              the image networks, several images of one size at once on a GPU
    workers (a few)          words, labels, overlay and files of the images before

On a CPU with CLIP alone, each worker takes an image through all steps: no thread waits for another
one, and beside a busy program the system gives each of them a share of the cores. Other networks
use the CPU cores that the workers leave free.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from ..segmentation import (
    ImageEmbedding,
    Monitor,
    TiledImage,
    available_cores,
    cpu_threads,
    use_cpu_threads,
)
from .image_sources import Source
from .segment_costs import cost_note
from .segment_files import encode, finish, segment_stack
from .segment_large import in_this_process, is_large, segment_large, tiles_apart
from .segment_run import OF_ONE_IMAGE, Notify, Outcome, Ready, SegmentRun, look

READERS = 2
WORKERS = 4
"""Threads that work on images; fewer where PyTorch is to use fewer threads than there are cores."""

AHEAD = 4
"""Images that are read before the networks need them."""

PIXELS_AT_ONCE = 1 << 23
"""Pixels of the images that are finished at the same time; a larger image is alone."""

NOTES = 10
"""Most image sizes on which a note is given."""

T = TypeVar("T")


def on_this_machine(run: SegmentRun, monitor: Monitor, notify: Notify) -> Iterator[Outcome]:
    """Segment the images of a run; see `segment_run.Way`."""
    threads = cpu_threads()
    count = WORKERS if threads >= available_cores() else min(threads, WORKERS)
    ended = threading.Event()
    inner = Monitor(monitor.report, lambda: ended.is_set() or monitor.should_stop())
    with (
        ThreadPoolExecutor(READERS, "read") as readers,
        ThreadPoolExecutor(count, "work") as workers,
    ):
        try:
            yield from _Pipeline(run, inner, notify, readers, workers, count, threads).outcomes()
        finally:
            ended.set()
            for pool in (readers, workers):
                pool.shutdown(wait=False, cancel_futures=True)
            use_cpu_threads(threads)


class _Pipeline:
    """The state of the steps."""

    def __init__(
        self,
        run: SegmentRun,
        monitor: Monitor,
        notify: Notify,
        readers: ThreadPoolExecutor,
        workers: ThreadPoolExecutor,
        count: int,
        threads: int,
    ) -> None:
        self.run = run
        self.monitor = monitor
        self.notify = notify
        self.readers = readers
        self.workers = workers
        self.count = count
        self.threads = threads
        self.sources = iter(run.sources)
        self.reading: deque[Future[Outcome | Ready]] = deque()
        self.finishing: deque[tuple[int, Future[Outcome]]] = deque()  # with their pixels
        self.loaded = False
        self.started = False
        self.noted: set[tuple[int, int]] = set()
        self.ahead = 1 if run.job.reading.axes else AHEAD  # a stack may be in memory as a whole

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcome of each image, in order."""
        while (batch := self._next_batch()) is not None:
            if isinstance(batch, Outcome):
                yield from self._finished(len(self.finishing))  # keeps the order
                self.run.commit(batch)
                yield batch
                continue
            pixels = batch[0].image.first.shape[0] * batch[0].image.first.shape[1]
            yield from self._finished(self._too_many(pixels * len(batch)))
            yield from self._through_networks(batch, pixels)
        yield from self._finished(len(self.finishing))

    # ------------------------------------------------------------------ read

    def _next_batch(self) -> Outcome | list[Ready] | None:
        """The next images of one size, or an image that needs no network; None at the end."""
        first = self._next(None)
        if first is None or isinstance(first, Outcome):
            return first
        shape, batch = first.image.first.shape, [first]
        at_once = self.run.segmenter.at_once(shape) if first.image.single else 1
        alone = shape[0] * shape[1] > PIXELS_AT_ONCE or not first.image.single
        self.ahead = 1 if alone else max(AHEAD, 2 * at_once)
        while len(batch) < at_once:
            more = self._next(shape)
            if not isinstance(more, Ready):
                break
            batch.append(more)
        return batch

    def _next(self, shape: tuple[int, int] | None) -> Outcome | Ready | None:
        """Take the next image; with a shape, only a plane of this shape."""
        while len(self.reading) < self.ahead and (source := next(self.sources, None)) is not None:
            self.reading.append(self.readers.submit(self._look, source))
        if not self.reading:
            return None
        found = self._wait(self.reading[0])
        if shape is not None:
            fits = isinstance(found, Ready) and found.image.single
            if not fits or not isinstance(found, Ready) or found.image.first.shape != shape:
                return None
        self.reading.popleft()
        return found

    def _look(self, source: Source) -> Outcome | Ready:
        run = self.run
        return look(run.segmenter, run.job, source, run.known(source), retry=run.retry)

    # ------------------------------------------------------------------ encode

    def _through_networks(self, batch: list[Ready], pixels: int) -> Iterator[Outcome]:
        """Encode images of one size and hand them to the workers; yields those that fail."""
        run = self.run
        detailed = len(run.sources) == 1 or isinstance(batch[0].image.first, TiledImage)
        monitor = self.monitor
        if not detailed and batch[0].image.single:
            monitor = monitor.downloads_only()
        busy = sum(not future.done() for _, future in self.finishing)
        use_cpu_threads(max(self.threads - busy, 1))
        self._load(monitor)  # its errors concern the run, not this image
        try:
            self._note(batch[0])
        except OF_ONE_IMAGE as error:
            yield from self._failed(batch, pixels, error)
            return
        self._start()
        if is_large(run.segmenter, run.job, batch[0].image, tiles_apart()):
            yield from self._alone(batch[0], self._large)
            return
        if not batch[0].image.single:
            yield from self._alone(batch[0], self._stack)
            return
        if min(run.segmenter.beside(batch[0].image.first.shape), len(run.sources)) >= self.count:
            self.finishing.append((pixels, self.workers.submit(self._whole, batch[0], monitor)))
            return
        try:
            encoded = encode(run.segmenter, [(one.source, one.image) for one in batch], monitor)
        except OF_ONE_IMAGE as error:
            yield from self._failed(batch, pixels, error)
            return
        for one, found in zip(batch, encoded, strict=True):
            work = partial(self._finish, one, found, monitor)
            self.finishing.append((pixels, self.workers.submit(work)))

    def _alone(self, ready: Ready, way: Callable[[Ready], Outcome]) -> Iterator[Outcome]:
        """Segment a large image or a stack on all cores, after the images before it."""
        yield from self._finished(len(self.finishing))
        use_cpu_threads(self.threads)
        outcome = way(ready)
        self.run.commit(outcome)
        yield outcome

    def _large(self, ready: Ready) -> Outcome:
        start = partial(in_this_process, self.run, ready.image, self.monitor)
        return segment_large(self.run, ready, start, self.monitor)

    def _stack(self, ready: Ready) -> Outcome:
        run = self.run
        try:
            found = segment_stack(
                run.segmenter, run.job, ready.source, ready.image, self.monitor, replace=run.replace
            )
        except OF_ONE_IMAGE as error:
            return ready.failed(error)
        return ready.done(found)

    def _failed(self, batch: list[Ready], pixels: int, error: Exception) -> Iterator[Outcome]:
        """Try the images of a batch one by one; the error of a single one is its outcome."""
        if len(batch) > 1:  # perhaps too many at once
            for one in batch:
                yield from self._through_networks([one], pixels)
            return
        yield from self._finished(len(self.finishing))
        outcome = batch[0].failed(error)
        self.run.commit(outcome)
        yield outcome

    def _load(self, monitor: Monitor) -> None:
        if not self.loaded:
            self.run.segmenter.load(report=monitor.report, should_stop=monitor.should_stop)
            self.loaded = True

    def _start(self) -> None:
        """Begin to write; a run of which no image can be encoded leaves no folder."""
        if not self.started:
            self.run.start(self.run.segmenter.engine_record)
            self.started = True

    def _note(self, ready: Ready) -> None:
        image = ready.image.first
        if image.shape not in self.noted and len(self.noted) < NOTES:
            self.noted.add(image.shape)
            path = ready.source.path
            segmenter = self.run.segmenter
            by_chunks = is_large(segmenter, self.run.job, ready.image, tiles_apart())
            note = cost_note(segmenter, path, image, self.monitor, by_chunks=by_chunks)
            self.notify(note)

    # ------------------------------------------------------------------ in a worker

    def _whole(self, ready: Ready, monitor: Monitor) -> Outcome:
        """Encode an image, label it and write its files."""
        use_cpu_threads(max(self.threads // self.count, 1))
        try:
            one = (ready.source, ready.image)
            (found,) = encode(self.run.segmenter, [one], monitor, together=True)
        except OF_ONE_IMAGE as error:
            outcome = ready.failed(error)
            self.run.commit(outcome)
            return outcome
        return self._finish(ready, found, monitor)

    def _finish(self, ready: Ready, embedding: ImageEmbedding, monitor: Monitor) -> Outcome:
        """Label an image and write its files."""
        run = self.run
        use_cpu_threads(1)
        try:
            found = finish(
                run.segmenter, run.job, ready.source, ready.image, embedding, monitor,
                replace=run.replace,
            )  # fmt: skip
            outcome = ready.done(found)
        except OF_ONE_IMAGE as error:
            outcome = ready.failed(error)
        run.commit(outcome)
        return outcome

    def _too_many(self, pixels: int) -> int:
        """How many of the oldest images must be finished before one with more pixels may begin."""
        sizes = [size for size, _ in self.finishing]
        count = 0
        while count < len(sizes) and (
            len(sizes) - count >= 2 * self.count or sum(sizes[count:]) + pixels > PIXELS_AT_ONCE
        ):
            count += 1
        return count

    def _finished(self, count: int) -> Iterator[Outcome]:
        """Wait for the oldest images, and yield them and those after them that are finished."""
        while self.finishing and (count > 0 or self.finishing[0][1].done()):
            yield self._wait(self.finishing[0][1])
            self.finishing.popleft()
            count -= 1

    def _wait(self, future: Future[T]) -> T:
        """Return a result; asks often whether to stop."""
        self.monitor.check()
        while not wait([future], timeout=0.1).done:
            self.monitor.check()
        return future.result()
