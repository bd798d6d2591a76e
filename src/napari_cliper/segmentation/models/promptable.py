"""Promptable encoders: embed an image once, then outline one object after another.

A network such as SAM (arXiv 2304.02643) or SAM 2 (2408.00714) sees a square. `Frame` holds where
the image lies in it; `PromptableModel` resizes the image, turns coordinates into those of the
square and brings masks back to the size of the image. An encoder and a decoder do the rest: one
file for each library that runs them. To add one, write a file with an `ImageEmbedder` and a
`MaskDecoder`, and build it in ``sam.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import InvalidInputError
from ..object_prompt import ObjectPrompt
from ..progress import Monitor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

MASKS = 3
"""Most masks of one object."""

NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = 0, 1, 2, 3
"""Labels of points, as SAM's prompt encoder numbers them."""


@dataclass(frozen=True)
class Frame:
    """Where an image lies in the square that a network sees.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of the image.
    resized : (int, int)
        (Y, X) that it is resized to. It lies at the top left of the square.
    side : int
        Side of the square.
    padded : bool
        Whether the image keeps its aspect ratio, and the rest of the square is padding. False
        for an image that is stretched to the square.
    """

    shape: tuple[int, int]
    resized: tuple[int, int]
    side: int
    padded: bool

    def to_square(self, points: tuple[tuple[float, float], ...]) -> list[list[float]]:
        """Return (row, column) positions of the image as (x, y) in the square."""
        down, across = (new / old for new, old in zip(self.resized, self.shape, strict=True))
        return [[column * across, row * down] for row, column in points]

    def to_image(self, logits: Tensor) -> Tensor:
        """Resize (n, h, w) logits of the square to the image, (n, Y, X)."""
        planes = logits[None]
        if self.padded:
            planes = _resize(planes, (self.side, self.side))
            planes = planes[..., : self.resized[0], : self.resized[1]]
        return _resize(planes, self.shape)[0]

    def without_padding(self, grid: Tensor) -> Tensor:
        """Return a (C, h, w) grid of the square as one that covers exactly the image.

        A padded grid is sampled at new cells of about the same size.
        """
        cells = grid.shape[1:]
        inside = [n * part / self.side for n, part in zip(cells, self.resized, strict=True)]
        wanted = [max(1, round(part)) for part in inside]
        if list(cells) == wanted and self.resized == (self.side, self.side):
            return grid
        rows, columns = (
            (torch.arange(n, dtype=torch.float32) + 0.5) * (part / n) * (2 / whole) - 1
            for n, part, whole in zip(wanted, inside, cells, strict=True)
        )
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return F.grid_sample(
            grid[None].float(),
            torch.stack([x, y], dim=-1)[None],
            padding_mode="border",
            align_corners=False,
        )[0]


