"""napari's File > Save for Labels layers, one writer for each format of a single file.

npe2 takes the first writer whose ending fits, and which plugin comes first is chance. In the
manifest these writers ask for "labels" and, at will, a graph, a kind of layer that napari does
not have: npe2 tries writers of fewer kinds first, so who saves labels as .tif and chooses nothing
still gets napari's own file. Such writers are called with a list of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ...io.files import FileError, whole_files
from ...io.writers.coco import write_coco
from ...io.writers.geojson import write_geojson
from ...io.writers.measurements import write_measurements
from ...io.writers.npz import write_npz
from ...io.writers.ome_zarr import write_ome_zarr
from ...io.writers.png import write_indexed_png, write_plain_png
from ...io.writers.tiff import write_label_tiff, write_ome_tiff
from ...labels.labelled_image import LabelledImage
from ...segmentation import SegmentationError
from ..layers.labelled_layer import labelled_of_layer, record_of

Layers = Sequence[tuple[Any, Mapping[str, Any], str]]

WriterName = Literal[
    "ome_tiff", "tiff", "png", "plain_png", "coco", "geojson", "numpy", "ome_zarr", "csv"
]


@dataclass(frozen=True)
class LayerWriter:
    """A format of one file.

    Parameters
    ----------
    endings : tuple of str
        What the file's name may end with; the first is added where none is there.
    write : callable
    """

    endings: tuple[str, ...]
    write: Callable[[Path, LabelledImage], None]


def _write_coco(path: Path, image: LabelledImage) -> None:
    write_coco(path, list(image.planes()))


WRITERS: Mapping[WriterName, LayerWriter] = MappingProxyType(
    {
        "ome_tiff": LayerWriter((".ome.tif", ".ome.tiff"), write_ome_tiff),
        "tiff": LayerWriter((".tif", ".tiff"), write_label_tiff),
        "png": LayerWriter((".png",), write_indexed_png),
        "plain_png": LayerWriter((".png",), write_plain_png),
        "coco": LayerWriter((".json",), _write_coco),
        "geojson": LayerWriter((".geojson",), write_geojson),
        "numpy": LayerWriter((".npz",), write_npz),
        "ome_zarr": LayerWriter((".ome.zarr",), write_ome_zarr),
        "csv": LayerWriter((".csv",), write_measurements),
    }
)
"""By the name that the manifest calls them by."""


def write_layers(name: WriterName, path: str, layers: Layers) -> list[str]:
    """Write one Labels layer to a file that appears whole or not at all.

    Parameters
    ----------
    name : str
        Of `WRITERS`.
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
    writer = WRITERS[name]
    data, attributes, _ = layers[0]
    target = _with_ending(Path(path), writer.endings)
    called = record_of(attributes).get("annotation_of") or attributes.get("name") or target.name
    try:
        image = labelled_of_layer(data, attributes, str(called))
        with whole_files(target.parent) as staging:
            writer.write(staging / target.name, image)
    except SegmentationError as error:
        raise FileError(str(error)) from error
    return [str(target)]


def _with_ending(path: Path, endings: tuple[str, ...]) -> Path:
    """The path with an ending; a file whose name is so only now is not replaced."""
    if path.name.lower().endswith(endings):
        return path
    target = path.with_name(path.name + endings[0])
    if target.exists():
        raise FileError(f"{target} is there already. Choose another name, or type this one.")
    return target


ome_tiff = partial(write_layers, "ome_tiff")
tiff = partial(write_layers, "tiff")
png = partial(write_layers, "png")
plain_png = partial(write_layers, "plain_png")
coco = partial(write_layers, "coco")
geojson = partial(write_layers, "geojson")
numpy = partial(write_layers, "numpy")
ome_zarr = partial(write_layers, "ome_zarr")
csv = partial(write_layers, "csv")
