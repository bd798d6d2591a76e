"""Any image array becomes RGB, and RGB becomes what a network takes.

Pure functions; the colour order is never changed. Sources: CLIPer (arXiv 2411.13836)
for the size in patches; mmsegmentation's `Resize` for that of the other methods.
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
from .contrast import Limits, to_8bit

MIN_SIDE = 8

Resampling = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class RGBImage:
    """An image as the networks see it.

    Parameters
    ----------
    pixels : (Y, X, 3) uint8 array
    notes : tuple of str
        What had to be done to get there, in words.
    contrast : dict or None
        What became black and white, as JSON; see `contrast.EightBit`.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    contrast: dict[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def to_rgb(image: NDArray[Any], contrast: Limits | None = None) -> RGBImage:
    """Turn any two-dimensional image into 8-bit RGB.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) array
        Grey, RGB or RGBA of any real dtype; how its values become 8 bit, see `contrast.to_8bit`.
    contrast : (float, float), optional
        What becomes black and white in a grey image. Default: its 0.1 and 99.9 percentiles.

    Raises
    ------
    InvalidInputError
        For any other shape or type, for NaN or infinite values, for an image of less
        than 8 pixels a side, and for one without any contrast, by itself or between the limits.
    """
    image = np.asarray(image)
    _check_shape(image)
    notes = []
    if image.ndim == 2:
        image = image[..., None]
    elif image.shape[2] == 4:
        image = image[..., :3]
        notes.append("The alpha channel was left out.")
    _check_values(image)
    found = to_8bit(image, contrast)
    pixels = found.pixels
    if (pixels == pixels[0, 0]).all():
        raise InvalidInputError(
            f"No pixel stands out: {found.note} Set the contrast limits to the range of the image."
        )
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    notes += [found.note] if found.note else []
    return RGBImage(np.ascontiguousarray(pixels), tuple(notes), found.record)


def _check_shape(image: NDArray[Any]) -> None:
    shape = " x ".join(map(str, image.shape)) or "a single value"
    if image.dtype.kind not in "buif":
        raise InvalidInputError(
            f"An image of type {image.dtype} cannot be segmented; give integers or real numbers."
        )
    if image.size == 0:
        raise InvalidInputError(f"The image is empty ({shape}): there is no pixel to segment.")
    if image.ndim == 3 and image.shape[2] == 2:
        raise InvalidInputError(
            f"The image has two channels ({shape}). Choose one of them, or combine them to RGB."
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise InvalidInputError(
            f"The image is {shape}; a single plane is needed, (Y, X) grey or (Y, X, 3) RGB. Choose "
            "a plane of a stack, and put the channels last."
        )
    if min(image.shape[:2]) < MIN_SIDE:
        raise InvalidInputError(
            f"The image is {image.shape[0]} x {image.shape[1]} pixels; each side needs at least "
            f"{MIN_SIDE}."
        )


def _check_values(image: NDArray[Any]) -> None:
    bad = ~np.isfinite(image).all(axis=2)
    if bad.any():
        raise InvalidInputError(
            f"{np.count_nonzero(bad)} of {bad.size} pixels of the image are NaN or infinite. "
            "Replace them first, for example with numpy.nan_to_num."
        )
    colour = image[0, 0]
    if (image == colour).all():
        first, *others = colour.tolist()
        value = first if all(one == first for one in others) else (first, *others)
        raise InvalidInputError(
            f"Every pixel of the image has the value {value}: there is nothing to segment."
        )


def patch_aligned_shape(shape: tuple[int, int], shorter_side: int, patch: int) -> tuple[int, int]:
    """The size CLIPer resizes to: the shorter side as asked, both multiples of the patch."""
    ratio = shorter_side / min(shape)
    height, width = (max(int(side * ratio / patch + 0.5), 1) * patch for side in shape)
    return height, width


def kept_ratio_shape(
    shape: tuple[int, int], shorter_side: int, longest: int = 2048
) -> tuple[int, int]:
    """The size the other methods resize to: ratio kept, no side over `longest`."""
    ratio = min(shorter_side / min(shape), longest / max(shape))
    height, width = (max(int(side * ratio + 0.5), 1) for side in shape)
    return height, width


def resized(
    pixels: NDArray[np.uint8], shape: tuple[int, int], resampling: Resampling
) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8 at another size: PIL's bicubic, or bilinear without antialiasing."""
    if resampling == "bicubic":
        image = Image.fromarray(pixels).resize(shape[::-1], Image.Resampling.BICUBIC)
        return np.array(image)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    planes = F.interpolate(planes, size=shape, mode="bilinear", align_corners=False)
    result: NDArray[np.uint8] = planes[0].round().byte().permute(1, 2, 0).numpy()
    return result


def normalised(pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(Y, X, 3) uint8 to a (1, 3, Y, X) float32 tensor, (value / 255 - mean) / std."""
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return (planes - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def squashed(pixels: NDArray[np.uint8], side: int) -> Tensor:
    """(Y, X, 3) uint8 to (1, 3, side, side) in [-1, 1], nearest neighbour.

    The ratio of the sides is not kept; so the published refinement sees an image.
    """
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255 * 2 - 1
    return F.interpolate(planes, size=(side, side), mode="nearest")


def padded(pixels: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """(B, C, H, W) with zeros around it until both sides are multiples of `multiple`.

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
