"""Settings that are remembered between sessions, as plugin preferences of napari.

The manifest declares them (`configurations`). napari shows them in *File > Preferences* and writes
``napari-cliper.yaml`` beside its own settings file.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from napari.settings import get_plugin_settings

from ..segmentation import InvalidInputError, SegmentationConfig

PLUGIN = "napari-cliper"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preferences:
    """The remembered values; the defaults are those of the manifest.

    Parameters
    ----------
    model, refiner, device : str
        As in `SegmentationConfig`; an empty refiner means that of the method.
    sam : str
        As in `ObjectSegmenter`.
    sam_corrects : bool
        Whether corrections use the features of that model, if it is on this machine.
    offline : bool
        Never download.
    cache_gigabytes : float
        Maximum memory of the image features of a dock, in GB.
    tile_cache : bool
        Whether the features of tiles are kept on disk.
    scheduler : str
        Address of a dask scheduler for runs on all images of a project; empty for none.
    folder, purposes, left_out, overwrite, every_plane, validation
        The last export: see `ExportChoice`.
    """

    model: str = "ViT-B/16"
    refiner: str = ""
    device: str = "auto"
    sam: str = "sam2.1-hiera-tiny"
    sam_corrects: bool = True
    offline: bool = False
    cache_gigabytes: float = 2.0
    tile_cache: bool = True
    scheduler: str = ""
    folder: str = ""
    purposes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ("object-png", "object-tiff", "ome-zarr-0.5")
    overwrite: bool = False
    every_plane: bool = False
    validation: int = 0

    @property
    def config(self) -> SegmentationConfig:
        """The configuration to start with; the default if the values are invalid."""
        try:
            return SegmentationConfig(
                model=self.model,
                refiner=self.refiner or None,
                device=self.device,
                offline=self.offline,
            )
        except InvalidInputError as error:
            logger.warning("The preferences of %s are ignored: %s", PLUGIN, error)
            return SegmentationConfig()

    @property
    def cache_bytes(self) -> int:
        """`cache_gigabytes` in bytes."""
        return round(self.cache_gigabytes * 1e9)


_GROUPS: dict[str, Literal["engine", "export"]] = {
    field.name: "export"
    if field.name in ("folder", "purposes", "left_out", "overwrite", "every_plane", "validation")
    else "engine"
    for field in fields(Preferences)
}
"""The group in the manifest, by value."""
_LISTS = ("purposes", "left_out")
"""Lists, which the manifest stores as text with commas."""


def read() -> Preferences:
    """Return the remembered values, or the defaults if the plugin is not registered in napari."""
    settings = _settings()
    if settings is None:
        return Preferences()
    values = {name: getattr(getattr(settings, group), name) for name, group in _GROUPS.items()}
    for name in _LISTS:
        parts = [part.strip() for part in values[name].split(",")]
        values[name] = tuple(part for part in parts if part)
    return Preferences(**values)


def write(**values: Any) -> None:
    """Store values by their names in `Preferences`; the others stay.

    Does nothing if the plugin is not registered in napari, for example in a script.
    """
    settings = _settings()
    if settings is None:
        return
    before = asdict(read())
    for name, value in values.items():
        if value != before[name]:
            text = ", ".join(value) if name in _LISTS else value
            setattr(getattr(settings, _GROUPS[name]), name, text)


def _settings() -> Any:
    """The settings of this plugin in napari; None if it is disabled or not registered."""
    try:
        return get_plugin_settings(PLUGIN)
    except KeyError:
        return None
