"""Words and prototypes as vectors, with which patch features are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from .models import clip
from .networks import Networks
from .progress import Monitor
from .prompts import TEMPLATES, ClassPrompt, class_prompts, fill, key
from .prototype_fusion import PrototypeFusion, prototype_fusion
from .scoring.prototypes import BACKGROUND, Prototypes
from .scoring.similarity import Queries

WORDS_SHOWN = 12
"""How many of the words that a model knows a note lists."""


WITHOUT_PIXELS = (
    "Some prototypes were learned with an older version and have no pixels, so that colour and "
    "texture are not compared. Learn from their images again."
)


class Question(NamedTuple):
    """What an image is asked.

    Parameters
    ----------
    queries : Queries
        The vector of every word.
    fusion : PrototypeFusion or None
        Prototypes, weighted against the words.
    notes : tuple of str
        Messages for the user.
    """

    queries: Queries
    fusion: PrototypeFusion | None
    notes: tuple[str, ...]


def question_of(
    networks: Networks,
    classes: Sequence[ClassPrompt],
    background: Sequence[str],
    prototypes: Prototypes | None,
    prototype_weight: float | None,
    pixel_size: float | None,
    remarks: Iterable[str],
    monitor: Monitor,
) -> Question:
    """Return the vectors and notes; `remarks` on image and settings come first."""
    warnings = word_warnings(networks, classes)
    queries, cut_off = word_queries(networks, classes, background, monitor)
    fusion, unused = fused_prototypes(
        networks, prototypes, classes, queries, prototype_weight, pixel_size
    )
    return Question(queries, fusion, (*remarks, *warnings, *cut_off, *unused))


def word_warnings(networks: Networks, classes: Sequence[ClassPrompt]) -> Iterator[str]:
    """Yield warnings about words that the model does not know and settings without validation."""
    source, config = networks.source, networks.config
    if source.words:
        known = {key(word) for word in source.words}
        unknown = [word for one in classes for word in one.words if key(word) not in known]
        if unknown:
            shown, more = source.words[:WORDS_SHOWN], source.words[WORDS_SHOWN:]
            rest = f" and {len(more)} more" if more else ""
            yield (
                f"The model does not know: {', '.join(unknown)}. It knows only: "
                f"{', '.join(shown)}{rest}."
            )
    elif not networks.settings.validated:
        yield (
            f"There are no published settings for {config.method} with {config.model}; those of a "
            "similar model were used."
        )


def word_queries(
    networks: Networks,
    classes: Sequence[ClassPrompt],
    background: Sequence[str],
    monitor: Monitor,
) -> tuple[Queries, list[str]]:
    """Return the vector of every word, and notes; vectors are cached between calls."""
    templates = prompt_templates(networks)
    groups = [
        (index, prompts)
        for index, one in enumerate(classes)
        for prompts in class_prompts(one, templates)
    ]
    groups += [(-1, fill(word, templates)) for word in background]
    words, notes = networks.embed_text((prompts for _, prompts in groups), monitor)
    vectors = torch.stack([word.vector for word in words])
    return Queries(vectors, tuple(index for index, _ in groups)), notes


def fused_prototypes(
    networks: Networks,
    prototypes: Prototypes | None,
    classes: Sequence[ClassPrompt],
    queries: Queries,
    weight: float | None,
    pixel_size: float | None,
) -> tuple[PrototypeFusion | None, list[str]]:
    """Return the prototypes weighted against the words, or None, and notes.

    `pixel_size` is that of the image in micrometres, None if it is unknown.
    """
    if prototypes is None or not len(prototypes):
        return None, []
    prototypes.check_model(networks.identity, networks.config.model)
    scale = networks.settings.logit_scale
    fusion = prototype_fusion(prototypes, classes, queries, weight, scale)
    if fusion is not None:
        names = (*(one.name for one in classes), BACKGROUND)
        old = "" if fusion.classifier.pixels is not None else WITHOUT_PIXELS
        return fusion, list(filter(None, [prototypes.size_note(names, pixel_size), old]))
    note = (
        "The prototypes were not used: at least two classes, one of which may be the background, "
        "must have prototypes to be compared."
    )
    return None, [note]


def prompt_templates(networks: Networks) -> tuple[str, ...]:
    """Return the templates that words are filled into."""
    request = networks.config.templates
    if isinstance(request, tuple):
        return request
    name = networks.settings.templates
    return TEMPLATES[name] if name in TEMPLATES else clip.openai_templates(name)
