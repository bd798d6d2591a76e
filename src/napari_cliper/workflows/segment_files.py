"""Segment one image file: read it, encode it, find its labels, write its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..io.files import FileError, Replace, cannot, check_kind, whole_files
from ..io.images import pixel_size_of
from ..io.journal import digest_of
from ..io.ome_zarr_images import files_of
from ..io.own_files import sha256
from ..io.prototype_file import prototypes_record
from ..io.readers.object_files import class_file
from ..io.writers.tiff import LabelPlanes, create_label_tiff
from ..objects.classifying import ClassifiedObjects
from ..segmentation import (
    ClassPrompt,
    ImageEmbedding,
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Prototypes,
    RGBImage,
    SegmentationConfig,
    Segmenter,
    Stage,
    Thresholds,
    TiledImage,
    TileStore,
)
from .image_planes import AS_STORED, ImagePlanes, Reading
from .image_sources import Source
from .result_files import TIFF, labels_of, result_suffixes, write_results
from .segment_objects import GivenClasses, check_memory, open_objects
from .segment_planes import SegmentedPlanes, segment_planes

_DIFFER = ("seconds",)  # what a record has of one run only


@dataclass(frozen=True, eq=False)
class SegmentJob:
    """Everything that the results of a run depend on, except the images.

    Parameters
    ----------
    config : SegmentationConfig
    classes : sequence of ClassPrompt
    output : Path
        Folder of the results.
    thresholds : Thresholds
    tile_store : TileStore
        Where the features of tiles are kept.
    prototypes : Prototypes, optional
        Visual prototypes of classes.
    prototype_weight : float, optional
        Weight of the prototypes against the words, 0 to 1; see `Segmenter.score`.
    objects : Path, optional
        File with objects of the image, each of which gets a class. Those that have one of
        `classes` keep it, and the others are classified by them too; see `objects.reclassify`.
    masks : Path, optional
        File with masks for a method that uses them, in the same formats.
    reading : Reading
        Channels, contrast and planes.
    overlay : bool
        Whether overlays are written.
    """

    config: SegmentationConfig
    classes: Sequence[ClassPrompt]
    output: Path
    thresholds: Thresholds
    tile_store: TileStore
    prototypes: Prototypes | None = None
    prototype_weight: float | None = None
    objects: Path | None = None
    masks: Path | None = None
    reading: Reading = AS_STORED
    overlay: bool = True

    def settings(self, segmenter: Segmenter) -> dict[str, Any]:
        """Everything that the results depend on, as JSON values, for the journal."""
        settings = {
            **segmenter.settings_record,
            "thresholds": self.thresholds.as_dict,
            "classes": [[*one.words, one.prompt] for one in self.classes],
            "overlay": self.overlay,
            "objects": self.objects is not None,
            "masks": self.masks is not None,
            **self.reading.as_dict,
        }
        if self.prototypes is not None:
            settings["prototypes"] = {
                **prototypes_record(self.prototypes),
                "prototype_weight": self.prototype_weight,
            }
        return settings

    @property
    def files_of_image(self) -> dict[str, Path]:
        """The files that belong to a single image, by what they have."""
        named = {"objects": self.objects, "masks": self.masks}
        return {what: path for what, path in named.items() if path is not None}

    def results(self, source: Source) -> list[tuple[Path, ...]]:
        """The result files of an image, each with its possible paths."""
        suffixes = result_suffixes(
            refined=self.config.refines, overlay=self.overlay, objects=self.objects is not None
        )
        return [tuple(self.output / (source.stem + one) for one in names) for names in suffixes]

    def has_results(self, source: Source) -> bool:
        """Whether all result files of an image exist."""
        return all(any(path.exists() for path in paths) for paths in self.results(source))


@dataclass(frozen=True, eq=False)
class Segmented:
    """The result for one image.

    Parameters
    ----------
    names : tuple of str
        The classes, without the background.
    class_scores : tuple of float
        One for each class; of a stack, the highest of all planes.
    counts : tuple of int
        Number of pixels of each label, background first.
    uncertainty : float
        Mean uncertainty of the image, 0 (certain) to 1, on the grid of the maps; see
        `LiveLabels.uncertainty`.
    notes : tuple of str
        Messages for the user.
    objects : ClassifiedObjects, optional
        The given objects with their classes.
    """

    names: tuple[str, ...]
    class_scores: tuple[float, ...]
    counts: tuple[int, ...]
    uncertainty: float
    notes: tuple[str, ...] = ()
    objects: ClassifiedObjects | None = None


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An image that can be segmented.

    Parameters
    ----------
    planes : ImagePlanes
    first : RGBImage or TiledImage
        Its first plane as the networks will see it.
    pixel_size : float or None
        Side of a pixel in micrometres, if the file gives it.
    """

    planes: ImagePlanes
    first: RGBImage | TiledImage
    pixel_size: float | None

    @property
    def single(self) -> bool:
        """Whether it is no stack."""
        return not self.planes.axes


