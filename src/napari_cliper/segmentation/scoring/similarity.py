"""Patch features and word vectors become score maps.

Sources: CLIPer (arXiv 2411.13836, eq. 5-7 and its sliding windows) for `cliper_*`;
SCLIP (2312.01597), ClearCLIP (2407.12442) and ProxyCLIP (2408.04883) for the
rest. Pure functions of tensors.

Notation: K kept embeddings (layers), N = h * w patches, D embedding width, T
classes, Q query vectors, P queries after the synonyms of a class became one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Queries:
    """Word vectors and what each of them speaks for.

    Parameters
    ----------
    vectors : (Q, D) float tensor
        Unit vectors: all names of the classes, then the background words.
    owner : tuple of int
        For each vector the index of its class, 0 .. T - 1; -1 for a background word.
    """

    vectors: Tensor
    owner: tuple[int, ...]

    @property
    def class_count(self) -> int:
        """T, the number of classes."""
        return max(self.owner, default=-1) + 1

    @property
    def background_count(self) -> int:
        """The number of background words."""
        return sum(index < 0 for index in self.owner)


def mean_query(queries: Queries) -> Tensor:
    """CLIPer's extra query: the mean of the class vectors, (1, D).

    With synonyms: the mean over the classes of each class's own mean.
    """
    owner = torch.tensor(queries.owner)
    per_class = [
        queries.vectors[owner == index].mean(dim=0) for index in range(queries.class_count)
    ]
    return torch.stack(per_class).mean(dim=0, keepdim=True)


def cosine(features: Tensor, queries: Tensor) -> Tensor:
    """Cosine of (..., N, D) patch features with (Q, D) queries: (..., N, Q)."""
    return F.normalize(features, dim=-1) @ F.normalize(queries, dim=-1).T


def merge_synonyms(logits: Tensor, owner: Sequence[int]) -> Tensor:
    """The maximum over each class's names, before any softmax.

    A repeated synonym changes nothing. Background words, and any columns behind
    those that `owner` speaks of, stay single.

    Parameters
    ----------
    logits : (..., Q) tensor
    owner : sequence of int
        As in `Queries`.

    Returns
    -------
    (..., P) tensor
        T class columns, then the others in their order.
    """
    classes = max(owner) + 1
    single = list(range(logits.shape[-1]))
    columns = [
        logits[..., [i for i, own in enumerate(owner) if own == index]].amax(dim=-1)
        for index in range(classes)
    ]
    rest = [i for i in single if i >= len(owner) or owner[i] < 0]
    return torch.cat([torch.stack(columns, dim=-1), logits[..., rest]], dim=-1)


def cliper_logits(features: Tensor, queries: Queries, logit_scale: float) -> Tensor:
    """Scaled cosine of every patch with every query of CLIPer.

    Parameters
    ----------
    features : (..., N, D) tensor
        Patch features, class token dropped.
    queries : Queries
    logit_scale : float
        The published rows use 50, 70 or 100.

    Returns
    -------
    (..., N, P) tensor
        T classes, the background words, the mean query.
    """
    vectors = torch.cat([queries.vectors, mean_query(queries)])
    return merge_synonyms(cosine(features, vectors) * logit_scale, queries.owner)


def cliper_coarse(
    probabilities: Iterable[Tensor],
    attention: Tensor,
    *,
    select_layer: int,
    attention_threshold: float,
    fuse: bool = True,
) -> Tensor:
    """The coarse map: the selected layer seen through the attention, plus the mean.

    Parameters
    ----------
    probabilities : iterable of K (T, N) tensors
        Softmax over the queries, first T kept, for each kept embedding. One that makes
        them as it goes keeps a single one in memory.
    attention : (N, N) tensor
        Head mean of the last attention, class token dropped.
    select_layer : int
        Which of the K embeddings is seen through the attention; negative counts
        from the end, for which all are gathered first.
    attention_threshold : float
        Share of a map's maximum below which its values become 0. The mean over
        the layers sees the same change.
    fuse : bool
        Whether the mean over the layers is added.

    Returns
    -------
    (T, N) tensor
        Not a probability: values reach 2 and more.
    """
    if select_layer < 0:
        probabilities = list(probabilities)
        select_layer += len(probabilities)
    seen = total = torch.zeros(())
    count = 0
    for count, layer in enumerate(probabilities, start=1):
        kept = layer
        if count == select_layer + 1:
            floor = attention_threshold * layer.amax(dim=-1, keepdim=True)
            kept = torch.where(layer < floor, 0, layer)
            seen = kept @ attention
        total = kept.clone() if count == 1 else total.add_(kept)
    return seen.add_(total, alpha=1 / count) if fuse else seen


def class_maxima(probabilities: Tensor, owner: Sequence[int]) -> tuple[Tensor, Tensor | None]:
    """Probabilities over queries become classes by maximum, after the softmax.

    The rule of SCLIP, ClearCLIP and ProxyCLIP.

    Parameters
    ----------
    probabilities : (Q, ...) tensor
    owner : sequence of int
        As in `Queries`.

    Returns
    -------
    classes : (T, ...) tensor
    background : (...) tensor or None
        The maximum over the background words; None where there are none.
    """
    groups = [[i for i, own in enumerate(owner) if own == index] for index in range(max(owner) + 1)]
    background = [i for i, own in enumerate(owner) if own < 0]
    classes = torch.stack([probabilities[group].amax(dim=0) for group in groups])
    return classes, probabilities[background].amax(dim=0) if background else None
