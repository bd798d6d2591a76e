"""Text embeddings of class names, cached in memory and on disk.

The embedding of a name is the normalised mean of the unit vectors of its prompts. It depends only
on the CLIP model and the prompts: the text encoder always computes in float32, and each name is
encoded separately.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ..progress import Monitor
from .clip import Clip, TextEncoder
from .loading import Loaded
from .tensor_cache import TensorCache

WORD_VECTORS = TensorCache("words", "vector", most=4096)
"""Disk cache; at most 4 KB per file and 16 MB in total."""

Prompts = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """Text embedding of a name.

    Parameters
    ----------
    vector : (D,) float32 tensor
        Unit vector.
    cut : str or None
        The first prompt that was truncated because it exceeds the context length.
    """

    vector: Tensor
    cut: str | None


class TextEmbeddings:
    """Cache of the text embeddings of one CLIP model."""

    def __init__(self, known: dict[Prompts, TextEmbedding] | None = None) -> None:
        self._known = dict(known or {})

    def __len__(self) -> int:
        """Return the number of embeddings in memory."""
        return len(self._known)

    def copy(self) -> TextEmbeddings:
        """Return an independent copy."""
        return TextEmbeddings(self._known)

    def clear(self) -> None:
        """Remove all embeddings from memory."""
        self._known.clear()

    def of(
        self, words: Iterable[Prompts], clip: Loaded[Clip], text: TextEncoder, monitor: Monitor
    ) -> list[TextEmbedding]:
        """Return the text embedding of each name; encode those not cached in memory or on disk.

        Parameters
        ----------
        words : iterable of tuple of str
            The prompts of each name.
        clip : Loaded
            The CLIP model; must be the same in every call.
        text : TextEncoder
            Its text encoder.
        """
        words = list(words)
        new = [prompts for prompts in dict.fromkeys(words) if prompts not in self._known]
        for prompts in new:
            kept = _from_disk(clip, prompts)
            if kept is not None:
                self._known[prompts] = kept
        new = [prompts for prompts in new if prompts not in self._known]
        if new:
            with clip.for_one_job(monitor):
                for index, prompts in enumerate(new):
                    if prompts in self._known:  # another thread has encoded it since
                        continue
                    monitor.tell("Encoding the words", index, len(new))
                    self._known[prompts] = _encoded(text, prompts, monitor)
                    _to_disk(clip, prompts, self._known[prompts])
            WORD_VECTORS.trim()
        return [self._known[prompts] for prompts in words]


def _encoded(text: TextEncoder, prompts: Prompts, monitor: Monitor) -> TextEmbedding:
    # One name at a time: results of a batch could depend on the other names in it.
    vector = F.normalize(text.encode(prompts, monitor).mean(dim=0), dim=0)
    cut = next((one for one in prompts if text.token_count(one) > text.context_length), None)
    return TextEmbedding(vector, cut)


def _made_of(clip: Loaded[Clip], prompts: Prompts) -> str:
    return json.dumps([clip.identity, prompts])


def _from_disk(clip: Loaded[Clip], prompts: Prompts) -> TextEmbedding | None:
    found = WORD_VECTORS.get(_made_of(clip, prompts)) if clip.identity else None
    if found is None:
        return None
    vector, notes = found
    return TextEmbedding(vector, notes.get("cut"))


def _to_disk(clip: Loaded[Clip], prompts: Prompts, word: TextEmbedding) -> None:
    if clip.identity:
        notes = None if word.cut is None else {"cut": word.cut}
        WORD_VECTORS.put(_made_of(clip, prompts), word.vector, notes)
