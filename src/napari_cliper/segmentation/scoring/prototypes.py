"""Visual prototypes: what a class looks like, as a few vectors beside its words.

Words fail where CLIP never read about a stain or an organism. The mean of the patch features that
a person has confirmed for a class lies in the same space as the vectors of words, and can be asked
for as a word is. The idea is that of prototypical networks (Snell et al., NeurIPS 2017), with the
features of CLIP and no training; how it is joined to the words is ours (`fusion`).

Shapes: N = h * w patches, D embedding width, M prototypes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans, vq
from torch import Tensor

from ..errors import InvalidInputError
from ..prompts import key

BACKGROUND = ""
"""The name under which the background has its prototypes."""

PER_IMAGE = 3
"""At most so many prototypes of a class come from one image."""
PER_CLASS = 8
"""At most so many are kept of a class: the nearest two become one."""
PATCHES_EACH = 4
"""An image gives a class one prototype for so many patches."""
PURE = 0.8
"""A patch speaks for a class that has this share of its confirmed pixels, or more."""
THUMBNAIL = 48
"""Side of a prototype's image, in pixels."""


@dataclass(frozen=True, eq=False)
class Prototype:
    """One look of a class.

    Parameters
    ----------
    name : str
        Of the class; `BACKGROUND` for the background.
    vector : (D,) float32 tensor
        Of length 1.
    patches : int
        How many patches it is the mean of.
    sources : tuple of str
        The images that it was learned from, the main one first.
    thumbnail : (48, 48, 3) uint8 array
        Where it was learned.
    """

    name: str
    vector: Tensor
    patches: int
    sources: tuple[str, ...]
    thumbnail: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Prototypes:
    """What some classes look like to one CLIP.

    Parameters
    ----------
    model : str
        The name of the CLIP, for people.
    identity : str
        All that its features depend on: prototypes of another one mean nothing to it.
    items : tuple of Prototype
    """

    model: str
    identity: str
    items: tuple[Prototype, ...] = ()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.items)

    def of(self, name: str) -> tuple[Prototype, ...]:
        """Those of a class, by its name."""
        return tuple(one for one in self.items if key(one.name) == key(name))

    def images_of(self, name: str) -> int:
        """From how many images a class was learned."""
        return len({source for one in self.of(name) for source in one.sources})

    def without(self, *gone: Prototype) -> Prototypes:
        """The others."""
        return replace(self, items=tuple(one for one in self.items if one not in gone))

    def without_source(self, source: str) -> Prototypes:
        """Those that are not from this image alone."""
        return self.without(*(one for one in self.items if one.sources == (source,)))

    def joined(self, others: Prototypes) -> Prototypes:
        """These and others: what was learned from the same image before is replaced.

        Raises
        ------
        InvalidInputError
            For prototypes of another CLIP.
        """
        others.check_model(self.identity, self.model)
        sources = {source for one in others.items for source in one.sources}
        kept = (one for one in self.items if not sources.issuperset(one.sources))
        items = (*kept, *others.items)
        names = dict.fromkeys(key(one.name) for one in items)
        few = (one for name in names for one in _few([i for i in items if key(i.name) == name]))
        return replace(self, items=tuple(few))

    def check_model(self, identity: str, model: str) -> None:
        """Refuse another CLIP than the one that they are of.

        Raises
        ------
        InvalidInputError
        """
        if self.identity != identity:
            other = "other weights or another method" if self.model == model else model
            raise InvalidInputError(
                f"These prototypes are of {self.model}, and the engine runs {other}: features of "
                "one model mean nothing to another. Choose the model that they were learned with, "
                "or learn them again."
            )


def _few(items: list[Prototype]) -> list[Prototype]:
    """No more than a handful: the two most alike become one, again and again."""
    while len(items) > PER_CLASS:
        vectors = torch.stack([one.vector for one in items])
        alike = (vectors @ vectors.T).fill_diagonal_(-2)
        first, second = divmod(int(alike.argmax()), len(items))
        items[first] = _merged(items[first], items[second])
        del items[second]
    return items


