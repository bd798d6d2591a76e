"""Combine the class probabilities of text embeddings and of visual prototypes.

Image features are more similar to each other than to text embeddings (Liang et al., "Mind the
gap", NeurIPS 2022), so their similarities are not comparable. Each source has its own softmax, and
the probabilities are averaged with a weight per class. The weights are this project's own rule.
Pure functions.

Notation: T classes, N patches, D embedding width, Q vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..prompts import ClassPrompt
from .prototypes import BACKGROUND, Prototypes
from .similarity import Queries, cliper_logits

HALF = 0.5
"""Number of images at which prototypes reach half of their maximum weight."""


@dataclass(frozen=True, eq=False)
class PrototypeFusion:
    """Prototypes of the requested classes and their weights.

    Parameters
    ----------
    queries : Queries
        Prototype vectors; owners are indices into `classes`.
    classes : tuple of int
        Indices of the C classes that have prototypes, among the T classes.
    weight : (T + 1,) float32 tensor
        Weight of the prototypes of each class, 0 (text only) to 1 (prototypes only); the last
        element is that of the background. 0 for classes without prototypes.
    """

    queries: Queries
    classes: tuple[int, ...]
    weight: Tensor

    def mixed(self, words: Tensor, own: Tensor) -> Tensor:
        """Average probabilities from text (T, ...) and from prototypes (C, ...), (T, ...)."""
        every = torch.zeros_like(words)
        every[list(self.classes)] = own
        return torch.lerp(words, every, self.weight[:-1].reshape(-1, *[1] * (words.ndim - 1)))

    def mixed_background(self, words: Tensor | None, own: Tensor | None) -> Tensor | None:
        """Average background probabilities; missing text probabilities count as 0."""
        if own is None:
            return words
        return own * self.weight[-1] if words is None else torch.lerp(words, own, self.weight[-1])


def prototype_fusion(
    prototypes: Prototypes,
    classes: Sequence[ClassPrompt],
    words: Queries,
    weight: float | None,
    scale: float,
) -> PrototypeFusion | None:
    """Select the prototypes of the requested classes and compute their weights.

    Parameters
    ----------
    prototypes : Prototypes
        Those of other classes are ignored.
    classes : sequence of T ClassPrompt
    words : Queries
        Text embeddings of the classes and the background.
    weight : float, optional
        Weight of the prototypes for every class that has any, 0 to 1. None chooses it per class:
        ``(1 - p)**2 * m / (m + HALF)`` with p the mean probability that the text embeddings give
        the class for its own prototypes, and m the number of images they were learned from. The
        square limits prototypes of a few classes from claiming the pixels of the others.
    scale : float
        Factor for cosine similarities before the softmax (logit scale).

    Returns
    -------
    PrototypeFusion or None
        None if fewer than two classes, background included, have prototypes.
    """
    own = [prototypes.of(one.name) for one in classes]
    having = tuple(index for index, items in enumerate(own) if items)
    background = prototypes.of(BACKGROUND)
    if not having or len(having) + bool(background) < 2:
        return None
    groups = [(place, one) for place, index in enumerate(having) for one in own[index]]
    groups += [(-1, one) for one in background]
    vectors = torch.stack([one.vector for _, one in groups])
    owner = tuple(place for place, _ in groups)
    probabilities = cliper_logits(vectors, words, scale).softmax(dim=-1)  # (Q, P)
    weights = torch.zeros(len(classes) + 1)
    for place, index in enumerate(having):
        images = prototypes.images_of(classes[index].name)
        known = float(probabilities[torch.tensor(owner) == place, index].mean())
        automatic = (1 - known) ** 2 * images / (images + HALF)
        weights[index] = automatic if weight is None else weight
    if background:  # as much as the highest weight of a class
        weights[-1] = weights.max()
    return PrototypeFusion(Queries(vectors, owner), having, weights)
