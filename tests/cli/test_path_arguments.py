"""Paths that are empty, endless or closed: refused before a command starts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.io.files import FileError
from napari_cliper.workflows import image_sources
from napari_cliper.workflows.image_sources import find_images

COMMANDS = {
    "segment": ["{}", "--labels", "a,b", "--output", "out", "--model", "demo"],
    "learn": ["{}", "labels", "--classes", "c.txt", "--output", "p.safetensors"],
    "evaluate": ["{}", "labels", "--classes", "c.txt"],
    "export": ["{}", "--format", "tiff", "--output", "out"],
    "merge": ["{}"],
}
OPTIONS = [
    ["segment", "a.png", "--labels", "a", "--output", "{}"],
    ["segment", "a.png", "--labels", "a", "--output", "out", "--objects", "{}"],
    ["segment", "a.png", "--labels", "a", "--output", "out", "--prototypes", "{}"],
    ["segment", "a.png", "--labels", "a", "--output", "out", "--tile", "64", "--tile-cache", "{}"],
    ["learn", "a", "{}", "--classes", "c.txt", "--output", "p"],
    ["evaluate", "a", "b", "--classes", "{}"],
    ["export", "a.tif", "--format", "tiff", "--output", "out", "--images", "{}"],
    ["demo", "--headless", "--output", "{}"],
]
EVERY = [[name, *arguments] for name, arguments in COMMANDS.items()] + OPTIONS


def refusal(arguments: list[str], path: str) -> str:
    result = CliRunner().invoke(app, [one.replace("{}", path) for one in arguments])
    assert result.exit_code == 2, (arguments, result.output)
    return " ".join((result.stdout + result.stderr).replace("│", " ").split())


@pytest.fixture
def here(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_empty_path_is_not_the_current_folder(here):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(here / "a.png")
    for arguments in EVERY:
        assert 'the path is empty. The current folder is ".".' in refusal(arguments, "")
    assert list(here.iterdir()) == [here / "a.png"]
    assert "Invalid value for '--output': the path" in refusal(OPTIONS[0], "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files in folders")
def test_pipes_and_devices_are_refused_at_once(here):
    os.mkfifo(here / "pipe.png")
    (here / "zero.png").symlink_to("/dev/zero")
    for arguments in EVERY:
        for name in ("pipe.png", "zero.png"):
            assert f"Cannot use {name}: it is a pipe, a device or a socket." in refusal(
                arguments, name
            )
    (here / "list.txt").write_text("pipe.png\n")
    assert "pipe.png: it is a pipe" in refusal(EVERY[0], "list.txt")


def test_missing_and_wrong_paths_are_wrong_input(here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    for folder in ("img", "lab", "empty"):
        (here / folder).mkdir()
    pixels = np.eye(64, dtype=np.uint8)
    for folder in ("img", "lab"):
        Image.fromarray(pixels).save(here / folder / "a.png")
    (here / "c.txt").write_text("nucleus\n")
    for name in ("bad.json", "bad.bin", "bad.safetensors"):
        (here / name).write_bytes(b"{")
    segment = ["segment", "--labels", "nucleus", "--model", "demo", "--output", "out"]
    learn = ["learn", "--model", "demo", "--output", "p.safetensors", "--classes"]
    evaluate = ["evaluate", "--model", "demo", "--classes"]
    export = ["export", "--format", "png", "--output", "out"]
    known = ["c.txt"]
    given = ["img", "lab"]
    wrong = (
        [*segment, "none"], [*segment, "none.txt"], [*segment, "empty"], [*segment, "bad.bin"],
        [*segment, "img", "--prototypes", "none.safetensors"],
        [*segment, "img", "--prototypes", "bad.safetensors"],
        [*segment, "img", "--prototypes", "empty"],
        [*segment, "img", "--objects", "none.tif"], [*segment, "img", "--objects", "bad.bin"],
        [*segment, "img", "--masks", "none.tif"], [*segment, "img", "--model", "none.pt"],
        [*segment[:-1], "bad.bin", "img"],
        [*learn, *known, "none", "lab"], [*learn, *known, "img", "none"],
        [*learn, *known, "img", "none.json"], [*learn, *known, "img", "bad.json"],
        [*learn, *known, "empty", "lab"], [*learn, *known, "img/a.png", "lab"],
        [*learn, "none.txt", *given], [*learn, "bad.json", *given], [*learn, "bad.bin", *given],
        [*learn, "empty", *given],
        [*evaluate, *known, "none", "lab"], [*evaluate, *known, "img", "none"],
        [*evaluate, "none.txt", *given], [*evaluate, *known, *given, "--output", "c.txt"],
        [*evaluate, *known, *given, "--prototypes", "none.safetensors"],
        [*evaluate[:3], "--preset", "voc21", "--root", "none"],
        [*evaluate[:3], "--preset", "voc21", "--root", "empty"],
        [*export, "none"], [*export, "none.tif"], [*export, "bad.json"], [*export, "bad.bin"],
        [*export, "none/*.tif"], [*export, "empty"],
        [*export, "lab/a.png", "--classes", "none.txt"],
        [*export, "lab/a.png", "--images", "none"], [*export[:-1], "bad.bin", "lab/a.png"],
        ["merge", "none"], ["merge", "empty"], ["merge", "bad.bin"],
        ["demo", "--headless", "--output", "bad.bin"],
        ["demo", "--headless", "--output", "bad.bin/a.png"],
        ["models", "download", "none"],
    )  # fmt: skip
    for arguments in wrong:
        message = refusal(arguments, "")
        assert message.count("Error: ") in (1, 2), arguments
        assert "Traceback" not in message, arguments
    assert not (here / "out").exists()


def test_lists_of_powershell_and_files_that_are_no_list(here):
    (here / "list.txt").write_bytes("ä.png\r\nb.png\r\n".encode("utf-16"))
    assert [one.name for one in find_images([here / "list.txt"])] == ["ä.png", "b.png"]
    (here / "list.txt").write_bytes(b"a.png\0\1\2")
    with pytest.raises(FileError, match=r"is not a list of images. Save it as text"):
        find_images([here / "list.txt"])


def test_closed_links_are_named_and_closed_folders_end_the_run(here, monkeypatch):
    (here / "in").mkdir()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(here / "in" / "a.png")
    for name in ("closed.png", "closed"):
        (here / "in" / name).symlink_to(here / "secret")
    stat = Path.stat

    def refused(self: Path, **more: bool) -> os.stat_result:
        if self.name.startswith("closed") and more.get("follow_symlinks", True):
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **more)

    monkeypatch.setattr(Path, "stat", refused)
    assert [one.name for one in find_images([here / "in"])] == ["a.png", "closed.png"]
    (here / "in" / "closed").unlink()
    (here / "in" / "closed").mkdir()
    with pytest.raises(FileError, match=r"in: there is no permission\. Ask its owner"):
        find_images([here / "in"])


def test_a_folder_is_searched_in_linear_time(here, monkeypatch):
    """Paths are compared by hash: a million images would take days otherwise."""
    compared = 0
    equal = Path.__eq__

    def counted(self: Path, other: object) -> bool:
        nonlocal compared
        compared += 1
        return equal(self, other)

    monkeypatch.setattr(type(here), "__eq__", counted, raising=False)
    monkeypatch.setattr(type(here), "__hash__", Path.__hash__, raising=False)
    counts = []
    for images in (100, 400):
        for number in range(images):
            (here / f"{number}.png").touch()
        compared = 0
        assert len(image_sources.find_images([here])) == images
        counts.append(compared)
    assert counts[1] < 5 * counts[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files in folders")
def test_a_pipe_in_a_folder_of_images_is_named(here):
    for folder in ("in", "labels"):
        (here / folder).mkdir()
    os.mkfifo(here / "in" / "a.png")
    Image.fromarray(np.eye(16, dtype=np.uint8)).save(here / "labels" / "a.png")
    (here / "c.txt").write_text("nucleus\n")
    for command in ("evaluate", "learn"):
        given = [command, "in", "labels", "--classes", "c.txt", "--model", "demo"]
        given += ["--output", "p.safetensors"]
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 2, result.output
        assert "a.png: it is a pipe" in " ".join(result.stderr.split())
