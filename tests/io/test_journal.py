"""The journal of a run after a crash, a loss of power and damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cliper.io import journal as journals
from napari_cliper.io.files import FileError
from napari_cliper.io.journal import Journal

SETTINGS = {"model": "demo"}
LINE = b'{"name": "c", "digest": "1"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "segmentation.jsonl"
    with Journal(place, "segment", SETTINGS) as journal:
        for name in "ab":
            journal.append({"name": name, "digest": "1"})
    return place


def test_the_next_run_goes_on_after_a_cut_and_after_a_loss_of_power(path):
    whole = path.read_bytes()
    nothing = b"\0" * 40
    for tail in (b'{"na', nothing, b'{"name"' + nothing, nothing + b"\n", nothing + LINE):
        path.write_bytes(whole + tail)
        with Journal(path, "segment", SETTINGS) as journal:
            assert list(journal.own.entries) == ["a", "b"]
            journal.append({"name": "c", "digest": "1"})
        assert path.read_bytes() == whole + LINE
    path.write_bytes(b"\0" * len(whole))  # not a byte of it reached the disk
    with Journal(path, "segment", SETTINGS) as journal:
        assert not journal.own.entries
        journal.append({"name": "c", "digest": "1"})
    assert list(Journal(path, "segment", SETTINGS).own.entries) == ["c"]
    path.write_bytes(whole[:30] + nothing)
    journals.remove(path)
    assert not path.exists()


def test_a_journal_of_a_newer_version_is_refused_with_what_to_do(path):
    path.write_bytes(path.read_bytes().replace(b'"version": 2', b'"version": 3'))
    with pytest.raises(FileError, match=r"a newer napari-cliper: it has version 3.*Update napari-"):
        Journal(path, "segment", SETTINGS)


def test_a_damaged_line_is_named_in_our_words(path):
    whole = path.read_bytes()
    for line in (b"nonsense\n", b"[]\n", b'{"digest": "1"}\n', b'{"settings": {}}\n', b"\xff\n"):
        path.write_bytes(whole + line)
        with pytest.raises(FileError) as error:
            Journal(path, "segment", SETTINGS)
        assert str(error.value).startswith(f"{path} is damaged: line 4 is not what napari-cliper ")
        assert "Use --overwrite to start again" in str(error.value)
