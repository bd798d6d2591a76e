"""Convert image arrays to 8-bit RGB, resize and normalise them for a network.

Pure functions. Sources of the sizes: CLIPer (arXiv 2411.13836); mmsegmentation's `Resize` for the
other methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..errors import InvalidInputError
from ..working_size import MIN_SIDE
from .composite import Composite
from .contrast import Limits, to_8bit

Resampling = Literal["bicubic", "bilinear"]
RGBPixels = NDArray[np.uint8]
"""(H, W, 3) of an image in 8-bit RGB."""


@dataclass(frozen=True)
class RGBImage:
    """An 8-bit RGB image, the input of the networks.

    Parameters
    ----------
    pixels : (Y, X, 3) uint8 array
    notes : tuple of str
        Descriptions of the conversions, for the user.
    contrast : dict or None
        Contrast limits as JSON, see `contrast.EightBit`; of channels, see `Composite.record`.
    masks : (Y, X) int32 array or None
        Masks that are given for the image, numbered from 1 without gaps; 0 is in none.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    contrast: dict[str, Any] | None = None
    masks: NDArray[np.int32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def to_rgb(image: Any, contrast: Limits | None = None, gamma: float = 1.0) -> RGBImage:
    """Convert a two-dimensional image to 8-bit RGB.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) array, or Composite
        Grey, RGB or RGBA of any real dtype. `contrast.to_8bit` describes the conversion of values.
    contrast : (float, float), optional
        Values of a grey image mapped to black and white. Default: its 0.1 and 99.9 percentiles.
    gamma : float
        Of a grey image; see `contrast.to_8bit`.

    Raises
    ------
    InvalidInputError
        For any other shape or dtype, NaN or infinite values, sides shorter than 8 pixels, and
        images that are constant, before or after applying the contrast limits.
    """
    check_shape(image)
    if isinstance(image, Composite):
        mixed = np.asarray(image)
        if is_constant(mixed):
            raise no_contrast(image.note)
        return RGBImage(mixed, (image.note,), image.record)
    channels, notes = as_channels(np.asarray(image))
    check_finite(channels)
    _check_contrast(channels)
    found = to_8bit(channels, contrast, gamma)
    pixels = found.pixels
    if is_constant(pixels):
        raise no_contrast(found.note)
    notes += (found.note,) if found.note else ()
    return RGBImage(as_rgb(pixels), notes, found.record)


def as_channels(image: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return an image as (Y, X, 1 or 3) without its alpha channel, and notes for the user."""
    if image.ndim == 2:
        return image[..., None], ()
    if image.shape[2] == 4:
        return image[..., :3], ("The alpha channel was ignored.",)
    return image, ()


def as_rgb(pixels: NDArray[np.uint8]) -> RGBPixels:
    """Return (Y, X, 1 or 3) uint8 pixels as contiguous (Y, X, 3)."""
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)


def no_contrast(note: str) -> InvalidInputError:
    """Return the error for an image whose pixels are equal after the conversion in `note`."""
    if not note:
        return InvalidInputError(
            "All pixels are equal: there is nothing to segment. Choose another image or region."
        )
    return InvalidInputError(
        f"All pixels are equal after conversion: {note} Set the contrast limits to the range of "
        "the image."
    )


def is_constant(image: NDArray[Any]) -> bool:
    """Return whether all pixels of a (Y, X, C) array are equal."""
    one = image[0, 0]
    return bool((image[0] == one).all() and (image == one).all())  # the first row mostly decides


def check_shape(image: Any) -> None:
    """Refuse what is not a plane of grey, RGB or RGBA values with sides of at least 8 pixels.

    Parameters
    ----------
    image : array
        Of any library; only `shape`, `ndim`, `size` and `dtype` are used.
    """
    shape = " x ".join(map(str, image.shape)) or "a single value"
    if image.dtype.kind not in "buif":
        raise InvalidInputError(
            f"An image of type {image.dtype} cannot be segmented. Convert it to integers or floats."
        )
    if image.size == 0:
        raise InvalidInputError(f"The image is empty ({shape}). Choose an image with pixels.")
    if image.ndim == 3 and image.shape[2] == 2:
        raise InvalidInputError(
            f"The image has two channels ({shape}). Choose one of them or combine them to RGB."
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise InvalidInputError(
            f"The image has the shape {shape}. A single plane is needed: (Y, X) grey or (Y, X, 3) "
            "RGB. Choose one plane of the stack and move the channels to the last axis."
        )
    if min(image.shape[:2]) < MIN_SIDE:
        raise InvalidInputError(
            f"The image is {image.shape[0]} x {image.shape[1]} pixels; each side needs at least "
            f"{MIN_SIDE}."
        )


def check_finite(image: NDArray[Any]) -> None:
    """Refuse a (Y, X, C) array with values that are NaN or infinite."""
    if image.dtype.kind in "bui":
        return
    bad = ~np.isfinite(image).all(axis=2)
    if bad.any():
        raise InvalidInputError(
            f"{np.count_nonzero(bad)} of {bad.size} pixels of the image are NaN or infinite. "
            "Replace them first, for example with numpy.nan_to_num."
        )


def _check_contrast(image: NDArray[Any]) -> None:
    if is_constant(image):
        first, *others = image[0, 0].tolist()
        value = first if all(one == first for one in others) else (first, *others)
        raise InvalidInputError(
            f"Every pixel of the image has the value {value}: there is nothing to segment. "
            "Choose another image or region."
        )


def resized(
    pixels: NDArray[np.uint8], shape: tuple[int, int], resampling: Resampling
) -> NDArray[np.uint8]:
    """Resize a (Y, X, 3) uint8 image: PIL's bicubic, or bilinear without antialiasing."""
    if resampling == "bicubic":
        image = Image.fromarray(pixels).resize(shape[::-1], Image.Resampling.BICUBIC)
        return np.array(image)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    planes = F.interpolate(planes, size=shape, mode="bilinear", align_corners=False)
    result: NDArray[np.uint8] = planes[0].round().byte().permute(1, 2, 0).numpy()
    return result


def normalised(pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalise a (Y, X, 3) uint8 image: (value / 255 - mean) / std, (1, 3, Y, X) float32."""
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return (planes - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def squashed(pixels: NDArray[np.uint8], side: int) -> Tensor:
    """Resize a (Y, X, 3) uint8 image to a square, (1, 3, side, side) float32 in [-1, 1].

    Nearest neighbour; the aspect ratio is not preserved, as in CLIPer's published refinement.
    """
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255 * 2 - 1
    return F.interpolate(planes, size=(side, side), mode="nearest")


def padded(pixels: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Zero-pad a (B, C, H, W) tensor on all sides to multiples of `multiple`.

    Returns
    -------
    tensor
        The padded pixels.
    (int, int)
        Rows above and columns left of the original.
    """
    height, width = -pixels.shape[-2] % multiple, -pixels.shape[-1] % multiple
    top, left = height // 2, width // 2
    return F.pad(pixels, (left, width - left, top, height - top)), (top, left)
