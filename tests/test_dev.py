"""README's second command reports every part, also those behind one that failed."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "tools" / "dev.py"


def test_every_part_runs_and_one_that_failed_fails_the_whole(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("dev", PATH)
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    started = []

    def started_with(status_of):
        def start(command, **options):
            started.append((" ".join(command), options["env"].get("QT_API")))
            return subprocess.CompletedProcess(command, status_of(command))

        return start

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(dev.subprocess, "run", started_with(lambda _: 0))
    dev.check([])
    parts = list(started)
    assert "FAILED" not in capsys.readouterr().out
    for words in ("ruff check", "ruff format", "mypy", "npe2", "pytest"):
        assert any(words in command for command, _ in parts), words
    assert parts[-1][0].endswith("tests/plugin")
    assert parts[-1][1] == "pyside6"

    for broken in range(len(parts)):
        started.clear()
        status = started_with(lambda _, broken=broken: int(len(started) == broken + 1))
        monkeypatch.setattr(dev.subprocess, "run", status)
        with pytest.raises(SystemExit) as caught:
            dev.check([])
        assert caught.value.code == 1
        assert started == parts
        assert capsys.readouterr().out.count("FAILED") == 1
