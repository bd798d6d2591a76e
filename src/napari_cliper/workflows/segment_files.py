"""Find, check and segment image files, as `napari-cliper segment` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from ..annotation.project.image_files import natural_key
from ..io.filenames import folded
from ..io.files import FileError, Replace, cannot, check_places
from ..io.own_files import OwnFiles
from ..io.prototype_file import prototypes_record
from ..objects.classifying import ClassifiedObjects, classify
from ..segmentation import (
    ClassPrompt,
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Progress,
    Prototypes,
    ScoreMaps,
    Segmenter,
    Thresholds,
    TileCache,
    free_space,
    reduction,
)
from .image_planes import AS_STORED, ImagePlanes, Reading
from .result_files import SUFFIXES, UNCERTAINTY, write_results
from .segment_objects import SUFFIXES as OBJECT_SUFFIXES
from .segment_objects import open_objects
from .segment_planes import SegmentedPlanes, segment_planes


@dataclass(frozen=True, eq=False)
class Segmented:
    """The result for one image.

    Parameters
    ----------
    scores : ScoreMaps
        Of a stack, those of its last plane.
    class_scores : list of float
        The score of each class; of a stack, the highest of all planes.
    counts : list of int
        Number of pixels of each label, background first.
    uncertainty : float
        Mean uncertainty of the image, 0 (certain) to 1, on the grid of the maps; see
        `LiveLabels.uncertainty`.
    objects : ClassifiedObjects, optional
        The given objects with their classes.
    """

    scores: ScoreMaps
    class_scores: list[float]
    counts: list[int]
    uncertainty: float
    objects: ClassifiedObjects | None = None


@dataclass(frozen=True)
class CheckedImages:
    """The images of a run.

    Parameters
    ----------
    unfit : dict of Path to str
        Error message of each image that cannot be segmented.
    shapes : dict of Path to (int, int)
        (Y, X) of each image that can.
    """

    unfit: dict[Path, str]
    shapes: dict[Path, tuple[int, int]]


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Expand folders into their image files.

    Parameters
    ----------
    paths : sequence of Path
        Files are taken as they are. Of a folder, all files with an image suffix are taken in
        natural order (2 before 10), except hidden files and the results of earlier runs;
        subfolders are skipped.

    Returns
    -------
    list of Path
        Without duplicates.

    Raises
    ------
    InvalidInputError
        For a folder without an image.
    FileError
        For a folder that cannot be read.
    """
    suffixes = {*Image.registered_extensions(), ".tif", ".tiff"}
    own = OwnFiles()
    images: list[Path] = []
    for path in paths:
        if not path.is_dir():
            images.append(path)
            continue
        try:
            files = sorted(path.iterdir(), key=natural_key)
        except OSError as error:
            raise cannot("read", path, error) from error
        found = [
            file
            for file in files
            if file.suffix.lower() in suffixes and file.name[0] != "." and file.is_file()
            and not own.wrote(file)
        ]  # fmt: skip
        if not found:
            raise InvalidInputError(f"There is no image in the folder {path}. Give another folder.")
        images += found
    return list(dict.fromkeys(images))


def check_inputs(
    segmenter: Segmenter,
    images: Sequence[Path],
    classes: Sequence[ClassPrompt],
    output: Path,
    *,
    overwrite: bool,
    objects: Path | None = None,
    reading: Reading = AS_STORED,
) -> CheckedImages:
    """Check classes, images and output files before any long work starts.

    Parameters
    ----------
    segmenter, images, classes, output
    overwrite : bool
        Whether results of earlier runs may be replaced.
    objects : Path, optional
        File with the objects of the image; only for a single image.
    reading : Reading
        Channels, contrast and planes.

    Raises
    ------
    InvalidInputError
        For invalid classes, for two images with the same result files, and for existing files
        that may not be replaced.
    """
    segmenter.check_words(classes)
    stems: dict[str, Path] = {}
    problems = []
    for path in images:
        other = stems.setdefault(folded(path.stem), path)
        if other is not path:
            problems.append(
                f"{other} and {path} would have the same result files, because their names are the "
                "same apart from ending and letter case. Rename one of them, or segment them into "
                "two output folders."
            )
    if objects is not None and len(images) > 1:
        problems.append(f"{objects} has the objects of one image. Give one image, not a folder.")
    if objects is not None and reading.axes:
        problems.append(f"{objects} has the objects of one plane. Leave out --axis or --objects.")
    suffixes = SUFFIXES if objects is None else (*SUFFIXES, *OBJECT_SUFFIXES)
    results = [output / (path.stem + suffix) for path in images for suffix in suffixes]
    inputs = [*images, *([] if objects is None else [objects])]
    try:
        check_places(results, replace="own" if overwrite else "nothing", inputs=inputs)
        if len(images) > 1:
            check_places([output / UNCERTAINTY], inputs=images)
    except FileError as error:
        problems.append(str(error))
    if problems:
        raise InvalidInputError("\n".join(problems))
    unfit: dict[Path, str] = {}
    shapes: dict[Path, tuple[int, int]] = {}
    for path in images:
        try:
            with _naming_memory(path, "reading it"):
                planes = _open(segmenter, path, reading)
                first = planes.image(next(iter(planes)))
                shapes[path] = segmenter.check(first, planes.contrast()).shape
            if objects is not None:
                open_objects(objects, shapes[path])
        except (FileError, OutOfMemoryError) as error:
            unfit[path] = str(error)
        except InvalidInputError as error:
            unfit[path] = f"{path}: {error}"
    return CheckedImages(unfit, shapes)