def _merged(one: Prototype, other: Prototype) -> Prototype:
    if other.patches > one.patches:
        one, other = other, one
    mean = one.vector * one.patches + other.vector * other.patches
    return replace(
        one,
        vector=F.normalize(mean, dim=0),
        patches=one.patches + other.patches,
        sources=tuple(dict.fromkeys((*one.sources, *other.sources))),
    )


def learnt(
    features: Tensor,
    grid: tuple[int, int],
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    confirmed: NDArray[np.bool_],
    names: Mapping[int, str],
    source: str,
) -> Iterable[Prototype]:
    """The prototypes that the confirmed pixels of one image give.

    A patch counts for a class that has nearly all of its confirmed pixels; where a class has no
    such patch, those of which it has the most. Its patches become a few centres by k-means.

    Parameters
    ----------
    features : (N, D) float tensor
        Patch features, any length.
    grid : (int, int)
        (h, w).
    image : (Y, X, 3) uint8 array
    labels : (Y, X) array of int
    confirmed : (Y, X) bool array
        Which labels a person stands behind.
    names : mapping of int to str
        The class of each label; 0 is the background whether it is named or not. Other labels
        are passed over.
    source : str
        What the image is called.

    Yields
    ------
    Prototype
    """
    units = F.normalize(features.float(), dim=-1)
    every = patch_shares(confirmed, grid)  # (N,)
    present = set(np.unique(labels[confirmed]).tolist())
    for label, name in {0: BACKGROUND, **names}.items():
        if label not in present:
            continue
        own = patch_shares(confirmed & (labels == label), grid)
        purity = own / every.clip(min=1e-9)
        chosen = np.flatnonzero((own > 0) & (purity >= min(PURE, purity.max())))
        vectors = units[torch.from_numpy(chosen)]
        for members in _clusters(vectors, chosen):
            place = torch.from_numpy(members)
            vector = F.normalize(units[place].mean(dim=0), dim=0)
            centre = members[int((units[place] @ vector).argmax())]
            yield Prototype(
                BACKGROUND if label == 0 else name,
                vector,
                len(members),
                (source,),
                thumbnail(image, _centre_of(centre, grid, confirmed & (labels == label)), grid),
            )


def _clusters(vectors: Tensor, patches: NDArray[np.intp]) -> Iterable[NDArray[np.intp]]:
    """Patches in groups of like features."""
    count = min(PER_IMAGE, 1 + len(patches) // PATCHES_EACH)
    if count == 1:
        return [patches]
    centres, _ = kmeans(vectors.numpy(), count, rng=0)  # fewer where there are not so many looks
    nearest, _ = vq(vectors.numpy(), centres)
    return [patches[nearest == index] for index in np.unique(nearest)]


def patch_shares(mask: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Which share of each patch's pixels is in a mask, (N,)."""
    plane = torch.from_numpy(np.ascontiguousarray(mask))[None].float()
    shares: NDArray[np.float32] = F.adaptive_avg_pool2d(plane, grid).flatten().numpy()
    return shares


def _centre_of(patch: int, grid: tuple[int, int], mask: NDArray[np.bool_]) -> tuple[int, int]:
    """A pixel of the mask near the middle of a patch."""
    row, column = divmod(int(patch), grid[1])
    middle = ((row + 0.5) * mask.shape[0] / grid[0], (column + 0.5) * mask.shape[1] / grid[1])
    rows, columns = np.nonzero(mask)
    nearest = int(np.hypot(rows - middle[0], columns - middle[1]).argmin())
    return int(rows[nearest]), int(columns[nearest])


def thumbnail(
    image: NDArray[np.uint8], centre: tuple[int, int], grid: tuple[int, int]
) -> NDArray[np.uint8]:
    """An image of a few patches around a pixel, (48, 48, 3)."""
    side = max(round(3 * max(n / cells for n, cells in zip(image.shape, grid, strict=False))), 8)
    side = min(side, *image.shape[:2])
    top, left = (
        min(max(at - side // 2, 0), length - side)
        for at, length in zip(centre, image.shape[:2], strict=True)
    )
    part = Image.fromarray(np.ascontiguousarray(image[top : top + side, left : left + side]))
    return np.asarray(part.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC))
