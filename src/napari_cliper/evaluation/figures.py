"""Figures of an evaluation: the confusion matrix, and a contact sheet of the worst images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..io.writers.overlay import Font, font_for, overlay
from ..labels.label_class import ClassRow
from ..labels.labelled_image import LabelledImage
from .metrics import IGNORED

IGNORED_COLOUR = (224, 224, 192)
"""Colour of ignored pixels, as in PASCAL VOC."""

CELL, SMALL_CELL, MANY = 44, 16, 30
"""Side of a matrix cell in pixels: normal, small, and the label count from which it is small."""

PANEL = 240
"""Longer side of an image on the contact sheet, in pixels."""

GAP = 12
"""Space between elements, in pixels."""

_DARK = np.array((8, 48, 107))


def confusion_figure(confusion: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix, normalised by row.

    Parameters
    ----------
    confusion : (C, C) int64 array
        Pixel counts; row: true label, column: predicted label.
    names : sequence of str
        Names of the C labels.

    Returns
    -------
    PIL.Image.Image
        RGB. Labels that occur in neither the truth nor the prediction are left out. Percentages
        are written only in large cells.
    """
    seen = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    part = confusion[np.ix_(seen, seen)]
    share = part / np.maximum(part.sum(axis=1, keepdims=True), 1)
    shown = [names[int(index)] for index in seen]
    cell = CELL if len(seen) < MANY else SMALL_CELL
    font = font_for("".join(shown), 14 if cell == CELL else 12)
    margin = max((_width(name, font) for name in shown), default=0) + 2 * GAP + 24
    side = margin + cell * len(seen) + GAP
    canvas = Image.new("RGB", (max(side, 240), max(side, 120)), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text(
        (GAP, 4), "rows: true, columns: predicted", fill="grey", font=ImageFont.load_default(12)
    )
    for index, name in enumerate(shown):
        at = margin + index * cell
        draw.text(
            (margin - GAP, at + cell / 2), name, fill="black", font=font, anchor=_at(font, "rm")
        )
        canvas.paste(_upright(name, font, cell), (at, margin - GAP - _width(name, font) - 4))
    for row, column in np.ndindex(share.shape):
        value = float(share[row, column])
        left, top = margin + column * cell, margin + row * cell
        shade = np.round(255 + (_DARK - 255) * value).astype(int)
        draw.rectangle((left, top, left + cell - 2, top + cell - 2), fill=_colour(shade))
        if cell == CELL and value >= 0.005:
            middle = (left + cell / 2 - 1, top + cell / 2 - 1)
            ink = "white" if value > 0.5 else "black"
            small = ImageFont.load_default(13)
            draw.text(middle, f"{value:.0%}", fill=ink, font=small, anchor=_at(small, "mm"))
    return canvas


@dataclass(frozen=True, eq=False)
class ContactRow:
    """One row of the contact sheet: an image with its true labels and one or more predictions.

    Parameters
    ----------
    caption : str
    image : (Y, X) or (Y, X, C) array
    truth : (Y, X) uint16 array
        Labels and `IGNORED`.
    labels : tuple of (Y, X) uint8 or uint16 arrays
        The predictions.
    """

    caption: str
    image: NDArray[np.generic]
    truth: NDArray[np.uint16]
    labels: tuple[NDArray[np.uint8 | np.uint16], ...]


def contact_sheet(rows: Sequence[ContactRow], names: Sequence[str]) -> Image.Image:
    """Draw a contact sheet: per row the image, the ground truth, the predictions and a legend.

    Parameters
    ----------
    rows : sequence of ContactRow
    names : sequence of str
        Names of the labels from 1 on.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    classes = {label: ClassRow(name) for label, name in enumerate(names, 1)}
    strips = [_strip(row, classes) for row in rows]
    width = max((strip.width for strip in strips), default=0) + 2 * GAP
    height = sum(strip.height + GAP for strip in strips) + GAP
    canvas = Image.new("RGB", (max(width, 240), height), "white")
    top = GAP
    for strip in strips:
        canvas.paste(strip, (GAP, top))
        top += strip.height + GAP
    return canvas


def _strip(row: ContactRow, classes: dict[int, ClassRow]) -> Image.Image:
    """Draw one row: the caption, and below it the panels and the legend of their labels."""
    ignored = row.truth == IGNORED
    truth = np.where(ignored, 0, row.truth).astype(np.uint16)
    bare = np.zeros(truth.shape, dtype=np.uint8)
    shown: list[NDArray[np.uint8 | np.uint16]] = [bare, truth, *row.labels]
    panels = [_panel(labels, row.image, classes) for labels in shown]
    marked = np.array(panels[1])
    marked[ignored] = IGNORED_COLOUR
    panels[1] = Image.fromarray(marked)
    shrink = min(1.0, PANEL / max(truth.shape))
    size = tuple(max(1, round(side * shrink)) for side in reversed(truth.shape))
    panels = [panel.resize((size[0], size[1]), Image.Resampling.LANCZOS) for panel in panels]
    seen = [np.unique(labels) for labels in (truth, *row.labels)]
    found = np.unique(np.concatenate(seen)).astype(np.uint16)
    key = overlay(LabelledImage("legend", found[None], classes))
    legend = key.crop((len(found), 0, key.width, key.height))  # without the image beside it
    head = 22
    parts = [*panels, legend]
    caption = font_for(row.caption, 14)
    width = max(sum(part.width + GAP for part in parts), _width(row.caption, caption) + GAP)
    canvas = Image.new("RGB", (width, head + max(part.height for part in parts)), "white")
    ImageDraw.Draw(canvas).text((0, 0), row.caption, fill="black", font=caption)
    left = 0
    for part in parts:
        canvas.paste(part, (left, head))
        left += part.width + GAP
    return canvas


def _panel(
    labels: NDArray[np.uint8 | np.uint16],
    image: NDArray[np.generic],
    classes: dict[int, ClassRow],
) -> Image.Image:
    """Draw labels over their image, without the legend."""
    drawn = overlay(LabelledImage("panel", labels, classes, image=image))
    return drawn.crop((0, 0, labels.shape[1], labels.shape[0]))


def _upright(text: str, font: Font, cell: int) -> Image.Image:
    """Draw a name from bottom to top, centred in a column of the matrix."""
    flat = Image.new("RGB", (_width(text, font) + 4, cell), "white")
    ImageDraw.Draw(flat).text((2, cell / 2), text, fill="black", font=font, anchor=_at(font, "lm"))
    return flat.transpose(Image.Transpose.ROTATE_90)


def _colour(values: NDArray[np.int_]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _width(text: str, font: Font) -> int:
    return int(np.ceil(ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(text, font=font)))


def _at(font: Font, anchor: str) -> str | None:
    """Return a text anchor, or None for Pillow's bitmap font, which supports none."""
    return anchor if isinstance(font, ImageFont.FreeTypeFont) else None