def image_digest(job: SegmentJob, source: Source) -> str:
    """Return a SHA-256 of the image file or folder, and of the files with its objects and masks.

    A file beside the objects with their classes is included.

    Raises
    ------
    FileError
        For a file that cannot be read.
    """
    found = []
    named = None if job.objects is None else class_file(job.objects)
    beside = () if named is None else (named,)
    for path in (source.path, *job.files_of_image.values(), *beside):
        check_kind(path)
        try:
            hashes = [sha256(file) for file in files_of(path)]
            found.append(hashes[0] if len(hashes) == 1 else digest_of(*hashes))
        except OSError as error:
            raise cannot("read", path, error) from error
    return found[0] if len(found) == 1 else digest_of(*found)


def read_checked(segmenter: Segmenter, job: SegmentJob, source: Source) -> ReadImage:
    """Read an image and check that it can be segmented, without loading a network.

    With tiles, the pixels of a large file are read later, tile by tile.

    Raises
    ------
    FileError
        For a file that cannot be read.
    InvalidInputError
        For an image that cannot be segmented, and for objects of another size.
    OutOfMemoryError
        If memory is too small for it.
    """
    path = source.path
    with naming_memory(path, "reading it"):
        try:
            planes = job.reading.open(path, lazily=segmenter.config.tiles is not None)
            first = segmenter.check(planes.image(next(iter(planes))), planes.contrast())
            if job.objects is not None:
                check_memory("objects", job.objects, first.shape)
                open_objects(job.objects, first.shape)
            if job.masks is not None:
                check_memory("masks", job.masks, first.shape)
                masks = open_objects(job.masks, first.shape).objects.numbers
                first = segmenter.check(
                    planes.image(next(iter(planes))), planes.contrast(), masks=masks
                )
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
    return ReadImage(planes, first, pixel_size_of(path))


def encode(
    segmenter: Segmenter,
    images: Sequence[tuple[Source, ReadImage]],
    monitor: Monitor,
    *,
    together: bool = False,
) -> list[ImageEmbedding]:
    """Run the image networks on images of one size that are no stacks.

    `together` is that of `Segmenter.embed_each`.
    """
    with naming_memory(images[0][0].path, "segmenting it"), reading_errors():
        return segmenter.embed_each([one.first for _, one in images], monitor, together=together)


def segment_stack(
    segmenter: Segmenter,
    job: SegmentJob,
    source: Source,
    image: ReadImage,
    monitor: Monitor,
    *,
    replace: Replace,
) -> Segmented:
    """Segment a stack plane by plane and write its result files, either all of them or none.

    Labels of a plane are written when it is segmented, so that memory does not grow with the
    number of planes.

    Parameters
    ----------
    segmenter, job, source, image, monitor, replace
        As for `finish`.

    Raises
    ------
    FileError, SegmentationError
        As `finish`.
    """
    path, axes = source.path, image.planes.axes + "YX"
    with (
        naming_memory(path, "segmenting it"),
        whole_files(job.output / source.folder, replace=replace, inputs=[path]) as folder,
    ):

        def create(
            stage: Stage, classes: Sequence[ClassPrompt], shape: tuple[int, ...], dtype: Any
        ) -> LabelPlanes:
            empty = np.broadcast_to(np.zeros((), dtype), shape)
            place = folder / f"{path.stem}_{stage}{TIFF}"
            return create_label_tiff(place, labels_of(path, empty, classes, axes))

        try:
            with reading_errors():
                found = segment_planes(
                    segmenter,
                    image.planes,
                    job.classes,
                    job.thresholds,
                    monitor,
                    prototypes=job.prototypes,
                    prototype_weight=job.prototype_weight,
                    pixel_size=image.pixel_size,
                    create=create,
                )
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
        segmented, problem = write_found(folder, job, source, found)
    if problem is not None:
        raise problem
    return segmented


@contextmanager
def reading_errors() -> Iterator[None]:
    """Turn the error of an image that is read part by part into one that concerns the image."""
    try:
        yield
    except FileError as error:
        raise InvalidInputError(str(error)) from error


