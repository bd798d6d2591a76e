"""napari's File > Save for Labels layers, one writer for each format of a single file.

npe2 takes the first writer whose ending fits, and which plugin comes first is chance. In the
manifest these writers ask for "labels" and, at will, a graph, a kind of layer that napari does
not have: npe2 tries writers of fewer kinds first, so who saves labels as .tif and chooses nothing
still gets napari's own file. Such writers are called with a list of layers.
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
from ..layers.labelled_layer import labelled_of_layer, record_of

Layers = Sequence[tuple[Any, Mapping[str, Any], str]]


def write_layers(name: str, path: str, layers: Layers) -> list[str]:
    """Write one Labels layer to a file that appears whole or not at all.

    Parameters
    ----------
    name : str
        Of `FORMATS`, one with endings.
    path : str
        A file of this name is replaced: napari has asked.
    layers : sequence of (data, attributes, kind)
        One Labels layer.

    Returns
    -------
    list of str
        The file; its name ends as the format's do, whatever was asked for.

    Raises
    ------
    FileError
        For what the format cannot hold and the disk does not take. Never a `ValueError`: napari
        says of those no more than that the plugin cannot write.
    """
    chosen = FORMATS[name]
    data, attributes, _ = layers[0]
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
    """The path with an ending; a file whose name is so only now is not replaced."""
    if path.name.lower().endswith(endings):
        return path
    target = path.with_name(path.name + endings[0])
    if target.exists():
        raise FileError(ui_text.name_taken(target))
    return target


def __getattr__(name: str) -> Callable[[str, Layers], list[str]]:
    """The writer of a format, under the name that the manifest has for it: ``ome_tiff``."""
    format_name = name.replace("_", "-")
    if format_name in FORMATS and FORMATS[format_name].endings:
        return partial(write_layers, format_name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
