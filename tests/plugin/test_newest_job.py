"""One job at a time, always of the newest snapshot."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import QObject

from napari_cliper.plugin.newest_job import NewestJob
from napari_cliper.plugin.worker import running_jobs


class Watched:
    """A value that changes, and the answers to it."""

    def __init__(self) -> None:
        self.value = 0
        self.begun, self.answers, self.errors, self.idle = [], [], [], 0
        self.at_once = self.most_at_once = 0
        self.gate = threading.Event()
        self.parent = QObject()
        self.jobs = NewestJob(self.parent, self.snapshot)
        self.jobs.succeeded.connect(self.answers.append)
        self.jobs.failed.connect(self.errors.append)
        self.jobs.became_idle.connect(self.on_idle)

    def on_idle(self) -> None:
        self.idle += 1

    def snapshot(self):
        value = self.value
        if value < 0:
            return None
        self.begun.append(value)

        def work(_report, _should_stop):
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.gate.wait(10)
            self.at_once -= 1
            if value == 13:
                raise OSError("13 is refused")
            return value

        return work

    def set(self, value: int) -> None:
        self.value = value
        self.jobs.request()


@pytest.fixture
def watched(qtbot):
    found = Watched()
    yield found
    found.gate.set()
    found.jobs.drop()
    qtbot.waitUntil(lambda: not running_jobs(), timeout=10_000)


def test_requests_that_come_together_or_while_a_job_runs_are_one_and_the_newest_wins(
    watched, qtbot
):
    for value in (1, 2, 3):
        watched.set(value)
    assert not watched.jobs.idle
    qtbot.waitUntil(lambda: watched.begun == [3], timeout=10_000)
    for value in range(4, 20):
        watched.set(value)
        qtbot.wait(2)
    watched.gate.set()
    qtbot.waitUntil(lambda: watched.jobs.idle, timeout=10_000)
    assert watched.begun == watched.answers == [3, 19]
    assert (watched.most_at_once, watched.idle) == (1, 1)


def test_what_is_dropped_gives_no_answer_and_does_not_hold_up_the_next(watched, qtbot):
    watched.set(1)
    qtbot.waitUntil(lambda: watched.begun == [1], timeout=10_000)
    watched.set(2)
    watched.jobs.drop()  # the work of 1 cannot be interrupted
    assert watched.jobs.idle
    watched.set(3)
    qtbot.waitUntil(lambda: watched.begun == [1, 3], timeout=10_000)
    watched.gate.set()
    qtbot.waitUntil(lambda: watched.jobs.idle and not running_jobs(), timeout=10_000)
    assert watched.answers == [3]


def test_an_error_is_emitted_and_the_next_request_is_answered(watched, qtbot):
    watched.gate.set()
    watched.set(13)
    qtbot.waitUntil(lambda: watched.jobs.idle, timeout=10_000)
    assert (watched.answers, watched.errors) == ([], ["13 is refused"])
    watched.set(14)
    qtbot.waitUntil(lambda: watched.answers == [14], timeout=10_000)


def test_nothing_to_do_is_idle(watched, qtbot):
    watched.set(-1)
    qtbot.waitUntil(lambda: watched.idle == 1, timeout=10_000)
    assert watched.jobs.idle
    assert watched.begun == []
