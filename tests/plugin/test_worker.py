"""Jobs on a thread: exactly one end, whatever happens."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import napari
import numpy as np
import psutil
import pytest
from napari.utils import progress
from qtpy.QtWidgets import QWidget

from napari_cliper.plugin.job_slot import JobSlot
from napari_cliper.plugin.worker import ANNOUNCED_AFTER, Job
from napari_cliper.segmentation import InvalidInputError, Progress, Stopped


@pytest.fixture
def viewer(make_napari_viewer):
    """A window that jobs are shown in."""
    return make_napari_viewer()


@pytest.fixture
def run(qtbot):
    """Run work as a job; give what was emitted, in order."""

    def start(work, during=lambda job: None):
        job = Job(work)
        seen = []
        job.progressed.connect(lambda p: seen.append(("progress", p.stage)))
        job.succeeded.connect(lambda value: seen.append(("succeeded", value)))
        job.failed.connect(lambda text: seen.append(("failed", text)))
        job.stopped.connect(lambda: seen.append(("stopped", None)))
        with qtbot.waitSignal(job.finished, timeout=10_000):
            job.start()
            during(job)
        assert not job.running
        return seen

    return start


def test_result_and_progress_arrive_in_the_main_thread(run):
    def work(report, _should_stop):
        report(Progress("one", 0, 2))
        report(Progress("two", 1, 2))
        return threading.current_thread() is threading.main_thread()

    assert run(work) == [("progress", "one"), ("progress", "two"), ("succeeded", False)]


def test_the_object_is_not_deleted_while_its_thread_emits(qtbot):
    class Slow:
        """A signal whose emission takes longer than the window needs to receive it."""

        def __init__(self, signal):
            self.signal, self.left = signal, threading.Event()

        def emit(self, *values):
            self.signal.emit(*values)
            time.sleep(0.2)
            self.left.set()

    job = Job(lambda _report, _should_stop: None)
    job._ended = slow = Slow(job._ended)
    deleted_after = []
    job.destroyed.connect(lambda: deleted_after.append(slow.left.is_set()))
    job.start()
    qtbot.waitUntil(lambda: bool(deleted_after), timeout=10_000)
    assert deleted_after == [True]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InvalidInputError("no word"), "no word"),
        (RuntimeError("CUDA out of memory"), "out of memory"),  # generator workers swallow this
        (KeyError("x"), "Unexpected error"),
        (MemoryError("big"), "big"),
        (SystemExit(3), "Unexpected error"),
    ],
)
def test_every_error_reaches_the_person(run, error, words):
    def work(_report, _should_stop):
        raise error

    ((kind, text),) = run(work)
    assert kind == "failed"
    assert words in text


def test_stop_is_known_to_the_work_at_once(run):
    stopped, late = threading.Event(), []

    def work(_report, should_stop):
        while not should_stop():
            late.append(stopped.is_set())
            time.sleep(0.01)
        raise Stopped("stopped")

    def stop(job):
        job.stop()
        stopped.set()

    assert run(work, during=stop) == [("stopped", None)]
    assert not any(late[:-1])  # one question may have been on its way


def test_work_that_cannot_be_interrupted_is_abandoned(run, qtbot):
    go_on, ended = threading.Event(), threading.Event()

    def work(report, _should_stop):
        go_on.wait(10)
        report(Progress("late", 0, 0))
        ended.set()
        return "late"

    seen = run(work, during=lambda job: job.stop())
    assert seen == [("stopped", None)]
    assert run(lambda _report, _should_stop: "next") == [("succeeded", "next")]
    go_on.set()
    assert ended.wait(5)
    qtbot.wait(100)
    assert seen == [("stopped", None)]


def test_a_result_that_came_too_late_to_be_stopped_is_dropped(run):
    requested = threading.Event()

    def work(_report, _should_stop):
        requested.wait(5)
        return "late"

    def during(job):
        job.stop()
        requested.set()

    assert run(work, during) == [("stopped", None)]


def test_the_window_ticks_on_and_is_not_flooded(run):
    def work(report, _should_stop):
        for index in range(20_000):
            report(Progress("busy", index, 20_000))

    seen = run(work)
    assert 1 <= sum(kind == "progress" for kind, _ in seen) < 200


# ---------------------------------------------------------------------- what napari shows of jobs


def napari_shows():
    """Texts of napari's bars, with their share, and of its question before closing."""
    bars = [(bar.desc.rstrip(": "), bar.n, bar.total) for bar in progress._all_instances]
    return bars, napari.current_viewer().window._task_status_manager.get_status()


