"""The vectors of words: those asked before are remembered, in memory and on disk.

A word's vector is the mean of its prompts' unit vectors, made a unit vector again. It depends on
the CLIP and the prompts alone: text towers compute in float32 whatever the image networks do, and
each word goes through by itself.
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

CACHE_SIZE = TensorCache("words", "vector", most=4096)
"""On disk; a file takes up to 4 KB, so 16 MB in all."""

Prompts = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class WordVector:
    """A word as CLIP sees it.

    Parameters
    ----------
    vector : (D,) float32 tensor
        Of length 1.
    cut : str or None
        The first of its prompts that was longer than the text tower reads.
    """

    vector: Tensor
    cut: str | None


class WordVectors:
    """The vectors that one CLIP gave."""

    def __init__(self, known: dict[Prompts, WordVector] | None = None) -> None:
        self._known = dict(known or {})

    def __len__(self) -> int:
        """How many words are remembered in memory."""
        return len(self._known)

    def copy(self) -> WordVectors:
        """Another memory of the same words."""
        return WordVectors(self._known)

    def clear(self) -> None:
        """Forget what is in memory."""
        self._known.clear()

    def of(
        self, words: Iterable[Prompts], clip: Loaded[Clip], text: TextEncoder, monitor: Monitor
    ) -> list[WordVector]:
        """The vector of each word; what is nowhere yet is encoded.

        Parameters
        ----------
        words : iterable of tuple of str
            The prompts of each.
        clip : Loaded
            Always the same one.
        text : TextEncoder
            Its text tower.
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
                    monitor.tell("Encoding the words", index, len(new))
                    self._known[prompts] = _encoded(text, prompts, monitor)
                    _to_disk(clip, prompts, self._known[prompts])
            CACHE_SIZE.trim()
        return [self._known[prompts] for prompts in words]


def _encoded(text: TextEncoder, prompts: Prompts, monitor: Monitor) -> WordVector:
    # One word at a time, so that no word's vector depends on the others.
    vector = F.normalize(text.encode(prompts, monitor).mean(dim=0), dim=0)
    cut = next((one for one in prompts if text.token_count(one) > text.context_length), None)
    return WordVector(vector, cut)


def _made_of(clip: Loaded[Clip], prompts: Prompts) -> str:
    return json.dumps([clip.identity, prompts])


def _from_disk(clip: Loaded[Clip], prompts: Prompts) -> WordVector | None:
    found = CACHE_SIZE.get(_made_of(clip, prompts)) if clip.identity else None
    if found is None:
        return None
    vector, notes = found
    return WordVector(vector, notes.get("cut"))


def _to_disk(clip: Loaded[Clip], prompts: Prompts, word: WordVector) -> None:
    if clip.identity:
        notes = None if word.cut is None else {"cut": word.cut}
        CACHE_SIZE.put(_made_of(clip, prompts), word.vector, notes)
