"""Divide the images of a training data set into those for training and for validation."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from hashlib import sha256

from ..labels.axes import without_plane_suffix
from ..labels.labelled_image import LabelledImage
from ..segmentation import InvalidInputError


def check_share(share: float) -> None:
    """Check the share of images for validation.

    Raises
    ------
    InvalidInputError
        If it is not at least 0 and below 1.
    """
    if not 0 <= share < 1:
        raise InvalidInputError(
            f"The share of images for validation is {share:g}. Give a number from 0 to below 1, "
            "such as 0.2."
        )


def group_of(image: LabelledImage) -> str:
    """Return the name that decides on which side an image is; planes of one stack share it."""
    if image.stack:
        return image.stack
    return without_plane_suffix(image.name) if image.position else image.name


def chosen_for_validation(groups: Iterable[str], share: float) -> frozenset[str]:
    """Choose the images for validation from their names alone.

    Names are ordered by their SHA-256, and the first ones are chosen. The same names always give
    the same choice, in any order; if names are added, few images change sides.

    Parameters
    ----------
    groups : iterable of str
        See `group_of`.
    share : float
        From 0 to below 1.

    Returns
    -------
    frozenset of str
        The nearest number of names. If there are several names and the share is not 0, at least
        one is chosen and at least one is left.
    """
    check_share(share)
    names = sorted(set(groups), key=_hash)
    if len(names) < 2 or not share:
        return frozenset()
    return frozenset(names[: min(max(round(share * len(names)), 1), len(names) - 1)])


def is_for_validation(image: LabelledImage, validation: Collection[str]) -> bool:
    """Return whether an image belongs to the names of `chosen_for_validation`."""
    return group_of(image) in validation


def _hash(name: str) -> bytes:
    text = unicodedata.normalize("NFC", name)
    return sha256(text.encode("utf-8", errors="surrogateescape")).digest()