@pytest.mark.parametrize("ending", ["succeeds", "fails", "is cancelled", "napari closes"])
@pytest.mark.usefixtures("viewer")
def test_napari_shows_a_long_job_until_it_ends(qtbot, capsys, ending):
    go_on, release = threading.Event(), threading.Event()

    def work(report, should_stop):
        go_on.wait(10)
        report(Progress("Downloading", 3_000_000_000, 4_000_000_000, "byte"))  # beyond 32 bits
        while not (release.wait(0.01) or should_stop()):
            pass
        if ending == "fails":
            raise InvalidInputError("no word")

    job = Job(work, "Finding words")
    job.start()
    assert napari_shows() == ([], [])  # short work would flicker
    qtbot.waitUntil(lambda: bool(napari_shows()[0]), timeout=10_000)
    assert napari_shows() == ([("Finding words", 0, 0)], ["napari-cliper: Finding words"])
    go_on.set()
    qtbot.waitUntil(lambda: napari_shows()[0] == [("Downloading", 750, 1000)], timeout=10_000)
    with qtbot.waitSignal(job.finished, timeout=10_000):
        if ending == "is cancelled":
            job.stop()
        elif ending == "napari closes":
            napari.current_viewer().window._task_status_manager.cancel_all()
        else:
            release.set()
    assert napari_shows() == ([], [])
    assert capsys.readouterr().err == ""  # no bar in the terminal


@pytest.mark.usefixtures("viewer")
def test_a_napari_that_does_not_ask_before_closing_still_shows_a_long_job(qtbot, monkeypatch):
    for name in ("_register_task_status", "_update_task_status"):  # napari has no public way
        monkeypatch.delattr(type(napari.current_viewer().window), name)
    release = threading.Event()
    job = Job(lambda _report, _should_stop: release.wait(10), "Finding words")
    job.start()
    qtbot.waitUntil(lambda: bool(napari_shows()[0]), timeout=10_000)
    with qtbot.waitSignal(job.succeeded, timeout=10_000):
        release.set()
    assert napari_shows() == ([], [])


@pytest.mark.usefixtures("viewer")
def test_napari_keeps_no_finished_job_in_memory(qtbot):
    large = type("Large", (), {})()
    gone = weakref.ref(large)
    job = Job(lambda _report, _should_stop, _large=large: time.sleep(0.5), "Finding words")
    job.start()
    with qtbot.waitSignal(job.finished, timeout=10_000):
        pass
    assert napari.current_viewer().window._task_status_manager._tasks
    del job, large
    qtbot.wait(10)
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("viewer")
def test_napari_shows_no_short_job_and_none_without_a_title(qtbot):
    for title, seconds in (("Finding words", 0.05), ("", 2 * ANNOUNCED_AFTER / 1000)):
        job = Job(lambda _report, _should_stop, seconds=seconds: time.sleep(seconds), title)
        seen = []
        job.finished.connect(lambda seen=seen: seen.append(napari_shows()))
        with qtbot.waitSignal(job.finished, timeout=10_000):
            job.start()
        assert seen == [([], [])]


@pytest.mark.usefixtures("viewer")
def test_a_job_that_ends_while_its_bar_is_made_leaves_none(qtbot):
    """napari's bars work off the window's events: the end of the job may be among them."""
    release = threading.Event()
    job = Job(lambda _report, _should_stop: release.wait(10), "Finding words")
    ended = []
    job.finished.connect(lambda: ended.append(True))

    def let_end(event):
        if event.added:
            release.set()
            qtbot.waitUntil(lambda: bool(ended), timeout=10_000)
            qtbot.wait(10)  # the job is deleted

    progress._all_instances.events.changed.connect(let_end)
    try:
        job.start()
        qtbot.waitUntil(lambda: bool(ended), timeout=10_000)
    finally:
        progress._all_instances.events.changed.disconnect(let_end)
    qtbot.waitUntil(lambda: napari_shows() == ([], []), timeout=10_000)


def test_memory_that_a_job_has_freed_goes_back_to_the_system(run, qtbot):
    process = psutil.Process()

    def work(_report, _should_stop):
        """Blocks that the C library serves from the heap of this thread; the last one stays."""
        blocks = [np.ones(100_000, np.uint8) for _ in range(3000)]
        return blocks[-1]

    before = process.memory_info().rss
    ((_, kept),) = run(work)
    assert kept.all()
    qtbot.waitUntil(lambda: process.memory_info().rss < before + 100e6, timeout=10_000)


def test_the_window_of_a_job_asks_before_it_closes(make_napari_viewer, qtbot):
    """Not the window that was made or used last; a floating dock belongs to its window too."""
    first, second = make_napari_viewer(), make_napari_viewer()
    release = threading.Event()
    for viewer, other, floating in ((first, second, False), (second, first, True)):
        widget = QWidget()
        viewer.window.add_dock_widget(widget).setFloating(floating)
        other.window._qt_window.activateWindow()
        slot = JobSlot(widget)
        release.clear()
        slot.start(lambda _report, _should_stop: release.wait(10), lambda _: None, title="Finding")
        asks = viewer.window._task_status_manager
        qtbot.waitUntil(asks.is_busy, timeout=10_000)
        assert not other.window._task_status_manager.is_busy()
        release.set()
        qtbot.waitUntil(lambda slot=slot: slot.idle, timeout=10_000)
        assert not asks.is_busy()
