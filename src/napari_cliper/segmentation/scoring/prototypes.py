"""Visual prototypes: mean patch features of annotated regions, used as queries for a class.

Text prompts fail for stains or organisms that CLIP has not seen described. Mean patch features of
annotated regions lie in the same embedding space and can replace or support text embeddings. The
idea is that of prototypical networks (Snell et al., NeurIPS 2017), with CLIP's features and without
training; `prototype_fusion` combines them with text.

Notation: N = h * w patches, D embedding width, M prototypes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans, vq
from torch import Tensor

from ..errors import InvalidInputError
from ..pixel_size import FACTOR, check_pixel_size, length_text, ratio
from ..prompts import key

BACKGROUND = ""
"""Class name of the background's prototypes."""

PER_IMAGE = 3
"""Maximum number of prototypes per class and image."""
PER_CLASS = 8
"""Maximum number of prototypes per class; beyond it the two most similar are merged."""
PATCHES_EACH = 4
"""Number of patches for each additional prototype."""
PURE = 0.8
"""Minimum fraction of a patch's annotated pixels that must belong to the class."""
THUMBNAIL = 48
"""Side of a prototype's thumbnail, in pixels."""

NAMED = 10
"""Most classes that a note names."""


@dataclass(frozen=True, eq=False)
class Prototype:
    """One prototype of a class.

    Parameters
    ----------
    name : str
        Class name; `BACKGROUND` for the background.
    vector : (D,) float32 tensor
        Unit vector: normalised mean of patch features.
    patches : int
        Number of patches in the mean.
    sources : tuple of str
        Names of the images it was learned from, the one with most patches first.
    thumbnail : (48, 48, 3) uint8 array
        RGB image of a typical patch.
    """

    name: str
    vector: Tensor
    patches: int
    sources: tuple[str, ...]
    thumbnail: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Prototypes:
    """A set of prototypes of one CLIP model.

    Parameters
    ----------
    model : str
        Display name of the CLIP model.
    identity : str
        Everything that its features depend on. Prototypes of different identities must not be
        mixed.
    items : tuple of Prototype
    pixel_sizes : mapping of str to float
        Side of a pixel, in micrometres, of the images that they were learned from, by name.
        Images of unknown pixel size are not in it.

    Raises
    ------
    InvalidInputError
        For a pixel size that is not above 0.
    """

    model: str
    identity: str
    items: tuple[Prototype, ...] = ()
    pixel_sizes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep the pixel sizes of images that prototypes come from, and check them."""
        sources = {source for one in self.items for source in one.sources}
        sizes = {name: size for name, size in self.pixel_sizes.items() if name in sources}
        for size in sizes.values():
            check_pixel_size(size)
        object.__setattr__(self, "pixel_sizes", sizes)

    def __len__(self) -> int:
        """Return the number of prototypes."""
        return len(self.items)

    def of(self, name: str) -> tuple[Prototype, ...]:
        """Return the prototypes of a class."""
        return tuple(one for one in self.items if key(one.name) == key(name))

    def images_of(self, name: str) -> int:
        """Return the number of images that a class was learned from."""
        return len({source for one in self.of(name) for source in one.sources})

    def sizes_of(self, *names: str) -> tuple[float, ...]:
        """Return the different pixel sizes that classes were learned at, in micrometres, sorted."""
        sources = {source for name in names for one in self.of(name) for source in one.sources}
        return tuple(sorted({self.pixel_sizes[one] for one in sources if one in self.pixel_sizes}))

    def mixed_sizes_note(self) -> str:
        """Return a warning if the images differ in pixel size by more than `FACTOR`; else empty."""
        sizes = sorted(self.pixel_sizes.values())
        if not sizes or ratio(sizes[0], sizes[-1]) <= FACTOR:
            return ""
        return (
            f"The prototypes were learned from images with different pixel sizes, "
            f"{_size_range(sizes)}. They may mix objects of different scale. Learn from images of "
            "one pixel size, or resize the images first."
        )

    def size_note(self, names: Iterable[str], pixel_size: float | None) -> str:
        """Return a warning if an image differs too much in pixel size from those learned from.

        Parameters
        ----------
        names : iterable of str
            The classes that are used; `BACKGROUND` for the background.
        pixel_size : float or None
            Of the image, in micrometres; None if it is unknown, which gives no warning.

        Returns
        -------
        str
            Names the classes none of whose known pixel sizes is within a factor of `FACTOR`; empty
            if there are none.

        Raises
        ------
        InvalidInputError
            For a pixel size that is not above 0.
        """
        if pixel_size is None:
            return ""
        check_pixel_size(pixel_size)
        sizes = {name: self.sizes_of(name) for name in names}
        off = [
            name
            for name, known in sizes.items()
            if known and min(ratio(pixel_size, size) for size in known) > FACTOR
        ]
        if not off:
            return ""
        shown = ", ".join(name or "background" for name in off[:NAMED])
        more = f" and {len(off) - NAMED} more" if len(off) > NAMED else ""
        learned = _size_range(sorted({size for name in off for size in sizes[name]}))
        return (
            f"The pixel size of this image is {length_text(pixel_size)}, but prototypes were "
            f"learned at {learned} ({shown}{more}). They may not fit, because objects look larger "
            "or smaller. Resize the image, or learn from images of its pixel size."
        )

    def without(self, *gone: Prototype) -> Prototypes:
        """Return a copy without the given prototypes."""
        return replace(self, items=tuple(one for one in self.items if one not in gone))

    def without_source(self, source: str) -> Prototypes:
        """Return a copy without the prototypes learned from this image only."""
        return self.without(*(one for one in self.items if one.sources == (source,)))

    def renamed(self, old: str, new: str) -> Prototypes:
        """Return a copy with the prototypes of one class under the name of another.

        If both classes have prototypes, they are merged as in `union`.
        """
        own = self.of(old)
        other = next((one.name for one in self.of(new) if one not in own), new)
        items = tuple(replace(one, name=other) if one in own else one for one in self.items)
        return replace(self, items=_limited(items))

    def union(self, others: Prototypes) -> Prototypes:
        """Return the union with other prototypes, which replace those of the same images.

        Raises
        ------
        InvalidInputError
            If the prototypes belong to different CLIP models.
        """
        others.check_model(self.identity, self.model)
        sources = {source for one in others.items for source in one.sources}
        kept = (one for one in self.items if not sources.issuperset(one.sources))
        items = (*kept, *others.items)
        sizes = {name: size for name, size in self.pixel_sizes.items() if name not in sources}
        return replace(self, items=_limited(items), pixel_sizes={**sizes, **others.pixel_sizes})

    def check_model(self, identity: str, model: str) -> None:
        """Raise an error if the prototypes belong to another CLIP model.

        Raises
        ------
        InvalidInputError
        """
        if self.identity != identity:
            other = "other weights or another method" if self.model == model else model
            raise InvalidInputError(
                f"These prototypes were learned with {self.model}, but the engine runs {other}. "
                "Prototypes work only with the model that they were learned with. Choose that "
                "model, or learn the prototypes again."
            )


def _size_range(sizes: Sequence[float]) -> str:
    """Return sorted pixel sizes as text, such as ``"0.5 µm"`` or ``"0.5 µm to 2 µm"``."""
    return " to ".join(dict.fromkeys((length_text(sizes[0]), length_text(sizes[-1]))))


def _limited(items: Sequence[Prototype]) -> tuple[Prototype, ...]:
    """Return the prototypes ordered by class, at most `PER_CLASS` of each."""
    names = dict.fromkeys(key(one.name) for one in items)
    few = (one for name in names for one in _few([i for i in items if key(i.name) == name]))
    return tuple(few)


def _few(items: list[Prototype]) -> list[Prototype]:
    """Merge the two most similar prototypes until at most `PER_CLASS` remain."""
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


def learn_prototypes(
    features: Tensor,
    grid: tuple[int, int],
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    confirmed: NDArray[np.bool_],
    names: Mapping[int, str],
    source: str,
) -> Iterable[Prototype]:
    """Compute prototypes from the annotated pixels of one image.

    A patch counts for a class if at least `PURE` of its annotated pixels belong to it; if a class
    has no such patch, its purest patches count. K-means groups the patches of each class.

    Parameters
    ----------
    features : (N, D) float tensor
        Patch features; need not be normalised.
    grid : (int, int)
        (h, w) of the patches.
    image : (Y, X, 3) uint8 array
    labels : (Y, X) array of int
    confirmed : (Y, X) bool array
        Which pixels are annotated: accepted or painted by the user.
    names : mapping of int to str
        Class name of each label; label 0 is always the background. Other labels are ignored.
    source : str
        Name of the image.

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
    """Group patches by feature similarity with k-means."""
    count = min(PER_IMAGE, 1 + len(patches) // PATCHES_EACH)
    if count == 1:
        return [patches]
    points = vectors.double().numpy()  # float32 may never converge if vectors are nearly the same
    centres, _ = kmeans(points, count, rng=0)  # may return fewer
    nearest, _ = vq(points, centres)
    return [patches[nearest == index] for index in np.unique(nearest)]


def patch_shares(mask: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Return the fraction of each patch's pixels that is in a mask, (N,) float32 in [0, 1]."""
    plane = torch.from_numpy(np.ascontiguousarray(mask))[None].float()
    shares: NDArray[np.float32] = F.adaptive_avg_pool2d(plane, grid).flatten().numpy()
    return shares


def _centre_of(patch: int, grid: tuple[int, int], mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the pixel of the mask nearest to the centre of a patch."""
    row, column = divmod(int(patch), grid[1])
    middle = ((row + 0.5) * mask.shape[0] / grid[0], (column + 0.5) * mask.shape[1] / grid[1])
    rows, columns = np.nonzero(mask)
    nearest = int(np.hypot(rows - middle[0], columns - middle[1]).argmin())
    return int(rows[nearest]), int(columns[nearest])


def thumbnail(
    image: NDArray[np.uint8], centre: tuple[int, int], grid: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return a thumbnail of a few patches around a pixel, (48, 48, 3) uint8."""
    side = max(round(3 * max(n / cells for n, cells in zip(image.shape, grid, strict=False))), 8)
    side = min(side, *image.shape[:2])
    top, left = (
        min(max(at - side // 2, 0), length - side)
        for at, length in zip(centre, image.shape[:2], strict=True)
    )
    part = Image.fromarray(np.ascontiguousarray(image[top : top + side, left : left + side]))
    return np.asarray(part.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC))
