"""The engine's options, written once for every command that runs it.

A command takes one parameter of the type `EngineOptions` and is decorated with
`takes_engine_options`: on the command line it then has an option for each of the fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, cast, get_type_hints

import typer

from ..segmentation import METHODS, REFINERS, SegmentationConfig, parse_words


@dataclass(frozen=True)
class EngineOptions:
    """What a person may say of the engine on the command line; see the options' help."""

    background: Annotated[
        str | None,
        typer.Option(help="Words for the rest, or one of the lists photo, microscopy, none."),
    ] = None
    model: Annotated[
        str,
        typer.Option(help="ViT-B/16, ViT-L/14, ViT-H/14, demo, open_clip:NAME/TAG or a file."),
    ] = SegmentationConfig.model
    method: Annotated[str, typer.Option(help=", ".join(METHODS))] = SegmentationConfig.method
    refiner: Annotated[
        str | None, typer.Option(help=", ".join(REFINERS) + "; default: by method and model.")
    ] = None
    diffusion_model: Annotated[
        str, typer.Option(help="A name of `napari-cliper models`, or a diffusers folder.")
    ] = SegmentationConfig.diffusion_model
    foundation_model: Annotated[str, typer.Option(help="A name of `napari-cliper models`.")] = (
        SegmentationConfig.foundation_model
    )
    templates: Annotated[
        str | None, typer.Option(help="cliper-15, openai-80, openai-7, word, or a prompt with {}.")
    ] = None
    protocol: Annotated[str, typer.Option(help="Whose published settings are the defaults.")] = (
        SegmentationConfig.protocol
    )
    shorter_side: Annotated[
        int | None, typer.Option(help="Resize the shorter side to this many pixels.")
    ] = None
    window: Annotated[
        int | None, typer.Option(help="Side of the sliding windows in pixels; 0 for none.")
    ] = None
    class_threshold: Annotated[
        float | None, typer.Option(help="A class whose score is not above it is absent.")
    ] = None
    background_threshold: Annotated[
        float | None, typer.Option(help="A pixel whose best class is below it is background.")
    ] = None
    min_max: Annotated[
        bool | None, typer.Option(help="Stretch each class to [0, 1] first (CLIPer).")
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto"
    precision: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = "auto"
    seed: Annotated[int, typer.Option(help="Of the diffusion model's noise.")] = 0
    offline: Annotated[bool, typer.Option(help="Use only weights that are on disk.")] = False

    def config(self) -> SegmentationConfig:
        """The engine's configuration.

        Raises
        ------
        InvalidInputError
            See `SegmentationConfig`.
        """
        templates = self.templates
        return SegmentationConfig(
            method=cast("Any", self.method),
            model=self.model,
            refiner=cast("Any", self.refiner),
            diffusion_model=self.diffusion_model,
            foundation_model=self.foundation_model,
            background=None if self.background is None else parse_words(self.background),
            templates=(templates,) if templates and "{}" in templates else templates,
            protocol=self.protocol,
            shorter_side=self.shorter_side,
            window=self.window,
            device=self.device,
            precision=cast("Any", self.precision),
            seed=self.seed,
            offline=self.offline,
        )

    def thresholds(self) -> dict[str, Any]:
        """Keywords of `ScoreMaps.to_labels`; None is the default."""
        return {
            "class_threshold": self.class_threshold,
            "background_threshold": self.background_threshold,
            "min_max": self.min_max,
        }


def takes_engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put the engine's options in the place of a command's `EngineOptions` parameter.

    Parameters
    ----------
    command : callable
        A function for typer; it is called with keywords alone.

    Returns
    -------
    callable
        The same command with one parameter for each field.
    """
    hints = get_type_hints(command, include_extras=True)
    (place,) = (name for name, hint in hints.items() if hint is EngineOptions)
    engine_hints = get_type_hints(EngineOptions, include_extras=True)
    options = {field.name: field.default for field in fields(EngineOptions)}

    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == place:
            parameters += [
                inspect.Parameter(
                    option,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=default,
                    annotation=engine_hints[option],
                )
                for option, default in options.items()
            ]
        else:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            )

    def run(**given: Any) -> None:
        engine = EngineOptions(**{name: given.pop(name) for name in options})
        command(**given, **{place: engine})

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