def finish(
    segmenter: Segmenter,
    job: SegmentJob,
    source: Source,
    image: ReadImage,
    embedding: ImageEmbedding,
    monitor: Monitor,
    *,
    replace: Replace,
) -> Segmented:
    """Label an encoded image and write its result files, either all of them or none.

    If memory is too small for the overlay, the other files are still written.

    Parameters
    ----------
    segmenter, job, source, image
    embedding : ImageEmbedding
        From `encode`.
    monitor : Monitor
    replace : str
        As in `io.files.whole_files`.

    Raises
    ------
    FileError
        For a result that cannot be written.
    SegmentationError
        As raised by the engine. `OutOfMemoryError` is also raised after the other files were
        written without the overlay.
    """
    path, inputs = source.path, [source.path, *job.files_of_image.values()]
    with naming_memory(path, "segmenting it"):
        found = _labelled(segmenter, job, image, embedding, monitor)
        given = None
        if job.objects is not None and found.scores is not None:
            opened = open_objects(job.objects, found.scores.shape)
            given = opened.classified(found.scores, embedding, job.thresholds)
        monitor.tell("Writing the files", 0, 1)
        with whole_files(job.output / source.folder, replace=replace, inputs=inputs) as folder:
            segmented, problem = write_found(folder, job, source, found, given)
    if problem is not None:
        raise problem
    return segmented


def write_found(
    folder: Path,
    job: SegmentJob,
    source: Source,
    found: SegmentedPlanes,
    given: GivenClasses | None = None,
) -> tuple[Segmented, OutOfMemoryError | None]:
    """Write the result files of an image into a folder.

    Parameters
    ----------
    folder, job, source
    found : SegmentedPlanes
    given : GivenClasses, optional
        The given objects with their classes.

    Returns
    -------
    segmented : Segmented
    problem : OutOfMemoryError or None
        If memory is too small for the overlay; the other files are written.
    """
    scores = found.scores
    assert scores is not None  # noqa: S101 - there is a plane
    record = _record(source, found, job)
    classified, notes = (None, ()) if given is None else (given.found, given.notes)
    if job.masks is not None:
        record["masks"] = {**record["masks"], "file": job.masks.name}
    if job.objects is not None and given is not None:
        record["objects"] = {
            "file": job.objects.name,
            "count": len(given.found.objects.ids),
            "named": len(given.named),
        }
    if job.prototypes is not None:
        record["prototypes"] = {
            **prototypes_record(job.prototypes),
            "prototype_weight": job.prototype_weight,
            "asked": scores.record.get("prototypes", []),
        }
    with reading_errors():  # a large image is read again for its overlay
        complete = write_results(folder, source.path, found, record, classified, draws=job.overlay)
    segmented = Segmented(
        names=tuple(one.name for one in scores.classes),
        class_scores=tuple(map(float, found.class_scores)),
        counts=tuple(found.counts),
        uncertainty=found.uncertainty,
        notes=(*scores.notes, *notes),
        objects=classified,
    )
    written = "The labels were written. "
    problem = None if complete else _too_little_memory(source.path, "the overlay", written)
    return segmented, problem


def _labelled(
    segmenter: Segmenter,
    job: SegmentJob,
    image: ReadImage,
    embedding: ImageEmbedding,
    monitor: Monitor,
) -> SegmentedPlanes:
    """Score and label an image that is no stack."""
    found = SegmentedPlanes(image.planes)
    scores = segmenter.score(
        embedding,
        job.classes,
        prototypes=job.prototypes,
        prototype_weight=job.prototype_weight,
        pixel_size=image.pixel_size,
        report=monitor.report,
        should_stop=monitor.should_stop,
    )
    found.add((), embedding.image, scores, job.thresholds)
    return found


def _record(source: Source, found: SegmentedPlanes, job: SegmentJob) -> dict[str, Any]:
    """Extend the engine's record by the file, the thresholds, the counts and the uncertainty.

    Without times, so that equal runs write equal files.
    """
    scores, total = found.scores, sum(found.counts)
    assert scores is not None  # noqa: S101 - there is a plane
    record = {
        "file": source.name,
        **{name: value for name, value in scores.record.items() if name not in _DIFFER},
        "thresholds": job.thresholds.as_dict,
        "pixels": [
            {"label": label, "pixels": count, "share": count / total}
            for label, count in enumerate(found.counts)
        ],
        "uncertainty": found.uncertainty,
    }
    if found.planes.axes:  # the scores are those of each plane
        record["classes"] = [
            {name: value for name, value in one.items() if not name.startswith("score")}
            for one in scores.record["classes"]
        ]
        record["axes"] = found.planes.axes + "YX"
        record["planes"] = found.results
    return record


@contextmanager
def naming_memory(path: Path, doing: str) -> Iterator[None]:
    """Turn a MemoryError into an OutOfMemoryError that names the image."""
    try:
        yield
    except MemoryError as error:
        raise _too_little_memory(path, doing) from error


def _too_little_memory(path: Path, purpose: str, written: str = "") -> OutOfMemoryError:
    return OutOfMemoryError(
        f"{path}: there is not enough memory for {purpose}. {written}Close other programs, or "
        "split the image into smaller ones."
    )
