"""Run words on the images of a project, and keep the predictions in the project.

Of a stack, the middle plane is run, which the viewer shows first.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..annotation.edit_mask import OPEN
from ..annotation.project.prediction_store import PredictionKey, StoredPrediction
from ..annotation.project.project import Project
from ..annotation.stored_grid import on_grid
from ..annotation.stored_state import StoredState
from ..io.files import DiskError, FileError
from ..io.images import pixel_size_of
from ..segmentation import (
    ClassPrompt,
    Composite,
    InvalidInputError,
    LabelsByChunk,
    LiveLabels,
    Monitor,
    OutOfMemoryError,
    Report,
    SegmentationConfig,
    Thresholds,
    Window,
    in_chunks,
    labels_by_chunk,
    live_on_grid,
)

if TYPE_CHECKING:
    from ..segmentation import Prototypes, ScoreMaps


class Plane(NamedTuple):
    """The plane of an image that is predicted.

    Parameters
    ----------
    name : str
    pixels : (Y, X) or (Y, X, C) array or Composite
    pixel_size : float, optional
        Side of a pixel in micrometres, if the file gives it.
    """

    name: str
    pixels: Any
    pixel_size: float | None = None


Predict = Callable[[Plane, Report], StoredPrediction]
"""Maps an image and a progress callback to its prediction."""

Predicted = tuple[str, StoredPrediction | Exception]
"""The name of an image, and its prediction, or why there is none."""

Way = Callable[[Iterator[Plane], Monitor], Iterator[Predicted]]
"""Predicts images: `one_by_one`, or `predict_on_cluster.on_cluster`."""

LARGE_PIXELS = 1 << 26
"""An image with more pixels is read by tile and labelled by chunk."""

AHEAD = 2
"""Images that are read before they are needed, and that are saved at the same time."""

ONE_IMAGE = (FileError, InvalidInputError, OutOfMemoryError)
"""Errors that concern a single image; the run continues with the others."""

_NO_MATTER = ("device", "precision", "offline")  # fields that do not make a prediction another


@dataclass(frozen=True)
class PredictedImages:
    """The outcome of a run on all images.

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


def one_by_one(predict: Predict) -> Way:
    """Return a function that predicts images in this thread."""

    def way(planes: Iterator[Plane], monitor: Monitor) -> Iterator[Predicted]:
        for plane in planes:
            try:
                found = predict(plane, monitor.downloads_only().report)
                yield plane.name, found
            except ONE_IMAGE as error:  # pixels of a large image are read now
                yield plane.name, error

    return way


def predict_images(
    project: Project, key: PredictionKey, way: Way, monitor: Monitor | None = None
) -> PredictedImages:
    """Run all images of a project that are not done; a bad image does not stop the others.

    Parameters
    ----------
    project : Project
        Keeps the predictions; see `Project.prediction`. What was run stays if this is stopped.
    key : PredictionKey
        See `prediction_key`. An image with a prediction of this key is not run again.
    way : callable
        Computes the predictions; see `Way`.
    monitor : Monitor, optional

    Raises
    ------
    InvalidInputError
        If no image could be processed; the message gives the reason for the first.
    SegmentationError
        As raised by `way`, unless it only concerns one image: it is then in
        `PredictedImages.problems`.
    """
    run: list[str] = []
    kept: list[str] = []
    problems: dict[str, str] = {}

    def take(name: str, found: StoredPrediction | Exception, new: bool) -> None:
        if isinstance(found, Exception):
            problems[name] = str(found)
        else:
            (run if new else kept).append(name)

    each_prediction(project, key, way, "Running the images", monitor or Monitor(), take)
    check_some(problems, done=len(run) + len(kept))
    return PredictedImages(tuple(run), tuple(kept), problems)


def check_some(problems: Mapping[str, str], *, done: int) -> None:
    """Raise `InvalidInputError` with the first reason if all images failed."""
    if problems and not done:
        reason = next(iter(problems.values()))
        raise InvalidInputError(f"None of the images could be processed. {reason}")


