"""Rank a project's images for annotation, the most uncertain prediction first.

The value of an image is the mean uncertainty of its prediction over its open pixels (neither
accepted nor painted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..annotation.project.prediction_store import PredictionKey, StoredPrediction
from ..annotation.project.project import Project
from ..segmentation import Monitor
from .predict_images import ONE_IMAGE, Way, check_some, confirmed_in, each_prediction


@dataclass(frozen=True)
class Ranking:
    """The images of a project, the most uncertain first.

    Parameters
    ----------
    order : tuple of str
        All names: the images that are not done by decreasing uncertainty, then those that
        could not be processed, then those that are done, in their previous order.
    values : mapping of str to float
        Mean uncertainty of the processed images, 0 to 1.
    problems : mapping of str to str
        Error message of each image that could not be processed.
    """

    order: tuple[str, ...]
    values: Mapping[str, float]
    problems: Mapping[str, str]


def uncertain_first(
    project: Project, key: PredictionKey, way: Way, monitor: Monitor | None = None
) -> Ranking:
    """Rank the images of a project that are not done by their mean uncertainty.

    Parameters
    ----------
    project : Project
        Keeps new predictions; apply the order with `Project.reorder`.
    key : PredictionKey
        See `predict_images.prediction_key`. A prediction of this key is used again.
    way : callable
        Computes the predictions; see `predict_images.Way`.
    monitor : Monitor, optional

    Raises
    ------
    InvalidInputError
        If no image could be processed; the message gives the reason for the first.
    SegmentationError
        As raised by `way`, unless it only concerns one image: it is then in `Ranking.problems`.
    """
    found: dict[str, float] = {}
    problems: dict[str, str] = {}

    def take(name: str, prediction: StoredPrediction | Exception, _new: bool) -> None:
        try:
            if isinstance(prediction, Exception):
                raise prediction
            confirmed = confirmed_in(project, name, prediction)
        except ONE_IMAGE as error:
            problems[name] = str(error)
        else:
            found[name] = mean_of_open(prediction.uncertainty, confirmed)

    each_prediction(project, key, way, "Ranking the images", monitor or Monitor(), take)
    check_some(problems, done=len(found))
    values = {one.name: found[one.name] for one in project.images if one.name in found}
    order = sorted(values, key=lambda name: -values[name])  # stable: ties keep their order
    done = [image.name for image in project.images if image.status == "done"]
    return Ranking((*order, *problems, *done), values, problems)


def mean_of_open(uncertainty: NDArray[np.floating], confirmed: NDArray[np.bool_]) -> float:
    """Mean uncertainty over the pixels that are not confirmed; 0 if all are.

    Parameters
    ----------
    uncertainty : (Y, X) float array
    confirmed : (Y, X) bool array
    """
    left = uncertainty[~confirmed]
    return float(left.mean(dtype=np.float64)) if left.size else 0.0
