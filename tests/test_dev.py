"""`tools/dev.py` runs every part of the checks and reports the parts that failed."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "tools" / "dev.py"


@pytest.fixture
def dev():
    spec = importlib.util.spec_from_file_location("dev", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_part_runs_and_one_that_failed_fails_the_whole(dev, monkeypatch, capsys):
    started = []

    def started_with(status_of):
        def start(command, **options):
            started.append((" ".join(command), options.get("env", {}).get("QT_API", "")))
            return subprocess.CompletedProcess(command, status_of(" ".join(command)), "it says")

        return start

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(dev.subprocess, "run", started_with(lambda _: 0))
    dev.check([])
    parts = list(started)
    printed = capsys.readouterr().out
    assert "FAILED" not in printed
    for name in ("types", "manifest", "docs"):  # which run beside the tests
        assert re.search(rf"== {name} \(\w+\)\nit says\n", printed)
    for words in ("ruff check", "ruff format", "mypy", "npe2", "mkdocs", "pytest"):
        assert any(words in command for command, _ in parts), words
    assert not any("--cov" in command for command, _ in parts)
    (plugin,) = (part for part in parts if part[1] == "pyside6")
    assert plugin[0].endswith("tests/plugin -m not one_binding")
    assert len({command for command, _ in parts}) == len(parts)

    for broken, _ in parts:
        started.clear()
        status = started_with(lambda command, broken=broken: int(command == broken))
        monkeypatch.setattr(dev.subprocess, "run", status)
        with pytest.raises(SystemExit) as caught:
            dev.check([])
        assert caught.value.code == 1
        assert sorted(started) == sorted(parts)
        assert capsys.readouterr().out.count("FAILED") == 1


def test_coverage_is_a_task_of_its_own_that_fails_as_pytest_does(dev, monkeypatch):
    started = []

    def start(command, **_options):
        started.append(" ".join(command))
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(dev, "install_system_packages", lambda: None)
    monkeypatch.setattr(dev, "install_python_packages", lambda: None)
    monkeypatch.setattr(dev.subprocess, "run", start)
    monkeypatch.setattr(dev.sys, "argv", ["dev.py", "coverage", "tests/segmentation"])
    status = 0
    dev.main()
    (command,) = started
    assert "--cov=napari_cliper.segmentation --cov-fail-under=90" in command
    assert command.endswith(" tests/segmentation")
    status = 2
    with pytest.raises(SystemExit) as caught:
        dev.main()
    assert caught.value.code == 2
