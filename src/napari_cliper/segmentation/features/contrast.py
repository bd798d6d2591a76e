"""Convert images to 8 bit; the same rule serves networks, superpixels and overlays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

PERCENTILES = (0.1, 99.9)

Limits = tuple[float, float]
"""(black, white): values at or below black become 0, at or above white 255."""


@dataclass(frozen=True, eq=False)
class EightBit:
    """An 8-bit image and how its values were converted.

    Parameters
    ----------
    pixels : uint8 array
        A new array of the same shape as the image.
    note : str
        Description of the conversion for the user; empty if values are unchanged.
    record : dict or None
        The conversion as JSON: ``black``, ``white`` and their ``source``; None if no contrast
        limits were applied.
    """

    pixels: NDArray[np.uint8]
    note: str = ""
    record: dict[str, Any] | None = None


@dataclass(frozen=True)
class Stretch:
    """How the values of an image become 8 bit; the same for all tiles of it.

    Parameters
    ----------
    kind : {'unchanged', 'boolean', 'unit', 'zero', 'linear'}
        `unit`: values of 0 to 1 are multiplied by 255. `zero`: every value becomes 0. `linear`:
        `black` becomes 0 and `white` 255.
    black, white : float
    note : str
        Description for the user; empty if values are unchanged.
    source : str
        Where `black` and `white` are from.
    gamma : float
        Exponent of the values of a linear stretch, after they were scaled to 0 to 1.
    """

    kind: Literal["unchanged", "boolean", "unit", "zero", "linear"]
    black: float = 0.0
    white: float = 255.0
    note: str = ""
    source: str = ""
    gamma: float = 1.0

    @property
    def record(self) -> dict[str, Any] | None:
        """`black`, `white`, `source` and a `gamma` as JSON; None unless the stretch is linear."""
        if self.kind != "linear":
            return None
        found = {"black": self.black, "white": self.white, "source": self.source}
        return found if self.gamma == 1 else {**found, "gamma": self.gamma}

    def apply(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert an array of any shape to 8 bit; always a new array."""
        if self.kind == "unchanged":
            return image.astype(np.uint8)
        if self.kind == "zero":
            return np.zeros_like(image, "u1")
        if self.kind == "boolean":
            return image.astype(np.uint8) * 255
        if self.kind == "unit":
            scaled: NDArray[Any] = np.rint((image * 255).clip(0, 255))
            return scaled.astype(np.uint8)
        values = image.astype(np.float64)  # changed in place: images are large
        values -= self.black
        if self.gamma == 1:
            values *= 255 / (self.white - self.black)
        else:
            values *= 1 / (self.white - self.black)
            np.power(values.clip(0, 1, out=values), self.gamma, out=values)
            values *= 255
        np.rint(values.clip(0, 255, out=values), out=values)
        return values.astype(np.uint8)


def stretch_of(image: NDArray[Any], contrast: Limits | None = None, gamma: float = 1.0) -> Stretch:
    """Return how an image becomes 8 bit; the parameters and rules are those of `to_8bit`.

    Of a large image, a sample of its pixels is enough.
    """
    check_gamma(gamma)
    if image.dtype == bool:
        note = "The boolean mask was converted to white (True) and black (False)."
        return Stretch("boolean", note=note)
    grey = image.ndim == 2 or image.shape[2] == 1
    low, high = float(image.min()), float(image.max())
    if not grey:
        if image.dtype == np.uint8:
            return Stretch("unchanged")
        if np.issubdtype(image.dtype, np.floating) and low >= 0 and high <= 1:
            return Stretch("unit")
    if grey and contrast is not None:
        black, white = checked_limits(contrast)
        source, words = "contrast limits", "contrast limits"
    else:
        if low == high:
            return Stretch("unchanged" if image.dtype == np.uint8 else "zero")
        black, white = map(float, np.percentile(image, PERCENTILES))
        source = "percentiles {:g} and {:g}".format(*PERCENTILES)
        words = source
        if black == white:
            black, white = low, high
            source = words = "minimum and maximum"
    power = gamma if grey else 1.0
    if image.dtype == np.uint8 and (black, white) == (0, 255) and power == 1:
        return Stretch("unchanged")
    note = f"{image.dtype} values {black:g} to {white:g} ({words}) were stretched to 0 to 255"
    note += "." if power == 1 else f", with gamma {power:g}."
    return Stretch("linear", black, white, note, source, power)


def to_8bit(image: NDArray[Any], contrast: Limits | None = None, gamma: float = 1.0) -> EightBit:
    """Convert an image to 8 bit.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) array
        Finite values of any real dtype. Images without channel axis or with one channel are grey.
    contrast : (float, float), optional
        Values mapped to 0 and 255. Ignored for colour images.
    gamma : float
        Exponent of the scaled values of a grey image, as in napari. Ignored for colour images.

    Returns
    -------
    EightBit

    Raises
    ------
    InvalidInputError
        If the contrast limits are not two finite, increasing numbers, or gamma is not above 0.

    Notes
    -----
    Grey values are scaled linearly from the contrast limits (default: the 0.1 and 99.9 percentiles)
    to 0 and 255. Colour images: uint8 is unchanged, floats in [0, 1] are multiplied by 255, other
    values are scaled like grey values, with the same limits for all channels. Booleans become 0 and
    255. A constant image is unchanged if it is uint8 and becomes 0 otherwise.
    """
    stretch = stretch_of(image, contrast, gamma)
    return EightBit(stretch.apply(image), stretch.note, stretch.record)


def checked_limits(contrast: Limits) -> Limits:
    """Return contrast limits as floats.

    Raises
    ------
    InvalidInputError
        If they are not two finite, increasing numbers.
    """
    black, white = map(float, contrast)
    if not (np.isfinite([black, white]).all() and black < white):
        raise InvalidInputError(
            f"The contrast limits are {black:g} and {white:g}. Give two increasing numbers."
        )
    return black, white


def check_gamma(gamma: float) -> None:
    """Refuse a gamma that is not a finite number above 0.

    Raises
    ------
    InvalidInputError
    """
    if not (np.isfinite(gamma) and gamma > 0):
        raise InvalidInputError(f"The gamma is {gamma:g}. Give a number above 0.")
