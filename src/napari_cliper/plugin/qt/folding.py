"""A part of the dock that folds, as wide as the others."""

from __future__ import annotations

from superqt import QCollapsible


def folding(title: str) -> QCollapsible:
    """A folded part with a title; `addWidget` puts what is inside."""
    folder = QCollapsible(
        title,
        expandedIcon="\N{BLACK DOWN-POINTING TRIANGLE}",
        collapsedIcon="\N{BLACK RIGHT-POINTING TRIANGLE}",
    )
    folder.setDuration(0)
    layout = folder.layout()
    assert layout is not None  # noqa: S101 - it is made with one
    layout.setContentsMargins(0, 0, 0, 0)
    return folder
