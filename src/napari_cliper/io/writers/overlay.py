"""Draw labels over their image, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageStat

from ...labels.label_names import check_plane, label_name, palette
from ...labels.labelled_image import LabelArray, LabelledImage
from ...labels.regions import label_counts
from ...segmentation import to_8bit

OPACITY = 0.4

# System fonts with many scripts; Pillow's own font has only Latin letters.
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "DejaVuSans.ttf")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def overlay(image: LabelledImage) -> Image.Image:
    """Draw labels over their image, with a legend of the classes that occur on the right.

    Parameters
    ----------
    image : LabelledImage
        A plane. Labels without a class are drawn in white and listed by their number. Without an
        image, the labels are drawn on black.

    Returns
    -------
    PIL.Image.Image
        RGB, as high as the image or the legend, whichever is higher.

    Raises
    ------
    InvalidInputError
        For a stack.
    """
    check_plane(image, "An overlay")
    labels = image.labels
    background = _rgb(image)
    counts = label_counts(labels, 1 << 16)
    found = [int(label) for label in np.flatnonzero(counts) if label]
    colours = palette(image, max(found, default=0) + 1)
    # 8 bits throughout: float64 takes six times the memory and ten times as long.
    drawn, painted = Image.fromarray(background), Image.fromarray(colours.take(labels, axis=0))
    mixed = Image.blend(drawn, painted, OPACITY)
    drawn = Image.composite(mixed, drawn, Image.fromarray(labels > 0))
    edge = _outlines(labels)
    drawn.paste(painted, mask=Image.fromarray(edge))

    names = [label_name(image, label) for label in found]
    font = font_for("".join(names), max(12, min(labels.shape[0] // 24, 28)))
    legend = _legend(
        [
            (name, _inner(drawn, (labels == label) & ~edge), tuple(colours[label].tolist()))
            for name, label in zip(names, found, strict=True)
        ],
        font,
    )
    canvas = Image.new(
        "RGB",
        (drawn.width + legend.width, max(drawn.height, legend.height)),
        "white",
    )
    canvas.paste(drawn, (0, 0))
    canvas.paste(legend, (drawn.width, 0))
    return canvas


def write_overlay(path: Path, image: LabelledImage) -> None:
    """Write an `overlay` as a PNG.

    All rows have the filter "average", and zlib finds runs of equal bytes only, which takes a
    seventh of the time of Pillow's PNG. Files of synthetic scenes are as large, those of real
    images a quarter larger.
    """
    pixels = np.asarray(overlay(image))
    filtered = imagecodecs.PNG.FILTER.AVG
    path.write_bytes(
        imagecodecs.png_encode(pixels, strategy=imagecodecs.PNG.STRATEGY.RLE, filter=filtered)
    )


def _outlines(labels: LabelArray) -> NDArray[np.bool_]:
    """Labelled pixels with a neighbour of another label or the background, (Y, X) bool."""
    edge = np.zeros(labels.shape, dtype=bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = labels[one] != labels[other]
        edge[one] |= differ
        edge[other] |= differ
    return edge & (labels > 0)


def _rgb(image: LabelledImage) -> NDArray[np.uint8]:
    """The image as 8-bit RGB, (Y, X, 3), converted as for the engine."""
    if image.image is None:
        return np.zeros((*image.labels.shape, 3), dtype=np.uint8)
    values: NDArray[Any] = np.asarray(image.image).reshape(*image.labels.shape, -1)[..., :3]
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
    pixels = to_8bit(values, image.contrast, image.gamma).pixels
    if pixels.shape[2] == 2:  # two channels as red and green
        pixels = np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=2)
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def font_for(text: str, size: int) -> Font:
    """Load a font that covers a text, if the system has one."""
    if not text.isascii():
        for name in _WIDE_FONTS:
            try:
                return ImageFont.truetype(name, size)
            except OSError:  # not on this system
                continue
    return ImageFont.load_default(size)


def _inner(drawn: Image.Image, inside: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """Mean colour of the pixels in a (Y, X) bool mask; None for an empty mask."""
    if not inside.any():
        return None
    return tuple(round(value) for value in ImageStat.Stat(drawn, Image.fromarray(inside)).mean)


def _legend(
    rows: Sequence[tuple[str, tuple[int, ...] | None, tuple[int, ...]]], font: Font
) -> Image.Image:
    """Draw the legend: for each class, its name and its fill and outline colour in the image."""
    texts = [name for name, _, _ in rows] or ["nothing found"]
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    line = int(measure.textbbox((0, 0), "Ág", font=font)[3] * 1.5)
    width = max(int(measure.textlength(text, font=font)) for text in texts)
    legend = Image.new("RGB", (width + 3 * line, line * (len(texts) + 1)), "white")
    draw = ImageDraw.Draw(legend)
    for index, text in enumerate(texts):
        top = line // 2 + index * line
        left = line // 2
        if rows:
            _, inner, outline = rows[index]
            draw.rectangle(
                (left, top, left + line - 4, top + line - 6),
                fill=inner or outline,
                outline=outline,
                width=2,
            )
            left += line + 4
        draw.text((left, top), text, fill="black", font=font)
    return legend
