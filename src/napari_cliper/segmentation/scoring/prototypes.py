"""Visual prototypes: mean patch features of annotated regions, used as queries for a class.

Text prompts fail for stains or organisms that CLIP has not seen described. Mean patch features of
annotated regions lie in the same embedding space and can replace or support text embeddings. The
idea is that of prototypical networks (Snell et al., NeurIPS 2017), with CLIP's features and without
training; `prototype_fusion` combines them with text.

Notation: N = h * w patches, D embedding width, M prototypes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans, vq
from torch import Tensor

from ..errors import InvalidInputError
from ..features.comparable_features import ComparableFeatures
from ..features.preprocessing import RGBImage
from ..features.tiled_image import TiledImage
from ..pixel_size import FACTOR, check_pixel_size, length_text, ratio
from ..prompts import key
from .pixel_samples import SAMPLES, PixelSamples, directions

T = TypeVar("T")

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
    samples : PixelSamples, optional
        Annotated pixels that it stands for. None in files of older versions.
    """

    name: str
    vector: Tensor
    patches: int
    sources: tuple[str, ...]
    thumbnail: NDArray[np.uint8]
    samples: PixelSamples | None = None


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
    _made: dict[Any, Any] = field(init=False, repr=False, default_factory=dict)

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

    def remembered(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` computes from these prototypes; the last result is cached."""
        found: T | None = self._made.get(name)
        if found is None:
            found = make()
            self._made.clear()
            self._made[name] = found
        return found

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
                "Prototypes work only with the model and the method that they were learned with. "
                "Choose these, or learn the prototypes again."
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
    sources = tuple(dict.fromkeys((*one.sources, *other.sources)))
    samples = one.samples
    if other.samples is not None:
        moved = np.array([sources.index(source) for source in other.sources])
        samples = other.samples.joined(samples, moved)
    return replace(
        one,
        vector=F.normalize(mean, dim=0),
        patches=one.patches + other.patches,
        sources=sources,
        samples=samples,
    )


def learn_prototypes(
    planes: Tensor,
    image: RGBImage | TiledImage,
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
    planes : (D, h, w) float tensor
        Patch features; need not be normalised.
    image : RGBImage or TiledImage
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
    grid = (planes.shape[1], planes.shape[2])
    units = F.normalize(planes.float().flatten(1).T, dim=-1)  # (N, D)
    every = patch_shares(confirmed, grid)  # (N,)
    present = set(np.unique(labels[confirmed]).tolist()) & {0, *names}
    if not present:
        return
    pixels = image.pixels
    every_name = {0: BACKGROUND, **{label: name for label, name in names.items() if label}}
    asked = [(label, name) for label, name in every_name.items() if label in present]
    places = [_drawn(confirmed & (labels == label)) for label, _ in asked]  # (2, S) each
    every_place = np.concatenate(places, axis=1)
    stops = np.cumsum([one.shape[1] for one in places])[:-1]
    features = np.split(ComparableFeatures(image).at(*every_place), stops)  # (S, 2 F) each
    for (label, name), place, found in zip(asked, places, features, strict=True):
        mask = confirmed & (labels == label)
        own = patch_shares(mask, grid)
        purity = own / every.clip(min=1e-9)
        chosen = np.flatnonzero((own > 0) & (purity >= min(PURE, purity.max())))
        clusters = list(_clusters(units[torch.from_numpy(chosen)], chosen))
        vectors = F.normalize(
            torch.stack([units[torch.from_numpy(members)].mean(dim=0) for members in clusters]),
            dim=1,
        )
        share = float(mask.sum() / confirmed.sum()) / len(found)
        rows, columns = (at * n // m for at, n, m in zip(place, grid, mask.shape, strict=True))
        patches = units[torch.from_numpy(rows * grid[1] + columns)]  # (S, D)
        samples = _samples(found, patches, share, vectors)
        for members, vector, some in zip(clusters, vectors, samples, strict=True):
            centre = members[int((units[torch.from_numpy(members)] @ vector).argmax())]
            yield Prototype(
                name,
                vector,
                len(members),
                (source,),
                thumbnail(pixels, _centre_of(centre, grid, mask), grid),
                some,
            )


def _drawn(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return rows and columns of at most `SAMPLES` random pixels of a mask, (2, S)."""
    places = np.flatnonzero(mask)
    if len(places) > SAMPLES:
        random = np.random.default_rng(0)
        places = places[np.sort(random.choice(len(places), SAMPLES, replace=False))]
    return np.stack(np.unravel_index(places, mask.shape))


def _samples(
    features: NDArray[np.float32], patches: Tensor, share: float, vectors: Tensor
) -> list[PixelSamples | None]:
    """Return the pixels of a class whose patch is like a prototype, for each prototype.

    Parameters
    ----------
    features : (S, 2 F) float32 array
    patches : (S, D) float32 tensor
        Unit features of the patch of each pixel.
    share : float
        The fraction of the image's annotated pixels that one of these stands for.
    vectors : (M, D) float32 tensor
        The prototypes.
    """
    nearest = (patches @ vectors.T).argmax(dim=1).numpy()
    every = PixelSamples(
        features.astype(np.float16),
        directions(patches.numpy()),
        np.full(len(features), share, np.float32),
        np.zeros(len(features), np.int32),
    )
    return [every[np.flatnonzero(nearest == index)] or None for index in range(len(vectors))]


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
