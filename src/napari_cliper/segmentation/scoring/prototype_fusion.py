"""Prototypes asked beside words: what they say, and how much each side counts.

Vectors of patches lie nearer to each other than to those of words (Liang et al., "Mind the gap",
NeurIPS 2022), so the two are never compared: each side has a softmax of its own, and their
probabilities are mixed, class by class. Ours. Pure functions.

Shapes: T classes, N patches, D embedding width, Q vectors.
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
"""From so many images on, prototypes count half of what the words leave to them."""


@dataclass(frozen=True, eq=False)
class PrototypeFusion:
    """The prototypes of the classes that are asked for.

    Parameters
    ----------
    queries : Queries
        Their vectors; classes are counted as in `classes`.
    classes : tuple of int
        Which of the T classes have prototypes.
    share : (T + 1,) float32 tensor
        How much the prototypes of each class count against its words, and last those of the
        background; 0 where there are none.
    """

    queries: Queries
    classes: tuple[int, ...]
    share: Tensor

    def mixed(self, words: Tensor, own: Tensor) -> Tensor:
        """Probabilities by words (T, ...) and by prototypes (C, ...) as one, (T, ...)."""
        every = torch.zeros_like(words)
        every[list(self.classes)] = own
        return torch.lerp(words, every, self.share[:-1].reshape(-1, *[1] * (words.ndim - 1)))

    def mixed_background(self, words: Tensor | None, own: Tensor | None) -> Tensor | None:
        """The same of the background's; words that there are none of say 0."""
        if own is None:
            return words
        return own * self.share[-1] if words is None else torch.lerp(words, own, self.share[-1])


def prototype_fusion(
    prototypes: Prototypes,
    classes: Sequence[ClassPrompt],
    words: Queries,
    share: float | None,
    scale: float,
) -> PrototypeFusion | None:
    """The prototypes that can be asked beside some words.

    Parameters
    ----------
    prototypes : Prototypes
        Those of other classes are passed over.
    classes : sequence of T ClassPrompt
    words : Queries
        Of these classes and the background.
    share : float, optional
        How much prototypes count where a class has any, 0 to 1. None: the less, the better the
        words tell the prototypes of their class from the others (squared, as prototypes of few
        classes claim the pixels of the rest), and the more, the more images they were learned from.
    scale : float
        What cosines are multiplied by before a softmax.

    Returns
    -------
    Looks or None
        None where there is nothing to tell apart: fewer than two classes, the background among
        them, have any.
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
    hint_labels = cliper_logits(vectors, words, scale).softmax(dim=-1)  # (Q, P)
    counts = torch.zeros(len(classes) + 1)
    for place, index in enumerate(having):
        images = prototypes.images_of(classes[index].name)
        known = float(hint_labels[torch.tensor(owner) == place, index].mean())
        automatic = (1 - known) ** 2 * images / (images + HALF)
        counts[index] = automatic if share is None else share
    if background:  # it has to make room for whichever class claims the most
        counts[-1] = counts.max()
    return PrototypeFusion(Queries(vectors, owner), having, counts)
