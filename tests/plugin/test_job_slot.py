"""One job at a time, which a newer one may replace, and whose end may be waited for."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import QObject

from napari_cliper.plugin.job_slot import JobSlot
from napari_cliper.plugin.worker import running_jobs


class Watched:
    """A slot, and what it tells."""

    def __init__(self) -> None:
        self.parent = QObject()
        self.slot = JobSlot(self.parent)
        self.gate = threading.Event()
        self.told = []
        for name in ("started", "stopped", "finished"):
            getattr(self.slot, name).connect(lambda name=name: self.told.append(name))
        self.slot.failed.connect(self.told.append)

    def work(self, value):
        def work(_report, should_stop):
            while not self.gate.wait(0.01):
                if should_stop():
                    break
            if isinstance(value, Exception):
                raise value
            return value

        return work

    def start(self, value, **others):
        return self.slot.start(self.work(value), self.told.append, **others)


@pytest.fixture
def watched(qtbot):
    found = Watched()
    yield found
    found.gate.set()
    found.slot.close()
    qtbot.waitUntil(lambda: not running_jobs(), timeout=10_000)


def end(watched, qtbot):
    watched.gate.set()
    qtbot.waitUntil(lambda: watched.slot.idle and not running_jobs(), timeout=10_000)


def test_a_second_job_is_refused_until_the_first_has_ended(watched, qtbot):
    assert watched.start(1)
    assert not watched.start(2)
    end(watched, qtbot)
    assert watched.told == ["started", 1, "finished"]
    assert watched.start(3)
    end(watched, qtbot)
    assert watched.told[3:] == ["started", 3, "finished"]


def test_a_newer_job_replaces_the_running_one(watched, qtbot):
    watched.start(1)
    watched.slot.replace(watched.work(2), watched.told.append)
    end(watched, qtbot)
    assert watched.told == ["started", "started", 2, "finished"]


def test_errors_and_cancelling_are_told(watched, qtbot):
    watched.start(OSError("no disk"))
    end(watched, qtbot)
    failures = []
    watched.start(OSError("again"), on_failure=failures.append)
    end(watched, qtbot)
    watched.gate.clear()
    watched.start(3)
    watched.slot.stop()
    qtbot.waitUntil(lambda: watched.slot.idle, timeout=10_000)
    assert failures == ["again"]
    expected = ["started", "no disk", "finished", "started", "finished"]
    assert watched.told == [*expected, "started", "stopped", "finished"]


def test_after_waiting_the_next_job_may_start_and_no_result_is_lost(watched, qtbot):
    assert watched.slot.wait() is None
    watched.gate.set()
    watched.start(1)
    assert watched.slot.wait() is None
    assert watched.slot.idle
    assert watched.start(2)
    end(watched, qtbot)
    assert sorted(map(str, watched.told)) == ["1", "2", *["finished"] * 2, *["started"] * 2]
    error = OSError("no disk")
    watched.start(error)
    assert watched.slot.wait() is error


def test_nothing_is_told_once_the_slot_is_closed(watched, qtbot):
    watched.start(1)
    watched.slot.close()
    assert not watched.start(2)
    end(watched, qtbot)
    qtbot.wait(20)
    assert watched.told == ["started"]
