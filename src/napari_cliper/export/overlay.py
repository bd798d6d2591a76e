"""A picture of labels over their image, with a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from .colours import class_colours

OPACITY = 0.4
# Fonts with many scripts that systems carry; Pillow's own has Latin letters alone.
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "DejaVuSans.ttf")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def overlay(
    image: NDArray[np.uint8], labels: NDArray[np.uint8 | np.uint16], names: Sequence[str]
) -> Image.Image:
    """Draw labels over their image, and beside it a legend of the classes that occur.

    Parameters
    ----------
    image : (Y, X, 3) uint8 array
    labels : (Y, X) array of int
        0 is background, i + 1 is ``names[i]``.
    names : sequence of str

    Returns
    -------
    PIL.Image.Image
        RGB, as high as the image or as the legend needs.
    """
    colours = class_colours(len(names))
    found = [int(label) for label in np.unique(labels) if label]
    painted = np.concatenate([[(0, 0, 0)], colours])[labels]  # (Y, X, 3)
    mixed = (1 - OPACITY) * image + OPACITY * painted
    edge = find_boundaries(labels, mode="inner") & (labels > 0)
    filled = np.where(edge[..., None], painted, np.where(labels[..., None] > 0, mixed, image))
    picture = Image.fromarray(filled.round().astype(np.uint8))

    font = _font("".join(names), max(12, min(image.shape[0] // 24, 28)))
    legend = _legend([(names[i - 1], tuple(colours[i - 1].tolist())) for i in found], font)
    canvas = Image.new(
        "RGB",
        (picture.width + legend.width, max(picture.height, legend.height)),
        "white",
    )
    canvas.paste(picture, (0, 0))
    canvas.paste(legend, (picture.width, 0))
    return canvas


def label_counts(labels: NDArray[np.uint8 | np.uint16], classes: int) -> list[int]:
    """Pixels of each label, background first: `classes` + 1 numbers."""
    counts: list[int] = np.bincount(labels.ravel(), minlength=classes + 1).tolist()
    return counts


def _font(text: str, size: int) -> Font:
    if not text.isascii():
        for name in _WIDE_FONTS:
            try:
                return ImageFont.truetype(name, size)
            except OSError:  # this system does not have it
                continue
    return ImageFont.load_default(size)


def _legend(rows: Sequence[tuple[str, tuple[int, ...]]], font: Font) -> Image.Image:
    texts = [name for name, _ in rows] or ["nothing found"]
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    line = int(measure.textbbox((0, 0), "Ág", font=font)[3] * 1.5)
    width = max(int(measure.textlength(text, font=font)) for text in texts)
    legend = Image.new("RGB", (width + 3 * line, line * (len(texts) + 1)), "white")
    draw = ImageDraw.Draw(legend)
    for index, text in enumerate(texts):
        top = line // 2 + index * line
        left = line // 2
        if rows:
            draw.rectangle((left, top, left + line - 4, top + line - 6), fill=rows[index][1])
            left += line + 4
        draw.text((left, top), text, fill="black", font=font)
    return legend
