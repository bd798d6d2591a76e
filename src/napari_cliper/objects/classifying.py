"""Classify existing objects by the scores of a run, averaged over the pixels of each object.

This is a labelling step for every method: it compares the same scores at each pixel as the labels,
but the outlines and numbers of the objects stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..labels.numbers import mapped
from ..segmentation import InvalidInputError
from .named_examples import probabilities
from .object_features import ObjectFeatures, object_features
from .object_set import Objects, objects_of

if TYPE_CHECKING:
    from ..segmentation import (
        ImageEmbedding,
        ScoreMaps,
        Stage,
        Thresholds,
    )

PLANE_BYTES = 1 << 28
"""Memory for the score planes that are held at once."""


@dataclass(frozen=True, eq=False)
class ClassifiedObjects:
    """Objects with the class that scores highest over their pixels.

    Parameters
    ----------
    objects : Objects
        ``objects.labels`` are 1 + the index of the class.
    names : tuple of T str
        The classes.
    means : (N, T) float32 array
        Mean score of each class over the pixels of each object; 0 for absent classes.
    scores : (N,) float32 array
        Mean score of the object's class.
    margins : (N,) float32 array
        Difference to the best other class; below 0 if a person chose another class than the one
        with the highest score.
    features : ObjectFeatures, optional
        Features of the objects, if they were classified by means of named ones.
    """

    objects: Objects
    names: tuple[str, ...]
    means: NDArray[np.float32]
    scores: NDArray[np.float32]
    margins: NDArray[np.float32]
    features: ObjectFeatures | None = None

    def unsure_first(self) -> list[int]:
        """Return the numbers of the objects in the order of their margins, the lowest first."""
        order = np.argsort(self.margins, kind="stable")
        return [int(number) for number in self.objects.ids[order]]

    def scores_for(
        self, objects: Objects, chosen: Collection[int] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scores and margins for a set that also contains other objects.

        Parameters
        ----------
        objects : Objects
        chosen : collection of int, optional
            Numbers of the objects that have a score. Default: all of these.

        Returns
        -------
        scores, margins : (N,) float64 arrays
            In the order of ``objects.ids``; NaN for the others.
        """
        scores, margins = np.full((2, len(objects.ids)), np.nan)
        own = np.isin(self.objects.ids, self.objects.ids if chosen is None else list(chosen))
        at = np.searchsorted(objects.ids, self.objects.ids[own])
        scores[at], margins[at] = self.scores[own], self.margins[own]
        return scores, margins

    def table(self) -> dict[str, list[Any]]:
        """Return the columns ``object``, ``label``, ``class``, ``score``, ``margin`` and ``area``.

        One row for each object, in the order of their numbers; areas in pixels.
        """
        labels = self.objects.labels.tolist()
        return {
            "object": self.objects.ids.tolist(),
            "label": labels,
            "class": [self.names[label - 1] if label else "" for label in labels],
            "score": self.scores.tolist(),
            "margin": self.margins.tolist(),
            "area [pixel]": self.objects.areas.tolist(),
        }


@dataclass(frozen=True, eq=False)
class ScoresOfPlane:
    """The scores of a run, with what its labels were made with.

    Parameters
    ----------
    scores : ScoreMaps
    thresholds : Thresholds
    stage : {'coarse', 'refined'}
    region : (slice, slice) or None
        The region of the plane that was run; None for the whole plane.
    names : tuple of str
        The classes, in the order of the scores.
    embedding : ImageEmbedding
        Of the region that was run.
    """

    scores: ScoreMaps
    thresholds: Thresholds
    stage: Stage
    region: tuple[slice, slice] | None
    names: tuple[str, ...]
    embedding: ImageEmbedding

    def labels_of(
        self, objects: Objects, names: Mapping[int, str], chosen: Collection[int] | None = None
    ) -> dict[int, int]:
        """Return 1 + the index of the class of objects, by number, for classes that were run.

        Parameters
        ----------
        objects : Objects
        names : mapping of int to str
            Their classes by label.
        chosen : collection of int, optional
            Numbers of the objects. Default: all.
        """
        index = {name.casefold(): label for label, name in enumerate(self.names, 1)}
        labels = {label: index.get(name.casefold(), 0) for label, name in names.items()}
        return {
            number: labels[label]
            for number, label in zip(objects.ids.tolist(), objects.labels.tolist(), strict=True)
            if labels.get(label) and (chosen is None or number in chosen)
        }


def classify(
    scores: ScoreMaps,
    objects: Objects,
    thresholds: Thresholds | None = None,
    *,
    stage: Stage | None = None,
    named: Mapping[int, int] | None = None,
) -> ClassifiedObjects:
    """Give each object the class with the highest mean score over its pixels.

    Background words and background thresholds have no effect, because an object is not background.

    Parameters
    ----------
    scores : ScoreMaps
        Of the image, by any method.
    objects : Objects
        Of the size of the image; their present classes are replaced.
    thresholds : Thresholds, optional
        Classes whose score does not exceed the class threshold cannot win, unless none does.
        Default: those of the method.
    stage : {'coarse', 'refined'}, optional
        Default: refined, or coarse without a refiner.
    named : mapping of int to int
        Labels that a person gave to objects, by number; they are kept.

    Returns
    -------
    ClassifiedObjects
        Of equal scores, the first class wins.

    Raises
    ------
    InvalidInputError
        For objects of another size than the image, and for a named object or label that does not
        exist.
    """
    means, winners = _means(scores, objects, thresholds, stage)
    found = _named(objects, winners + 1, len(scores.classes), named or {})
    return _classified(found, scores, means)


