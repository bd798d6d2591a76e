"""Similarity of patch features and query vectors, as logits and class probabilities.

Sources: CLIPer (arXiv 2411.13836, eq. 5-7 and its sliding windows) for `cliper_*`; SCLIP
(2312.01597), ClearCLIP (2407.12442) and ProxyCLIP (2408.04883) for the rest. Pure functions.

Notation: K layers, N = h * w patches, D embedding width, T classes, Q query vectors, P queries with
the synonyms of each class merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Queries:
    """Query vectors and their classes.

    Parameters
    ----------
    vectors : (Q, D) float tensor
        Unit vectors: all names of the classes, then the background names.
    owner : tuple of int
        Class index of each vector, 0 to T - 1; -1 for background.
    """

    vectors: Tensor
    owner: tuple[int, ...]

    @property
    def class_count(self) -> int:
        """T, the number of classes."""
        return max(self.owner, default=-1) + 1

    @property
    def background_count(self) -> int:
        """The number of background queries."""
        return sum(index < 0 for index in self.owner)


def mean_query(queries: Queries) -> Tensor:
    """Return CLIPer's additional query, the mean of the class vectors, (1, D).

    The synonyms of each class are averaged first.
    """
    owner = torch.tensor(queries.owner)
    per_class = [
        queries.vectors[owner == index].mean(dim=0) for index in range(queries.class_count)
    ]
    return torch.stack(per_class).mean(dim=0, keepdim=True)


def cosine(features: Tensor, queries: Tensor) -> Tensor:
    """Return the cosine similarity of (..., N, D) features and (Q, D) queries, (..., N, Q)."""
    return F.normalize(features, dim=-1) @ F.normalize(queries, dim=-1).T


def merge_synonyms(logits: Tensor, owner: Sequence[int]) -> Tensor:
    """Merge the logits of each class's synonyms by their maximum, before the softmax.

    Repeated synonyms have no effect. Background columns, and columns beyond the length of `owner`,
    are not merged.

    Parameters
    ----------
    logits : (..., Q) tensor
    owner : sequence of int
        As in `Queries`.

    Returns
    -------
    (..., P) tensor
        T class columns, then the other columns in their original order.
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
    """Return CLIPer's logits: scaled cosine similarity of patches and queries.

    Parameters
    ----------
    features : (..., N, D) tensor
        Patch features without the class token.
    queries : Queries
    logit_scale : float
        Factor for the cosine similarity; the published settings use 50, 70 or 100.

    Returns
    -------
    (..., N, P) tensor
        Columns: T classes, the background queries, the mean query.
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
    peaks: Tensor | None = None,
) -> Tensor:
    """Return CLIPer's coarse score map: one layer times the attention, plus the mean of all layers.

    Parameters
    ----------
    probabilities : iterable of K (T, N) tensors
        Class probabilities of each layer (softmax over all queries, class columns only). Pass a
        generator to hold one layer in memory at a time.
    attention : (N, N) tensor
        Attention of the last layer, mean over the heads, without the class token.
    select_layer : int
        Index of the layer that is multiplied by the attention. A negative index counts from the
        end and loads all layers into memory.
    attention_threshold : float
        Values of the selected layer below this fraction of each class's maximum become 0, also in
        the mean of all layers.
    fuse : bool
        Whether to add the mean over the layers.
    peaks : (T,) tensor, optional
        The maxima of the classes in the selected layer. Default: those of `probabilities`.

    Returns
    -------
    (T, N) tensor
        Scores, not probabilities: values can exceed 2.
    """
    if select_layer < 0:
        probabilities = list(probabilities)
        select_layer += len(probabilities)
    seen = total = torch.zeros(())
    count = 0
    for count, layer in enumerate(probabilities, start=1):
        kept = layer
        if count == select_layer + 1:
            highest = layer.amax(dim=-1) if peaks is None else peaks
            floor = attention_threshold * highest[:, None]
            kept = torch.where(layer < floor, 0, layer)
            seen = kept @ attention
        total = kept.clone() if count == 1 else total.add_(kept)
    return seen.add_(total, alpha=1 / count) if fuse else seen


def class_maxima(probabilities: Tensor, owner: Sequence[int]) -> tuple[Tensor, Tensor | None]:
    """Merge the probabilities of each class's queries by their maximum, after the softmax.

    This is the rule of SCLIP, ClearCLIP and ProxyCLIP.

    Parameters
    ----------
    probabilities : (Q, ...) tensor
    owner : sequence of int
        As in `Queries`.

    Returns
    -------
    classes : (T, ...) tensor
    background : (...) tensor or None
        The maximum over the background queries; None if there are none.
    """
    groups = [[i for i, own in enumerate(owner) if own == index] for index in range(max(owner) + 1)]
    background = [i for i, own in enumerate(owner) if own < 0]
    classes = torch.stack([probabilities[group].amax(dim=0) for group in groups])
    return classes, probabilities[background].amax(dim=0) if background else None
