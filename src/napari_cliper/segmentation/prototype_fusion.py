"""Prototypes of the requested classes, and how much they count beside the words.

The weights are this project's own rule. Notation: T classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .prompts import ClassPrompt
from .prototype_classifier import PrototypeClassifier, fit_prototypes
from .results import ScoreMaps, StageMaps
from .scoring.prototypes import BACKGROUND, Prototype, Prototypes
from .scoring.similarity import Queries, cliper_logits


@dataclass(frozen=True, eq=False)
class PrototypeFusion:
    """Prototypes of the requested classes and their weights.

    Parameters
    ----------
    classifier : PrototypeClassifier
        Its labels are those of `classes`, then the background if it has prototypes.
    classes : tuple of int
        Indices of the classes that have prototypes, among the T classes.
    weight : (T + 1,) float32 tensor
        Weight of the prototypes of each class, 0 (text only) to 1 (prototypes only); the last
        element is that of the background. 0 for classes without prototypes.
    given : bool
        Whether the user chose the weight.
    """

    classifier: PrototypeClassifier
    classes: tuple[int, ...]
    weight: Tensor
    given: bool

    @property
    def counts(self) -> bool:
        """Whether the prototypes of any class have a weight above 0."""
        return bool(self.weight.any())

    def weights_for(self, scores: ScoreMaps, stage: StageMaps) -> list[float]:
        """Return the weights in one image.

        Those that were chosen automatically are squared for classes that the words find in it.
        """
        found = torch.from_numpy(stage.class_scores) > scores.settings.thresholds.class_threshold
        weight = self.weight.clone()
        if not self.given and scores.config.rule == "cliper":
            weight[:-1][found] **= 2
        weights: list[float] = weight.tolist()
        return weights


def prototype_fusion(
    prototypes: Prototypes,
    classes: Sequence[ClassPrompt],
    words: Queries,
    weight: float | None,
    scale: float,
) -> PrototypeFusion | None:
    """Select the prototypes of the requested classes, fit a classifier, and compute weights.

    Parameters
    ----------
    prototypes : Prototypes
        Those of other classes are ignored.
    classes : sequence of T ClassPrompt
    words : Queries
        Text embeddings of the classes and the background.
    weight : float, optional
        Weight of the prototypes for every class that has any, 0 to 1. None chooses it per class:
        ``n (1 - k)**2 / (n (1 - k)**2 + k**2)`` with n the number of images they were learned from
        and k how well the words tell the class's prototypes from the others, 0 to 1. The squares
        limit prototypes of a few classes from claiming the pixels of the others.
    scale : float
        Factor for cosine similarities before the softmax (logit scale).

    Returns
    -------
    PrototypeFusion or None
        None if fewer than two classes, background included, have prototypes.
    """
    own = [prototypes.of(one.name) for one in classes]
    having = tuple(index for index, items in enumerate(own) if items)
    groups = [own[index] for index in having]
    background = prototypes.of(BACKGROUND)
    if not having or len(having) + bool(background) < 2:
        return None
    if background:
        groups.append(background)
    classifier = prototypes.remembered(
        (tuple(one[0].name for one in groups), scale), lambda: fit_prototypes(groups, scale)
    )
    weights = torch.zeros(len(classes) + 1)
    known = np.array(
        [_known(groups, place, index, words, scale) for place, index in enumerate(having)]
    )
    for index, own_k in zip(having, (known + known.mean()) / 2, strict=True):
        unknown = prototypes.images_of(classes[index].name) * (1 - own_k) ** 2
        weights[index] = unknown / (unknown + own_k**2) if weight is None else weight
    if background:  # as much as the highest weight of a class
        weights[-1] = weights.max()
    return PrototypeFusion(classifier, having, weights, weight is not None)


def _known(
    groups: Sequence[Sequence[Prototype]], place: int, index: int, words: Queries, scale: float
) -> float:
    """Return how much likelier words find a class in its own prototypes than in the others."""

    def probability(items: Sequence[Prototype]) -> float:
        vectors = torch.stack([one.vector for one in items])
        return float(cliper_logits(vectors, words, scale).softmax(dim=-1)[:, index].mean())

    others = [one for other, items in enumerate(groups) if other != place for one in items]
    return min(max(probability(groups[place]) - probability(others), 0.0), 1.0)
