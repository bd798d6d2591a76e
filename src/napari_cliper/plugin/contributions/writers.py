"""Writers for File > Save of Labels layers, one for each format with file endings.

npe2 uses the first writer whose ending matches, and the order of plugins is not defined. In the
manifest, these writers take "labels" and optionally "graph", a layer type that napari does not
have: npe2 tries writers of fewer types first, so that labels saved as .tif without a chosen type
still go to napari's own writer. Such writers are called with a list of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...io.files import FileError, whole_files
from ...io.formats import FORMATS
from ...segmentation import SegmentationError
from .. import ui_text
from ..layers.image_layers import OUTPUT_KEY
from ..layers.labelled_layer import labelled_of_layer, record_of
from ..layers.window_region import WINDOW_KEY

Layers = Sequence[tuple[Any, Mapping[str, Any], str]]


def write_layers(name: str, path: str, layers: Layers) -> list[str]:
    """Write one Labels layer to a file, completely or not at all.

    Parameters
    ----------
    name : str
        Name of a format with endings.
    path : str
        An existing file is replaced: napari has asked.
    layers : sequence of (data, attributes, kind)
        One Labels layer.

    Returns
    -------
    list of str
        The written file, with an ending of the format.

    Raises
    ------
    FileError
        If the format cannot store the labels, or the file cannot be written. Never a `ValueError`,
        whose message napari does not show.
    """
    chosen = FORMATS[name]
    data, attributes, _ = layers[0]
    if WINDOW_KEY in attributes.get("metadata", {}):
        raise FileError(ui_text.only_a_part(str(attributes.get("name", name))))
    if attributes.get("multiscale") and OUTPUT_KEY in attributes.get("metadata", {}):
        raise FileError(ui_text.too_large_to_save(str(attributes.get("name", name))))
    target = _with_ending(Path(path), chosen.endings)
    called = record_of(attributes).get("annotation_of") or attributes.get("name") or target.name
    try:
        image = labelled_of_layer(data, attributes, str(called))
        with whole_files(target.parent) as staging:
            chosen.save(staging / target.name, image)
    except SegmentationError as error:
        raise FileError(str(error)) from error
    return [str(target)]


def _with_ending(path: Path, endings: tuple[str, ...]) -> Path:
    """The path with an ending; an existing file is not replaced if the ending was added here."""
    if path.name.lower().endswith(endings):
        return path
    target = path.with_name(path.name + endings[0])
    if target.exists():
        raise FileError(ui_text.name_taken(target))
    return target


def __getattr__(name: str) -> Callable[[str, Layers], list[str]]:
    """The writer of a format, by its name in the manifest, such as ``ome_tiff``."""
    format_name = name.replace("_", "-")
    if format_name in FORMATS and FORMATS[format_name].endings:
        return partial(write_layers, format_name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
