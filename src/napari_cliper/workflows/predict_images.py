"""Run words on the images of a project, and keep the predictions in the project.

Of a stack, the middle plane is run, which the viewer shows first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..annotation.edit_mask import OPEN
from ..annotation.project.prediction_store import PredictionKey, StoredPrediction
from ..annotation.project.project import Project
from ..io.files import FileError
from ..segmentation import (
    ClassPrompt,
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Progress,
    SegmentationConfig,
    Thresholds,
)

if TYPE_CHECKING:
    from ..segmentation import Prototypes

Predict = Callable[[NDArray[Any], Callable[[Progress], None]], StoredPrediction]
"""Maps an image (Y, X[, C]) and a progress callback to its prediction."""

_NO_MATTER = ("device", "precision", "offline")  # fields that do not make a prediction another


@dataclass(frozen=True)
class PredictedImages:
    """What came of running all images.

    Parameters
    ----------
    run : tuple of str
        Names of the images that were run.
    kept : tuple of str
        Names of those whose prediction was up to date.
    problems : mapping of str to str
        Error message of each image that could not be run.
    """

    run: tuple[str, ...]
    kept: tuple[str, ...]
    problems: Mapping[str, str]


def prediction_key(
    classes: Sequence[ClassPrompt],
    background: Sequence[str],
    config: SegmentationConfig,
    thresholds: Thresholds,
    prototypes: Prototypes | None = None,
    prototype_weight: float | None = None,
) -> PredictionKey:
    """Return the key of all that a prediction depends on, except the image."""
    examples = [] if prototypes is None else [
        (one.name, one.patches, hashlib.sha256(one.vector.cpu().numpy().tobytes()).hexdigest())
        for one in prototypes.items
    ]  # fmt: skip
    settings = {name: value for name, value in asdict(config).items() if name not in _NO_MATTER}
    words = [asdict(one) for one in classes]
    return PredictionKey(
        _hash(words, list(background), settings, thresholds.as_dict),
        _hash(examples, prototype_weight) if examples else "",
    )


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def predict_images(
    project: Project, key: PredictionKey, predict: Predict, monitor: Monitor | None = None
) -> PredictedImages:
    """Run all images of a project that are not done; a bad image does not stop the others.

    Parameters
    ----------
    project : Project
        Keeps the predictions; see `Project.prediction`. What was run stays if this is stopped.
    key : PredictionKey
        See `prediction_key`. An image with a prediction of this key is not run again.
    predict : callable
        Computes the prediction of one image; see `Predict`.
    monitor : Monitor, optional

    Raises
    ------
    InvalidInputError
        If no image could be processed; the message gives the reason for the first.
    SegmentationError
        As raised by `predict`. `InvalidInputError` and `OutOfMemoryError` only concern one image
        and are returned in `PredictedImages.problems`.
    """
    monitor = monitor or Monitor()
    run: list[str] = []
    kept: list[str] = []

    def run_one(name: str) -> None:
        _, new = predicted(project, name, key, predict, monitor)
        (run if new else kept).append(name)

    problems = each_open_image(project, "Running the images", run_one, monitor)
    return PredictedImages(tuple(run), tuple(kept), problems)


def each_open_image(
    project: Project, stage: str, work: Callable[[str], None], monitor: Monitor
) -> dict[str, str]:
    """Do something with each image that is not done; a bad image does not stop the others.

    Parameters
    ----------
    project : Project
    stage : str
        What the progress says.
    work : callable
        Called with the name of each image.
    monitor : Monitor

    Returns
    -------
    dict of str to str
        Why images could not be processed, by name.

    Raises
    ------
    InvalidInputError
        If no image could be processed; the message gives the reason for the first.
    SegmentationError
        As raised by `work`, unless it only concerns one image.
    """
    wanted = [image.name for image in project.images if image.status != "done"]
    problems: dict[str, str] = {}
    for index, name in enumerate(wanted):
        monitor.tell(stage, index, len(wanted))
        try:
            work(name)
        except (FileError, InvalidInputError, OutOfMemoryError) as error:
            problems[name] = str(error)
    if wanted and len(problems) == len(wanted):
        raise InvalidInputError(f"None of the images could be processed. {problems[wanted[0]]}")
    return problems


def predicted(
    project: Project, name: str, key: PredictionKey, predict: Predict, monitor: Monitor
) -> tuple[StoredPrediction, bool]:
    """Return the prediction of an image, and whether it is new; a new one is kept in the project.

    Raises
    ------
    FileError
        If the image cannot be read or the prediction cannot be written.
    SegmentationError
        As raised by `predict`.
    """
    found = project.prediction(name, key)
    if found is not None:
        return found, False
    pixels, plane = middle_plane(project.read_image(name))
    made = predict(pixels, lambda progress: _pass_downloads(monitor, progress))
    made = StoredPrediction(
        made.labels, made.uncertainty, made.stage, made.scores, plane, made.record
    )
    project.save_prediction(name, key, made)
    return made, True


def middle_plane(pixels: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return the middle plane of an image, (Y, X) or (Y, X, C), and its indices."""
    colours = pixels.ndim > 2 and pixels.shape[-1] in (3, 4)
    sides = pixels.shape[:-1] if colours else pixels.shape
    middle = tuple((side - 1) // 2 for side in sides[:-2])
    return pixels[middle], middle


def confirmed_in(project: Project, name: str, prediction: StoredPrediction) -> NDArray[np.bool_]:
    """Return which pixels of a predicted plane are accepted or painted, (Y, X) bool.

    All False for an image without an annotation of its size.

    Raises
    ------
    FileError
        As `Project.peek`.
    """
    state, shape = project.peek(name), prediction.labels.shape
    if state is None or state.edit_mask.ndim != len(prediction.plane) + 2:
        return np.zeros(shape, bool)
    if any(at >= side for at, side in zip(prediction.plane, state.edit_mask.shape, strict=False)):
        return np.zeros(shape, bool)
    mask: NDArray[np.bool_] = state.edit_mask[prediction.plane] != OPEN
    return mask if mask.shape == shape else np.zeros(shape, bool)


def _pass_downloads(monitor: Monitor, progress: Progress) -> None:
    """Report downloads only; the steps within each image would hide the overall progress."""
    if progress.unit == "byte":
        monitor.report(progress)
