"""The table of refiners. A new refiner is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..models.registry import Network
from ..tables import lazily


@dataclass(frozen=True)
class RefinerRow:
    """One refiner.

    Parameters
    ----------
    name : str
        What a configuration and the command line call it.
    title, description : str
        What the window calls it, and its tooltip.
    make : callable or None
        Takes nothing and returns a `refiners.protocol.Refiner`; None where there is nothing to do.
    needs : str or None
        The network beside CLIP that `Refiner.read` is given.
    reads : str
        What `Refiner.read` reads, in a word: refiners that read the same share it, so that changing
        from one to the other asks no network again. Empty where it reads nothing.
    """

    name: str
    title: str
    description: str
    make: Callable[[], Any] | None
    needs: Network | None = None
    reads: str = ""


_ROWS = (
    RefinerRow(
        "stable-diffusion",
        "Stable Diffusion",
        "Borders by the attention of Stable Diffusion, as CLIPer does. Large download.",
        make=lazily("refiners.stable_diffusion", "StableDiffusion", "product"),
        needs="diffusion",
        reads="self-attention",
    ),
    RefinerRow(
        "stable-diffusion-mean",
        "Stable Diffusion (mean of the heads)",
        "The same, with the heads of its attention averaged instead of chained.",
        make=lazily("refiners.stable_diffusion", "StableDiffusion", "mean"),
        needs="diffusion",
        reads="self-attention",
    ),
    RefinerRow(
        "foundation",
        "DINO / DINOv2",
        "Borders by what a DINO model finds alike. Small download.",
        make=lazily("refiners.foundation", "Foundation"),
        needs="foundation",
        reads="similarity",
    ),
    RefinerRow(
        "pamr",
        "PAMR",
        "Borders by the colours of neighbouring pixels. Needs no download.",
        make=lazily("refiners.pamr", "Pamr"),
    ),
    RefinerRow("none", "no refiner", "The coarse map as it is.", make=None),
)

REFINERS: Mapping[str, RefinerRow] = {row.name: row for row in _ROWS}
"""The refiners by name, in the order of every list."""