def cost_note(
    segmenter: Segmenter,
    path: Path,
    shape: tuple[int, int],
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    reading: Reading = AS_STORED,
) -> str:
    """Describe before a run which objects are found, and what it costs.

    Parameters
    ----------
    segmenter : Segmenter
    path : Path
        The image.
    shape : (int, int)
        (Y, X) of the image.
    report : callable
        Called with a `Progress`; with tiles, one is encoded to estimate the time.
    should_stop : callable
        As in `segment_file`.
    reading : Reading
        Channels, contrast and planes.

    Raises
    ------
    InvalidInputError
        If the features of all tiles do not fit on the disk.
    """
    reduced = reduction(shape, segmenter.config)
    size = f"{path.name}: {shape[0]} x {shape[1]} px, objects of at least {reduced.smallest:.0f} px"
    cost = None
    if segmenter.layout(shape) is not None:
        planes = _open(segmenter, path, reading)
        cost = segmenter.estimate(
            planes.image(next(iter(planes))),
            contrast=planes.contrast(),
            report=report,
            should_stop=should_stop,
        )
    if cost is None:
        hint = ""
        if reduced.notable:
            hint = (
                " Smaller ones are lost. To find them, give their size with --object-size, or "
                "encode tiles with --tile 256."
            )
        return f"{size} can be found.{hint}"
    store = segmenter.tile_store
    where = "in memory"
    if isinstance(store, TileCache):
        where = "on disk"
        free = free_space(store.folder)
        if cost.disk > free:
            raise InvalidInputError(
                f"{path}: the features of {cost.tiles} tiles need {cost.disk / 1e9:.1f} GB in "
                f"{store.folder}, where {free / 1e9:.1f} GB are free. Choose another folder with "
                "--tile-cache, or larger tiles."
            )
    text = (
        f"{size} can be found in {cost.tiles} tiles. Estimate: {_duration(cost.seconds)} in the "
        f"networks, {cost.disk / 1e6:,.0f} MB {where}, {cost.memory / 1e9:.1f} GB of memory."
    )
    if cost.read_again:
        text += (
            f" Each question about other words reads {cost.read_again} tiles with the refiner's "
            "network again, because their attention exceeds the cache."
        )
    return text


def _open(segmenter: Segmenter, path: Path, reading: Reading) -> ImagePlanes:
    """Open an image; with tiles, the pixels of a large file are read tile by tile."""
    return reading.open(path, lazily=segmenter.config.tiles is not None)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def segment_file(
    segmenter: Segmenter,
    path: Path,
    classes: Sequence[ClassPrompt],
    output: Path,
    thresholds: Thresholds,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    *,
    prototypes: Prototypes | None = None,
    prototype_weight: float | None = None,
    objects: Path | None = None,
    reading: Reading = AS_STORED,
    replace: Replace = "nothing",
) -> Segmented:
    """Segment one image or stack and write its result files, either all of them or none.

    If memory is too small for the overlay, the other files are still written.

    Parameters
    ----------
    segmenter : Segmenter
    path : Path
        The image.
    classes : sequence of ClassPrompt
    output : Path
        Folder of the results.
    thresholds : Thresholds
    report : callable
        Called with a `Progress`.
    should_stop : callable
        Called often; if it returns True, `Stopped` is raised.
    prototypes : Prototypes, optional
        Visual prototypes of classes.
    prototype_weight : float, optional
        Weight of the prototypes against the words, 0 to 1; see `Segmenter.score`.
    objects : Path, optional
        File with objects of the image, each of which gets a class (see `objects.classify`).
    reading : Reading
        Channels, contrast and planes.
    replace : str
        As in `io.files.whole_files`.

    Returns
    -------
    Segmented

    Raises
    ------
    FileError
        For an image that cannot be read or a result that cannot be written.
    SegmentationError
        As raised by the engine. `OutOfMemoryError` is also raised after the other files were
        written without the overlay.
    """
    with _naming_memory(path, "segmenting it"):
        planes = _open(segmenter, path, reading)
        found = segment_planes(
            segmenter,
            planes,
            classes,
            thresholds,
            Monitor(report, should_stop),
            prototypes=prototypes,
            prototype_weight=prototype_weight,
        )
        scores = found.scores
        assert scores is not None  # noqa: S101 - there is a plane
        record = _record(path, found, scores, thresholds)
        classified = None
        inputs = [path]
        if objects is not None:
            classified = classify(scores, open_objects(objects, scores.shape), thresholds)
            record["objects"] = {"file": objects.name, "count": len(classified.objects.ids)}
            inputs.append(objects)
        if prototypes is not None:
            record["prototypes"] = {
                **prototypes_record(prototypes),
                "prototype_weight": prototype_weight,
                "asked": scores.record.get("prototypes", []),
            }
        report(Progress("Writing the files", 0, 1))
        complete = write_results(
            output, path, found, record, classified, replace=replace, inputs=inputs
        )
    if not complete:
        raise _too_little_memory(path, "the overlay", "The labels were written. ")
    return Segmented(scores, found.class_scores, found.counts, found.uncertainty, classified)


@contextmanager
def _naming_memory(path: Path, doing: str) -> Iterator[None]:
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


def _record(
    path: Path, found: SegmentedPlanes, scores: ScoreMaps, thresholds: Thresholds
) -> dict[str, Any]:
    """Extend the engine's record by the file, the thresholds, the counts and the uncertainty."""
    total = sum(found.counts)
    record = {
        "file": path.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **scores.record,
        "thresholds": thresholds.as_dict,
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
