"""The oldest napari that the dock works with."""

from __future__ import annotations

from importlib.metadata import version

from . import ui_text

NAPARI_NEEDED = (0, 9)


def check_napari() -> None:
    """Check that napari is new enough.

    Raises
    ------
    RuntimeError
        If it is too old; napari shows the message instead of the dock.
    """
    installed = version("napari")
    if tuple(int(part) for part in installed.split(".")[:2]) < NAPARI_NEEDED:
        needed = ".".join(map(str, NAPARI_NEEDED))
        raise RuntimeError(ui_text.too_old_napari(needed=needed, installed=installed))
