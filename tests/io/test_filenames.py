"""File names: what Windows keeps for itself, and what disks take for one another."""

from __future__ import annotations

from napari_cliper.io.filenames import file_name, unique_names

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
DEVICES = [
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{n}" for port in ("COM", "LPT") for n in "123456789¹²³"),
]


def test_no_name_is_a_device_of_windows():
    for device in DEVICES:
        for name in (device, device.lower(), f"{device}.tif", f"{device}.a.tif", f"{device} .tif"):
            made = file_name(name)
            assert made == f"_{name}"
            assert file_name(made) == made
    for name in ("CONSOLE", "COM", "COM10", "x.con", "aux2"):
        assert file_name(name) == name


def test_a_name_loses_what_some_system_refuses():
    for forbidden in '<>:"/\\|?*\0\x1f\x7f\ufffe':
        assert file_name(f"a{forbidden}b") == "a_b"
    for ending in (".", " ", ". .", "..."):
        assert file_name(f"cells{ending}") == "cells"
    assert file_name("..") == file_name(" ") == file_name("") == "image"


def test_names_that_a_disk_treats_as_equal_are_distinguished():
    given = ["a", "A", "e\u0301", "\u00e9", "ß", "SS", "a 2"]
    made = unique_names([[file_name(name)] for name in given])
    assert made == ["a", "A 2", "e\u0301", "\u00e9 2", "ß", "SS 2", "a 2 2"]
    assert unique_names([["a", "one a"], ["a", "two a"], ["b"]]) == ["one a", "two a", "b"]
