"""Write images in some of the export formats; all files appear, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from PIL import Image

from ..labels.axes import axis_words
from ..labels.labelled_image import LabelledImage
from .filenames import file_name, unique_names
from .files import Replace, whole_files
from .formats import FORMATS, check_formats
from .lazy_images import Images, LazyImages


def _names_of(image: LabelledImage) -> list[str]:
    """What the files of an image can be called: its name, or with more of its own file's."""
    path = PurePosixPath(image.name)
    is_file = path.suffix.lower() in {*Image.registered_extensions(), ".tif", ".tiff"}
    plain = image.name[: -len(path.suffix)].removesuffix(".ome") if is_file else image.name
    own = PurePosixPath(image.image_file.replace("\\", "/"))
    longer = [*own.parent.parts, plain] if len(own.parts) > 1 else [plain, own.suffix[1:]]
    return list(dict.fromkeys([file_name(plain), file_name("_".join(filter(None, longer)))]))


def _named(image: LabelledImage, name: str) -> LabelledImage:
    return replace(image, name=name)


def export_notes(image: LabelledImage, formats: Sequence[str]) -> list[str]:
    """What a person should know of an image's files in these formats, in a sentence each.

    Returns
    -------
    list of str
        Of axes that nobody has named, and the notes of the formats.
    """
    notes = []
    unnamed = [word for word in axis_words(image.axes) if word.startswith("axis ")]
    if unnamed:
        notes.append(
            f"{image.name} does not say what {' and '.join(unnamed)} "
            f"{'is' if len(unnamed) == 1 else 'are'}: planes keep their order, and each is "
            "measured by itself. To name the axes, set axis_labels of the image layer in napari, "
            "such as ('t', 'y', 'x'), or save the image with them."
        )
    for name in formats:
        notes += FORMATS[name].notes_of(image)
    return notes


def export_images(
    folder: Path,
    images: Images,
    formats: Sequence[str],
    *,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
) -> list[Path]:
    """Write images in some formats; all files appear, or none.

    Parameters
    ----------
    folder : Path
        Made where it is missing. With more than one format each has a folder in it.
    images : sequence of LabelledImage or LazyImages
        Their files are called as they are, without an image's suffix and what some system cannot
        have in a name. Of images that share a name, the folder or suffix of their own file, or a
        number, is added.
    formats : sequence of str
        Names of `FORMATS`.
    overwrite : bool
        Whether files of the same name that this program wrote are replaced.
    inputs : iterable of Path
        Files that the images come from; they are never replaced.

    Returns
    -------
    list of Path
        What appeared in the folder: files, or folders of a format.

    Raises
    ------
    InvalidInputError
        For a name that is no format, and for what a format cannot hold.
    FileError
        For what is there already, and for a disk that does not take it.
    """
    chosen = check_formats(formats)
    names = unique_names([_names_of(image) for image in images])
    named = LazyImages(lambda: map(_named, images, names))
    replaced: Replace = "own" if overwrite else "nothing"
    with whole_files(folder, replace=replaced, inputs=inputs) as staging:
        for name in chosen:
            part = staging if len(chosen) == 1 else staging / name
            part.mkdir(exist_ok=True)
            FORMATS[name].export(part, named)
        return [folder / path.name for path in sorted(staging.iterdir())]
