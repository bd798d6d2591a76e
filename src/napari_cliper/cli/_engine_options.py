"""Engine options shared by every command that runs the engine.

A command takes one parameter of type `EngineOptions` and is decorated with
`takes_engine_options`. On the command line it then has one option per field.
"""

from __future__ import annotations

import errno
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from ..io.files import cannot
from ..segmentation import (
    MASK_SOURCES,
    METHODS,
    REFINERS,
    InvalidInputError,
    SegmentationConfig,
    Settings,
    Thresholds,
    Tiles,
    parse_words,
    tiles_for_objects,
)
from ._path_arguments import given_path

if TYPE_CHECKING:
    from ..segmentation import TileStore


@dataclass(frozen=True)
class EngineOptions:
    """Engine options of the command line; the help text of each option describes it."""

    background: Annotated[
        str | None,
        typer.Option(help="Background words; photo, microscopy, none stand for lists of words."),
    ] = None
    model: Annotated[
        str,
        typer.Option(
            help="ViT-B/16, ViT-L/14, ViT-H/14, demo, open_clip:NAME/TAG or a checkpoint file."
        ),
    ] = SegmentationConfig.model
    method: Annotated[str, typer.Option(help=", ".join(METHODS))] = SegmentationConfig.method
    refiner: Annotated[
        str | None,
        typer.Option(help=", ".join(REFINERS) + "; default: depends on method and model."),
    ] = None
    diffusion_model: Annotated[
        str, typer.Option(help="A name from `napari-cliper models`, or a diffusers folder.")
    ] = SegmentationConfig.diffusion_model
    foundation_model: Annotated[
        str | None,
        typer.Option(help="A name from `napari-cliper models`; default: depends on the method."),
    ] = None
    sam_model: Annotated[
        str,
        typer.Option(
            help="SAM of Trident, of the refiner sam and of --masks sam: a name from "
            "`napari-cliper models`, or a folder."
        ),
    ] = SegmentationConfig.sam_model
    masks: Annotated[
        str,
        typer.Option(
            help=f"Masks for CorrCLIP: {', '.join(MASK_SOURCES)}, or, to segment one image, a file "
            "as for --objects."
        ),
    ] = SegmentationConfig.masks
    templates: Annotated[
        str | None, typer.Option(help="cliper-15, openai-80, openai-7, word, or a prompt with {}.")
    ] = None
    preset: Annotated[
        str, typer.Option(help="Benchmark whose published settings are the defaults.")
    ] = SegmentationConfig.preset
    shorter_side: Annotated[
        int | None, typer.Option(help="Resize the shorter side to this many pixels.")
    ] = None
    window: Annotated[
        int | None,
        typer.Option(
            help="Side of the sliding windows in pixels; 0 turns them off. Not used in tiles."
        ),
    ] = None
    object_size: Annotated[
        float | None,
        typer.Option(help="Objects are about this many pixels wide; chooses tiles that fit."),
    ] = None
    tile: Annotated[
        int | None,
        typer.Option(
            help="Encode the image in tiles of this many pixels, so that small objects in large "
            "images are found."
        ),
    ] = None
    tile_overlap: Annotated[
        int | None,
        typer.Option(help="Overlap of tiles in pixels; default: a quarter, or half for diffusion."),
    ] = None
    tile_scale: Annotated[
        float | None,
        typer.Option(help="Pixels that the networks see for each pixel of the image, in tiles."),
    ] = None
    tile_cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the features of tiles; default: in the user's cache folder.",
            parser=given_path,
        ),
    ] = None
    no_tile_cache: Annotated[
        bool, typer.Option("--no-tile-cache", help="Write no features of tiles to disk.")
    ] = False
    class_threshold: Annotated[
        float | None, typer.Option(help="A class is present only if its score is above this.")
    ] = None
    background_threshold: Annotated[
        float | None, typer.Option(help="A pixel whose best score is below this is background.")
    ] = None
    min_max: Annotated[
        bool | None, typer.Option(help="Min-max normalise each class first (CLIPer).")
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto"
    precision: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = "auto"
    seed: Annotated[int, typer.Option(help="Seed of the diffusion model's noise.")] = 0
    offline: Annotated[bool, typer.Option(help="Use only weights that are on disk.")] = False

    @property
    def mask_file(self) -> Path | None:
        """The file with the masks of the image, if `masks` names one."""
        return None if self.masks in MASK_SOURCES else Path(self.masks)

    def config(self, *, mask_file: bool = False) -> SegmentationConfig:
        """Return the engine configuration; the thresholds are not part of it.

        Parameters
        ----------
        mask_file : bool
            Whether the command takes masks from a file.

        Raises
        ------
        InvalidInputError
            See `SegmentationConfig`.
        """
        templates, file = self.templates, self.mask_file
        if file is not None and not file.exists():
            raise InvalidInputError(
                f"--masks is {self.masks}, but there is no such file. Give one of "
                f"{', '.join(MASK_SOURCES)}, or a file."
            )
        if file is not None and not mask_file:
            raise InvalidInputError(
                f"{file} has the masks of one image, which only `napari-cliper segment` takes. "
                f"Choose {', '.join(MASK_SOURCES)}."
            )
        config = SegmentationConfig(
            method=cast("Any", self.method),
            model=self.model,
            refiner=cast("Any", self.refiner),
            diffusion_model=self.diffusion_model,
            foundation_model=self.foundation_model,
            sam_model=self.sam_model,
            masks=cast("Any", self.masks if file is None else "none"),
            background=None if self.background is None else parse_words(self.background),
            templates=(templates,) if templates and "{}" in templates else templates,
            preset=self.preset,
            shorter_side=self.shorter_side,
            window=self.window,
            tiles=self.tiles(),
            device=self.device,
            precision=cast("Any", self.precision),
            seed=self.seed,
            offline=self.offline,
        )
        if self.object_size is None:
            return config
        if self.tile is not None:
            raise InvalidInputError("Give --object-size or --tile, not both.")
        return replace(config, tiles=tiles_for_objects(self.object_size, config))

    def tiles(self) -> Tiles | None:
        """The tiles, if there are any."""
        if self.tile is not None:
            return Tiles(self.tile, self.tile_overlap, self.tile_scale)
        if self.tile_overlap is not None or self.tile_scale is not None:
            raise InvalidInputError(
                "--tile-overlap and --tile-scale need --tile. Add --tile N, or leave them out."
            )
        return None

    def tile_store(self) -> TileStore:
        """Where the features of tiles are kept.

        Raises
        ------
        InvalidInputError
            For a folder that is not used, or a file instead of a folder.
        FileAccessError
            For a folder that cannot be made.
        """
        from ..segmentation import TileCache, TileMemory  # noqa: PLC0415 - torch

        if self.no_tile_cache and self.tile_cache is not None:
            raise InvalidInputError("Give --tile-cache or --no-tile-cache, not both.")
        if self.no_tile_cache:
            return TileMemory()
        if self.tile_cache is None:
            return TileCache()
        store = TileCache(self.tile_cache)
        there = next(one for one in (store.folder, *store.folder.parents) if one.exists())
        if there != store.folder and not os.access(there, os.W_OK | os.X_OK):
            raise cannot("write", store.folder, PermissionError(errno.EACCES, ""))
        return store

    def thresholds(self, settings: Settings) -> Thresholds:
        """The thresholds given, and the default ones of the settings."""
        return settings.thresholds.with_values(
            class_threshold=self.class_threshold,
            background_threshold=self.background_threshold,
            min_max=self.min_max,
        )


def takes_engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's `EngineOptions` parameter with one parameter per field.

    Parameters
    ----------
    command : callable
        A typer command with exactly one `EngineOptions` parameter; called with keyword
        arguments only.

    Returns
    -------
    callable
        The command with the signature that typer reads.
    """
    annotations = get_type_hints(command, include_extras=True)
    (engine_name,) = (name for name, hint in annotations.items() if hint is EngineOptions)
    engine_annotations = get_type_hints(EngineOptions, include_extras=True)
    options = {field.name: field.default for field in fields(EngineOptions)}

    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == engine_name:
            parameters += [
                inspect.Parameter(
                    option,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=default,
                    annotation=engine_annotations[option],
                )
                for option, default in options.items()
            ]
        else:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotations[name])
            )

    def run(**given: Any) -> None:
        engine = EngineOptions(**{name: given.pop(name) for name in options})
        command(**given, **{engine_name: engine})

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