def each_prediction(
    project: Project,
    key: PredictionKey,
    way: Way,
    stage: str,
    monitor: Monitor,
    take: Callable[[str, StoredPrediction | Exception, bool], None],
) -> None:
    """Predict the images of a project that are not done, and keep the predictions in the project.

    The next images are read, and the last ones saved, while others are predicted.

    Parameters
    ----------
    project, key, way, monitor
        As for `predict_images`.
    stage : str
        What the progress says.
    take : callable
        Called in this thread with the name of each image, its prediction (or the error that
        concerns this image), and whether it is new.
    """
    wanted = [image.name for image in project.images if image.status != "done"]
    planes: dict[str, tuple[int, ...]] = {}
    saving: deque[tuple[str, StoredPrediction, Future[None]]] = deque()

    def take_saved(most: int) -> None:
        while saving and (len(saving) > most or saving[0][2].done()):
            name, prediction, saved = saving.popleft()
            error = saved.exception()
            if isinstance(error, DiskError) or not isinstance(error, FileError | None):
                raise error
            take(name, error or prediction, True)

    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "save") as saver:

        def to_predict() -> Iterator[Plane]:
            """The images without a prediction."""
            names = iter(wanted)
            ahead: deque[tuple[str, Future[Any]]] = deque()
            for index in range(len(wanted)):
                while len(ahead) < AHEAD and (name := next(names, None)) is not None:
                    ahead.append((name, reader.submit(_found_or_read, project, name, key)))
                monitor.tell(stage, index, len(wanted))
                name, reading = ahead.popleft()
                found = reading.result()
                if isinstance(found, tuple):
                    plane, planes[name] = found
                    yield plane
                else:
                    take(name, found, False)

        try:
            for name, found in way(to_predict(), monitor):
                if isinstance(found, Exception):
                    take(name, found, False)
                else:
                    made = replace(found, plane=planes.pop(name))
                    saved = saver.submit(project.save_prediction, name, key, made)
                    saving.append((name, made, saved))
                take_saved(AHEAD)
        finally:
            reader.shutdown(wait=False, cancel_futures=True)
        take_saved(0)


def _found_or_read(
    project: Project, name: str, key: PredictionKey
) -> StoredPrediction | Exception | tuple[Plane, tuple[int, ...]]:
    """The prediction of an image, or else the plane to predict with its indices, or an error."""
    try:
        found = project.prediction(name, key)
        if found is not None:
            return found
        pixels, middle = middle_plane(project.open_image(name)[0], lazy=True)
        return Plane(name, pixels, pixel_size_of(project.image(name).path)), middle
    except ONE_IMAGE as error:
        return error


def stored_prediction(
    scores: ScoreMaps,
    thresholds: Thresholds,
    monitor: Monitor | None = None,
) -> StoredPrediction:
    """Return the prediction of an image from its scores, with its final stage.

    That of an image in tiles with more than `LARGE_PIXELS` is labelled chunk by chunk.

    Parameters
    ----------
    scores : ScoreMaps
    thresholds : Thresholds
    monitor : Monitor, optional
        Told of each chunk; can stop in between.
    """
    stage = scores.stages[-1]
    labels: Any
    large = math.prod(scores.shape) > LARGE_PIXELS
    if large and scores.config.tiles is not None and in_chunks(scores):
        live = live_on_grid(scores)[stage]
        labels = labels_by_chunk(scores, {stage: live}, thresholds)[stage]
        missing = labels.missing(Window(0, 0, *labels.shape))
        for done, chunk in enumerate(missing):
            (monitor or Monitor()).tell("Labelling", done, len(missing))
            labels.compute(chunk)
    else:
        live = LiveLabels(scores, stage)
        labels = live.labels(thresholds)
    return StoredPrediction(
        labels,
        live.uncertainty(thresholds),
        stage,
        tuple(scores.stage().class_scores.tolist()),
        record={**scores.record, "thresholds": thresholds.as_dict},
    )


def middle_plane(pixels: Any, *, lazy: bool = False) -> tuple[Any, tuple[int, ...]]:
    """Return the middle plane of an image, (Y, X) or (Y, X, C), and its indices.

    That of a `Composite` is one, with its channels in memory. With `lazy`, an image of one plane
    with more than `LARGE_PIXELS` stays as it is.
    """
    colours = pixels.ndim > 2 and pixels.shape[-1] in (3, 4)
    sides = pixels.shape[:-1] if colours else pixels.shape
    middle = tuple((side - 1) // 2 for side in sides[:-2])
    if isinstance(pixels, Composite):
        return pixels.read(middle), middle
    if lazy and not middle and math.prod(sides) > LARGE_PIXELS:
        return pixels, middle
    return np.asarray(pixels[middle]), middle


def confirmed_in(project: Project, name: str, prediction: StoredPrediction) -> NDArray[np.bool_]:
    """Return which pixels of the uncertainty of a plane are accepted or painted, (Y, X) bool.

    All False for an image without an annotation of its size.

    Raises
    ------
    FileError
        As `Project.peek`.
    """
    state, shape = project.peek(name), prediction.uncertainty.shape
    if isinstance(prediction.labels, LabelsByChunk):
        if not isinstance(state, StoredState) or state.store.shape != prediction.labels.shape:
            return np.zeros(shape, bool)
        whole = tuple(slice(0, side) for side in state.store.shape)
        decided: NDArray[np.bool_] = on_grid(state.store, (whole[0], whole[1]), shape)[1] != OPEN
        return decided
    if state is None or state.edit_mask.ndim != len(prediction.plane) + 2:
        return np.zeros(shape, bool)
    if any(at >= side for at, side in zip(prediction.plane, state.edit_mask.shape, strict=False)):
        return np.zeros(shape, bool)
    mask: NDArray[np.bool_] = state.edit_mask[prediction.plane] != OPEN
    return mask if mask.shape == shape else np.zeros(shape, bool)
