"""The table of refiners. A new refiner is a new file in this folder and a row here."""

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
        Name in configurations and on the command line.
    title, description : str
        Name in the window, and its tooltip.
    make : callable or None
        Returns a `refiners.protocol.Refiner`; None for no refinement.
    needs : str or None
        The network, in addition to CLIP, that `Refiner.read` is given.
    tiles : bool
        Whether it can refine an image in tiles.
    reads : str
        Name of what `Refiner.read` returns. Refiners with the same name share it, so that changing
        from one to another does not embed the image again. Empty if it returns None.
    autoencoder : str
        The image encoder, a name in the registry, that replaces that of the diffusion model. Empty
        for its own.
    note : str
        A remark for the user on results of this refiner.
    """

    name: str
    title: str
    description: str
    make: Callable[[], Any] | None
    needs: Network | None = None
    reads: str = ""
    tiles: bool = True
    autoencoder: str = ""
    note: str = ""


_ROWS = (
    RefinerRow(
        "stable-diffusion",
        "Stable Diffusion",
        "Sharpens borders with the attention of Stable Diffusion, as CLIPer does. Large download.",
        make=lazily("refiners.stable_diffusion", "StableDiffusion", "product"),
        needs="diffusion",
        reads="self-attention",
    ),
    RefinerRow(
        "stable-diffusion-mean",
        "Stable Diffusion (mean of the heads)",
        "Like Stable Diffusion, but with the mean of the attention heads instead of their product.",
        make=lazily("refiners.stable_diffusion", "StableDiffusion", "mean"),
        needs="diffusion",
        reads="self-attention",
    ),
    RefinerRow(
        "stable-diffusion-tiny",
        "Stable Diffusion (tiny image encoder)",
        "Like Stable Diffusion, but a tiny network encodes the image, which saves time on a CPU. "
        "Not published with CLIPer.",
        make=lazily("refiners.stable_diffusion", "StableDiffusion", "product"),
        needs="diffusion",
        reads="self-attention of taesd",
        autoencoder="taesd",
        note="The tiny image encoder was not published with CLIPer: its accuracy is not known.",
    ),
    RefinerRow(
        "foundation",
        "DINO / DINOv2",
        "Sharpens borders with the patch similarity of a DINO model. Small download.",
        make=lazily("refiners.foundation", "Foundation"),
        needs="foundation",
        reads="similarity",
    ),
    RefinerRow(
        "sam",
        "SAM",
        "Outlines each region of the coarse map with SAM, as Trident does. Medium download.",
        make=lazily("refiners.sam", "Sam"),
        needs="sam",
        reads="outlines",
        tiles=False,
    ),
    RefinerRow(
        "pamr",
        "PAMR",
        "Sharpens borders with the colours of neighbouring pixels. No download.",
        make=lazily("refiners.pamr", "Pamr"),
    ),
    RefinerRow("none", "no refiner", "The coarse map, unchanged.", make=None),
)

REFINERS: Mapping[str, RefinerRow] = {row.name: row for row in _ROWS}
"""The refiners by name, in the order in which lists show them."""
