"""A process that is killed loses at most the save in progress."""

from __future__ import annotations

import inspect
import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import forked
import pytest
from annotation_projects import check_whole, counted

COUNTING = """
import numpy as np
from napari_cliper.annotation.project import annotation_store
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.labels.label_class import ClassRow

{counted}

project = Project.open({folder!r})
state = project.load("a")
count = 0 if state is None else state.record["count"]
while True:
    count += 1
    project.save("a", counted(count, 40 + count % 50), "started")
    print(count, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_killed_process_loses_at_most_the_save_in_progress(project, tmp_path):
    script = COUNTING.format(folder=str(project.folder), counted=inspect.getsource(counted))
    moments = random.Random(0)
    last = 0
    for kill in range(10):
        printed = tmp_path / str(kill)
        process = forked.start(script, output=printed)
        while not (printed / "stdout").exists() or not (printed / "stdout").read_text():
            assert process.is_alive(), (printed / "stderr").read_text()
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        done = [int(line) for line in (printed / "stdout").read_text().splitlines()]
        assert done[0] == last + 1  # it went on where the one before was killed
        last = check_whole(project.folder)
        assert last - done[-1] in (0, 1)
    project.load("a")
    project.save("a", counted(last + 1))
    assert len(list((project.folder / "annotations").iterdir())) == 3  # nothing was left behind


CALLS = {
    "open", "write", "writelines", "tofile", "flush", "fsync", "close", "truncate", "rename",
    "replace", "unlink", "remove", "mkdir", "listdir", "scandir",
}  # fmt: skip
"""What Python calls the calls that change a disk, and more."""

STEPS = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from annotation_projects import check_whole, counted
from napari_cliper.annotation.project import annotation_store
from napari_cliper.annotation.project.project import Project

folder = {folder!r}
Project.open(folder).save("a", counted(1), overwrite=True)
left = 0

def hook(frame, event, function):
    global left
    if event != "c_call" or function.__name__ not in {names!r}:
        return
    if not isinstance(function.__self__, str):  # which has a "replace" too
        left -= 1
        if left < 0:
            os._exit(9)

for steps in range(1000):
    child = os.fork()
    if child == 0:
        project = Project.open(folder)
        count = project.load("a").record["count"]
        left = steps
        sys.setprofile(hook)
        project.save("a", counted(count + 1))
        sys.setprofile(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), check_whole(Path(folder)), flush=True)
    if status == 0:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_there_is_no_step_at_which_a_kill_mixes_two_saves(project):
    """Stops a save before each of its calls to the disk in turn."""
    script = STEPS.format(
        tests=str(Path(__file__).parents[2]), folder=str(project.folder), names=CALLS
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [code for code, _ in lines[:-1]] == [9] * (len(lines) - 1)
    assert lines[-1][0] == 0
    assert len(lines) > 12
    counts = [1, *(count for _, count in lines)]
    steps = [after - before for before, after in pairwise(counts)]
    # Up to the renaming of the record nothing is new, and from there on everything is.
    assert steps == sorted(steps)
    assert set(steps) == {0, 1}
    assert len(list((project.folder / "annotations").iterdir())) == 3