def _means(
    scores: ScoreMaps, objects: Objects, thresholds: Thresholds | None, stage: Stage | None
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Mean score of each class of each object, and the index of the highest that can win."""
    if objects.numbers.shape != scores.shape:
        raise InvalidInputError(
            f"The objects are {_size(objects.numbers.shape)} pixels, the image is "
            f"{_size(scores.shape)}. Give the objects of this image; they are not resized."
        )
    thresholds = thresholds or scores.settings.thresholds
    maxima = scores.stage(stage).class_scores
    present = np.flatnonzero(maxima > np.float32(thresholds.class_threshold))
    chosen = present.tolist() or list(range(len(scores.classes)))
    means = np.zeros((len(objects.ids), len(scores.classes)), np.float32)
    inside = np.flatnonzero(objects.numbers)
    index = np.arange(len(objects.ids), dtype=np.int32)
    own = mapped(objects.numbers.ravel()[inside], objects.ids, index)
    at_once = max(PLANE_BYTES // (4 * objects.numbers.size), 1)
    for start in range(0, len(chosen), at_once):
        some = chosen[start : start + at_once]
        planes = scores.planes(some, thresholds, stage=stage)
        for column, plane in zip(some, planes.classes, strict=True):
            sums = np.bincount(own, plane.ravel()[inside], minlength=len(objects.ids))
            means[:, column] = sums / objects.areas
    of_chosen = means[:, chosen]
    winners = np.array(chosen)[of_chosen.argmax(axis=1)] if len(means) else np.zeros(0, np.intp)
    return means, winners


def _named(
    objects: Objects, labels: NDArray[np.integer], classes: int, named: Mapping[int, int]
) -> Objects:
    """Return the objects with these labels, except those that a person named."""
    found = dict(zip(objects.ids.tolist(), labels.tolist(), strict=True))
    for number, label in named.items():
        if not 1 <= label <= classes:
            raise InvalidInputError(
                f"Object {number} is named {label}. Give a label from 1 to {classes}."
            )
        objects.class_of(number)
        found[number] = label
    return objects.with_labels(found)


def _classified(
    objects: Objects,
    scores: ScoreMaps,
    means: NDArray[np.float32],
    features: ObjectFeatures | None = None,
) -> ClassifiedObjects:
    rows, own = np.arange(len(means)), objects.labels.astype(np.intp) - 1
    best = means[rows, own]
    others = means.copy()
    others[rows, own] = 0
    return ClassifiedObjects(
        objects=objects,
        names=tuple(one.name for one in scores.classes),
        means=means,
        scores=best,
        margins=best - others.max(axis=1, initial=0),
        features=features,
    )


def scores_of(
    objects: Objects, names: Mapping[int, str], given: ScoresOfPlane | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean score of each object for its class, and its margin to the other classes.

    Parameters
    ----------
    objects : Objects
        (Y, X).
    names : mapping of int to str
        Their classes by label.
    given : ScoresOfPlane or None

    Returns
    -------
    scores, margins : (N,) float64 arrays
        NaN without scores, outside of the region that was run, and for classes that were not run.
    """
    scores, margins = np.full((2, len(objects.ids)), np.nan)
    if given is None or not len(objects.ids):
        return scores, margins
    inside = within(objects, given.region)
    named = given.labels_of(inside, names)
    if not named:
        return scores, margins
    found = classify(given.scores, inside, given.thresholds, stage=given.stage, named=named)
    return found.scores_for(objects, list(named))


def within(objects: Objects, region: tuple[slice, slice] | None) -> Objects:
    """Return the parts of objects in a region, with their numbers and classes."""
    if region is None:
        return objects
    found = objects_of(objects.numbers[region])
    return replace(found, labels=objects.labels[np.searchsorted(objects.ids, found.ids)])


def reclassify(
    scores: ScoreMaps,
    embedding: ImageEmbedding,
    objects: Objects,
    named: Mapping[int, int],
    thresholds: Thresholds | None = None,
    *,
    stage: Stage | None = None,
    earlier: ObjectFeatures | None = None,
) -> ClassifiedObjects:
    """Classify objects by the scores and by similarity to the objects that a person has named.

    Learning needs named objects of at least two classes; of one class alone, the scores decide. See
    `named_examples` for how scores, network and properties of the objects are weighted.

    Parameters
    ----------
    scores, objects, thresholds, stage
        As for `classify`.
    embedding : ImageEmbedding
        Of the same image.
    named : mapping of int to int
        Labels that a person gave to objects, by number; these are kept.
    earlier : ObjectFeatures, optional
        The `features` of an earlier result, so that only those of changed objects are measured.

    Returns
    -------
    ClassifiedObjects
        With learning, `means`, `scores` and `margins` are those of the probabilities of the
        classes, 0 to 1.

    Raises
    ------
    InvalidInputError
        As for `classify`.
    """
    means, winners = _means(scores, objects, thresholds, stage)
    classes = len(scores.classes)
    by_scores = _named(objects, winners + 1, classes, named)
    if len(set(named.values())) < 2:
        return _classified(by_scores, scores, means)
    given = np.array([named.get(number, 0) for number in objects.ids.tolist()])
    features = object_features(embedding, objects, earlier)
    probable = probabilities(winners, features.properties, features.patches, given - 1, classes)
    found = _named(objects, probable.argmax(axis=1) + 1, classes, named)
    return _classified(found, scores, probable.astype(np.float32), features)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