def _resize(planes: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(planes, shape, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class InputLayout:
    """How an encoder takes an image.

    Parameters
    ----------
    side : int
        Side of the square that it sees.
    padded : bool
        See `Frame`.
    limits : (int or None, int or None)
        Largest height and width, if other than the side.
    normalises : bool
        Whether the encoder itself normalises and pads; it then takes values from 0 to 255 in
        (Y, X, 3).
    """

    side: int
    padded: bool = True
    limits: tuple[int | None, int | None] = (None, None)
    normalises: bool = False

    def frame(self, shape: tuple[int, int]) -> Frame:
        """Return where an image of this shape lies in the square."""
        if not self.padded:
            return Frame(shape, (self.side, self.side), self.side, padded=False)
        most = [self.side if limit is None else limit for limit in self.limits]
        scale = min(limit / n for limit, n in zip(most, shape, strict=True))
        height, width = (max(1, int(n * scale + 0.5)) for n in shape)
        return Frame(shape, (height, width), self.side, padded=True)

    def pixels(self, image: NDArray[np.uint8], frame: Frame) -> Tensor:
        """Resize a (Y, X, 3) uint8 image, normalise and pad it.

        Returns
        -------
        (1, 3, side, side) or (Y, X, 3) float32 tensor
            As `normalises` says.
        """
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        resized = F.interpolate(planes, frame.resized, mode="bilinear", antialias=True)
        if self.normalises:
            height, width = self.limits
            return _padded(resized.float(), height, width)[0].permute(1, 2, 0).contiguous()
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        return _padded((resized.float() / 255 - mean) / std, self.side, self.side)


def _padded(planes: Tensor, height: int | None, width: int | None) -> Tensor:
    """Pad with 0 at the right and below; None leaves a side unchanged."""
    below = 0 if height is None else height - planes.shape[-2]
    right = 0 if width is None else width - planes.shape[-1]
    return F.pad(planes, (0, right, 0, below))


@dataclass(frozen=True, eq=False)
class BlockAttention:
    """The attention of an encoder's last block between the patches of the image.

    Parameters
    ----------
    grid : (int, int)
        Rows and columns of the n patches that lie in the image, without the padding.
    values : (heads, n, d) float32 tensor
    of_head : callable
        Returns the attention of a head, (n, n) float32. Rows sum to less than 1 where a patch
        attends to the padding. Computed on request, since all heads together may take a gigabyte.
    """

    grid: tuple[int, int]
    values: Tensor
    of_head: Callable[[int], Tensor]


class ImageEmbedder(Protocol):
    """The image encoder of a promptable model."""

    layout: InputLayout

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights; empty for another library."""
        ...

    def encode(self, pixels: Tensor, monitor: Monitor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Encode an image.

        Parameters
        ----------
        pixels : float32 tensor
            As `layout.pixels` returns it.

        Returns
        -------
        tuple of Tensor
            What the decoder needs.
        list of (C, h, w) tensor
            Features of the square, from fine to coarse; any C, any scale.
        """
        ...


@runtime_checkable
class AttentionEmbedder(ImageEmbedder, Protocol):
    """An image encoder whose last block attends between all patches: a SAM of transformers."""

    def last_attention(
        self, pixels: Tensor, inside: tuple[int, int], monitor: Monitor
    ) -> BlockAttention:
        """Return the attention of the last block, for Trident.

        Parameters
        ----------
        pixels : float32 tensor
            As for `encode`.
        inside : (int, int)
            (Y, X) of the image at the top left of the square.

        Raises
        ------
        InvalidInputError
            If the encoder has no attention between all patches.
        """
        ...


class MaskDecoder(Protocol):
    """The prompt encoder and mask decoder of a promptable model."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights; empty for another library."""
        ...

    def decode(
        self,
        embedding: tuple[Tensor, ...],
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        *,
        single: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return masks of one object.

        Parameters
        ----------
        embedding : tuple of Tensor
        points : (1, N, 2) float32 tensor
            (x, y) in the square. The corners of a box come last.
        labels : (1, N) int64 tensor
            `NEGATIVE`, `POSITIVE`, or `TOP_LEFT` and `BOTTOM_RIGHT` for a box.
        previous : (h, w) float32 tensor, optional
            The mask that the points correct, as this method returned it.
        single : bool
            Whether the first mask is enough, which may take less time.

        Returns
        -------
        (n, h, w) float32 tensor
            Logits over the square; positive inside the object. One to `MASKS` of them, in the order
            of `in_order`.
        (n,) float32 tensor
            The IoU that the network expects of each mask.
        """
        ...


@dataclass(frozen=True, eq=False)
class ObjectEmbedding:
    """An image as a promptable model sees it; `PromptableModel.masks` needs no more.

    Parameters
    ----------
    frame : Frame
    tensors : tuple of Tensor
        What the decoder needs, in CPU memory.
    features : tuple of (C, h, w) float32 tensor
        Feature grids from fine to coarse, in CPU memory. Each covers exactly the image.
    """

    frame: Frame
    tensors: tuple[Tensor, ...]
    features: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(tensor.nbytes for tensor in (*self.tensors, *self.features))


@dataclass(frozen=True, eq=False)
class ObjectMasks:
    """Possible outlines of one object, at the size of its image.

    Parameters
    ----------
    masks : (n, Y, X) bool array
        One to three masks. The network's own choice comes first.
    scores : (n,) float32 array
        The IoU that the network expects of each mask.
    logits : (n, h, w) float32 array
        The masks as the network gives them, to be corrected by further clicks.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    logits: NDArray[np.float32]


class PromptableModel:
    """An encoder and a decoder that outline the object at some points or in a box.

    Parameters
    ----------
    encoder : ImageEmbedder
    decoder : MaskDecoder
    """

    def __init__(self, encoder: ImageEmbedder, decoder: MaskDecoder) -> None:
        self.encoder = encoder
        self.decoder = decoder

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        return tuple(dict.fromkeys((*self.encoder.networks, *self.decoder.networks)))

    def embed(self, image: NDArray[np.uint8], monitor: Monitor | None = None) -> ObjectEmbedding:
        """Encode a (Y, X, 3) uint8 RGB image; takes seconds."""
        monitor = monitor or Monitor()
        layout = self.encoder.layout
        frame = layout.frame((image.shape[0], image.shape[1]))
        with torch.inference_mode():
            tensors, grids = self.encoder.encode(layout.pixels(image, frame), monitor)
            features = tuple(frame.without_padding(grid.float().cpu()) for grid in grids)
        return ObjectEmbedding(frame, tuple(one.cpu() for one in tensors), features)

    def masks(
        self,
        embedding: ObjectEmbedding,
        prompt: ObjectPrompt,
        previous: NDArray[np.float32] | None = None,
    ) -> ObjectMasks:
        """Return masks of the object of a prompt; takes a fraction of a second.

        Parameters
        ----------
        embedding : ObjectEmbedding
        prompt : ObjectPrompt
            All clicks on the object, also the earlier ones.
        previous : (h, w) float32 array, optional
            The mask of the earlier clicks that the new ones correct: one of `ObjectMasks.logits`.
        """
        given = None if previous is None else torch.from_numpy(previous)
        logits, scores = self.mask_logits(embedding, prompt, given)
        with torch.inference_mode():
            masks = embedding.frame.to_image(logits) > 0
        return ObjectMasks(masks.numpy(), scores.numpy(), logits.numpy())

    def mask_logits(
        self, embedding: ObjectEmbedding, prompt: ObjectPrompt, previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return masks of the object of a prompt as the network gives them.

        The parameters are those of `masks`.

        Returns
        -------
        (n, h, w) float32 tensor
            Logits over the square, the network's own choice first.
        (n,) float32 tensor
            The IoU that the network expects of each mask.
        """
        labels = [POSITIVE] * len(prompt.inside) + [NEGATIVE] * len(prompt.outside)
        labels += [] if prompt.box is None else [TOP_LEFT, BOTTOM_RIGHT]
        points = torch.tensor(embedding.frame.to_square(prompt.places), dtype=torch.float32)
        with torch.inference_mode():
            logits, scores = self.decoder.decode(
                embedding.tensors, points[None], torch.tensor(labels)[None], previous
            )
        return logits.float().cpu(), scores.float().cpu()

    def mask_in_box(
        self, embedding: ObjectEmbedding, places: list[list[float]], mask: Tensor
    ) -> tuple[Tensor, float]:
        """Return the mask for a click, a box and a mask together.

        Parameters
        ----------
        embedding : ObjectEmbedding
        places : list of 3 [x, y]
            In the square: a point inside, then the top left and the bottom right of the box.
        mask : (h, w) float tensor
            Logits over the square.

        Returns
        -------
        (h, w) float32 tensor
            Logits over the square.
        float
            The IoU that the network expects.
        """
        with torch.inference_mode():
            logits, scores = self.decoder.decode(
                embedding.tensors,
                torch.tensor([places], dtype=torch.float32),
                torch.tensor([[POSITIVE, TOP_LEFT, BOTTOM_RIGHT]]),
                mask,
                single=True,
            )
        return logits[0].float().cpu(), float(scores[0])

    def last_attention(self, image: NDArray[np.uint8], monitor: Monitor) -> BlockAttention:
        """Return the attention of the encoder's last block for a (Y, X, 3) uint8 RGB image.

        Raises
        ------
        InvalidInputError
            If the encoder is no `AttentionEmbedder`.
        """
        if not isinstance(self.encoder, AttentionEmbedder):
            raise no_last_attention()
        layout = self.encoder.layout
        frame = layout.frame((image.shape[0], image.shape[1]))
        return self.encoder.last_attention(layout.pixels(image, frame), frame.resized, monitor)


def no_last_attention() -> InvalidInputError:
    """Return the error for an encoder without the attention that Trident needs."""
    return InvalidInputError(
        "Trident needs the attention of SAM's last block, which this model for outlines does not "
        "have. Choose sam-vit-base, or a folder with another SAM of the first generation."
    )


def in_order(
    several: tuple[Tensor, Tensor], single: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Put the masks of SAM's decoder in order, the network's own choice first.

    A single click may mean a part, a whole or a group: the decoder has three answers, and the
    scores say which it prefers. It has one more for unambiguous prompts, which comes first where
    there are several points or a box.

    Parameters
    ----------
    several : (3, h, w) and (3,) tensors
        Masks and scores for one click.
    single : (1, h, w) and (1,) tensors, or None
        Mask and score for several points; None for one click.
    """
    masks, scores = several
    best = torch.argsort(scores, descending=True, stable=True)
    masks, scores = masks[best], scores[best]
    if single is not None:
        masks, scores = (torch.cat(pair) for pair in ((single[0], masks), (single[1], scores)))
    return masks[:MASKS], scores[:MASKS]


def split_box(points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Separate the corners of a box from the points of a prompt.

    Returns
    -------
    (1, N, 2), (1, N) and (1, 1, 4) tensors
        Points, their labels, and the box as (x1, y1, x2, y2); None without a box.
    """
    corners = labels[0] >= TOP_LEFT
    box: Any = points[:, corners].reshape(1, 1, 4) if corners.any() else None
    return points[:, ~corners], labels[:, ~corners], box
