"""Any real values become 8 bit: the one rule for the networks, the superpixels and overlays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

PERCENTILES = (0.1, 99.9)

Limits = tuple[float, float]
"""(black, white): values at or below black become 0, at or above white 255."""


@dataclass(frozen=True, eq=False)
class EightBit:
    """An image in 8 bit.

    Parameters
    ----------
    pixels : uint8 array
        A new array in the shape of the image.
    note : str
        What was done, in words; empty where nothing was changed.
    record : dict or None
        The same as JSON: ``black``, ``white`` and their ``source``; None for unchanged values.
    """

    pixels: NDArray[np.uint8]
    note: str = ""
    record: dict[str, Any] | None = None


def to_8bit(image: NDArray[Any], contrast: Limits | None = None) -> EightBit:
    """Turn the values of an image into 8 bit.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) array
        Finite values of any real dtype; grey where it has one channel or no axis for them.

        Grey values are stretched linearly between the contrast limits, or where there are none from
        their 0.1 to their 99.9 percentile. Colours of 8 bit stay unchanged, floats in [0, 1] are
        multiplied by 255, and others are stretched like grey values, all channels alike. True
        and False are white and black. An image of a single value stays as dark as it is in
        8 bit, and is black otherwise.
    contrast : (float, float), optional
        What becomes black and what becomes white. Only for grey images; colours ignore it.

    Raises
    ------
    InvalidInputError
        For contrast limits that are not two finite, increasing numbers.
    """
    if image.dtype == bool:
        note = "A mask of True and False was taken as white and black."
        return EightBit(image.astype(np.uint8) * 255, note)
    grey = image.ndim == 2 or image.shape[2] == 1
    low, high = float(image.min()), float(image.max())
    if not grey:
        if image.dtype == np.uint8:
            return EightBit(image.copy())
        if np.issubdtype(image.dtype, np.floating) and low >= 0 and high <= 1:
            return EightBit(np.rint(image * 255).astype(np.uint8))
    if grey and contrast is not None:
        black, white = _checked(contrast)
        source, words = "contrast limits", "the contrast limits"
    else:
        if low == high:
            return EightBit(image.copy() if image.dtype == np.uint8 else np.zeros_like(image, "u1"))
        black, white = map(float, np.percentile(image, PERCENTILES))
        source = "percentiles {:g} and {:g}".format(*PERCENTILES)
        words = "their {:g} and {:g} percentiles".format(*PERCENTILES)
        if black == white:
            black, white = low, high
            source, words = "minimum and maximum", "their minimum and maximum"
    if image.dtype == np.uint8 and (black, white) == (0, 255):
        return EightBit(image.copy())
    values = image.astype(np.float64)  # changed in place: images are large
    values -= black
    values *= 255 / (white - black)
    return EightBit(
        np.rint(values.clip(0, 255, out=values), out=values).astype(np.uint8),
        f"{image.dtype} values {black:g} to {white:g} ({words}) were stretched to 0 to 255.",
        {"black": black, "white": white, "source": source},
    )


def _checked(contrast: Limits) -> Limits:
    black, white = map(float, contrast)
    if not (np.isfinite([black, white]).all() and black < white):
        raise InvalidInputError(
            f"The contrast limits are {black:g} and {white:g}. Give two increasing numbers."
        )
    return black, white
