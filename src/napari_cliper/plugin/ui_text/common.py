"""Texts that several panels use, and numbers and lists in words."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: int, one: str, several: str = "") -> str:
    """A number with its noun: ``1 class``, ``1,200 pixels``."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def count_classes(number: int) -> str:
    """A number of classes: ``1 class``, ``3 classes``."""
    return count(number, "class", "classes")


def listed(names: Sequence[str], most: int) -> str:
    """The first names with commas between, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


# ---------------------------------------------------------------------- everywhere

DOCK = "CLIPer segmentation"
DISCARD = "Discard"
UNDO = "Undo"
BROWSE = "Browse ..."
NOTHING_TO_UNDO = "There is nothing to undo."
CHOOSE_IMAGE_FIRST = "Choose an image first."
BACKGROUND_NAME = "background"


def choice_now(*, tip: str, text: str) -> str:
    """The tooltip of a box: what it is for, and what is chosen."""
    return f"{tip} Now: {text}."


def not_saved(*, error: str) -> str:
    """An annotation could not be written."""
    return f"Not saved: {error}"


def another_size(*, image: str, layer: str = "") -> str:
    """An image was replaced by one that its annotation does not fit."""
    cure = f" Save or remove the layer {layer} first." if layer else ""
    return f"{image} no longer has the size of its annotation.{cure}"


def too_old_napari(*, needed: str, installed: str) -> str:
    """The installed napari is older than this plugin needs."""
    return (
        f"napari-cliper needs napari {needed} or later; napari {installed} is installed. "
        f'Upgrade it with: pip install --upgrade "napari>={needed}"'
    )


def unexpected_error(error: BaseException) -> str:
    """An error that the engine did not raise on purpose."""
    return (
        f"Unexpected error: {type(error).__name__}: {error}. Nothing was changed. The log has the "
        "details. Try again, or choose other settings."
    )
