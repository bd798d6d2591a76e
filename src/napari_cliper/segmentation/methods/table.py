"""The table of methods. A new method is a new file in this folder and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..models.registry import Network
from ..tables import Rule, lazily


@dataclass(frozen=True)
class MethodRow:
    """One method.

    Parameters
    ----------
    name : str
        Name in configurations and on the command line.
    title, description : str
        Name in the window, and its tooltip.
    make : callable
        Takes no argument and returns a `methods.protocol.Method`.
    published_with : str
        The method whose published settings apply; its own name if it has its own.
    words_of : str
        The method whose class words of the benchmarks apply, if not that of `published_with`.
    rule : {'cliper', 'probability'}
        How maps become labels.
    refiner : str
        The refiner of the published method.
    needs : tuple of str
        The networks, in addition to CLIP, that `Method.read` is given.
    foundation : str
        The foundation model that the method was published with.
    uses_masks : bool
        Whether the method uses masks of regions: patches attend inside of them, and their pixels
        get one label.
    words_change_features : bool
        Whether `Method.with_words` runs a part of CLIP for every change of the words.
    """

    name: str
    title: str
    description: str
    make: Callable[[], Any]
    published_with: str
    words_of: str = ""
    rule: Rule = "probability"
    refiner: str = "none"
    needs: tuple[Network, ...] = ()
    foundation: str = "dino-vitb8"
    uses_masks: bool = False
    words_change_features: bool = False


_ROWS = (
    MethodRow(
        "cliper",
        "CLIPer",
        "Combines several layers of CLIP; a refiner then sharpens the borders.",
        make=lazily("methods.cliper", "Cliper"),
        published_with="cliper",
        rule="cliper",
        refiner="stable-diffusion",
    ),
    MethodRow(
        "sclip",
        "SCLIP",
        "Each patch attends to patches with similar features.",
        make=lazily("methods.sclip", "Sclip"),
        published_with="sclip",
    ),
    MethodRow(
        "clearclip",
        "ClearCLIP",
        "Omits the parts of CLIP's last block that blur the patch features.",
        make=lazily("methods.clearclip", "ClearClip"),
        published_with="clearclip",
    ),
    MethodRow(
        "maskclip",
        "MaskCLIP",
        "Uses the features of each patch alone, without attention to other patches.",
        make=lazily("methods.maskclip", "MaskClip"),
        published_with="clearclip",  # ClearCLIP's paper compares with it in its own settings
    ),
    MethodRow(
        "proxyclip",
        "ProxyCLIP",
        "Takes the attention between patches from a DINO model.",
        make=lazily("methods.proxyclip", "ProxyClip"),
        published_with="proxyclip",
        needs=("foundation",),
    ),
    MethodRow(
        "scclip",
        "SC-CLIP",
        "Repairs patches that differ from all others, then averages similar ones; no download.",
        make=lazily("methods.scclip", "ScClip"),
        published_with="scclip",
        words_of="sclip",
    ),
    MethodRow(
        "naclip",
        "NACLIP",
        "Each patch attends to patches with similar keys, and more to those near it.",
        make=lazily("methods.naclip", "NaClip"),
        published_with="naclip",
        words_of="sclip",
    ),
    MethodRow(
        "resclip",
        "ResCLIP",
        "NACLIP with a second pass, guided by the labels of the first. Slower: every change of the "
        "words runs a part of CLIP again.",
        make=lazily("methods.resclip", "ResClip"),
        published_with="resclip",
        words_of="sclip",
        words_change_features=True,
    ),
    MethodRow(
        "cliptrase",
        "CLIPtrase",
        "Clusters of similar patches vote on their label. Published for square images only.",
        make=lazily("methods.cliptrase", "ClipTrase"),
        published_with="cliptrase",
    ),
    MethodRow(
        "corrclip",
        "CorrCLIP",
        "Patches attend to patches of the same mask; each mask gets one label. Needs DINO.",
        make=lazily("methods.corrclip", "CorrClip"),
        published_with="corrclip",
        needs=("foundation",),
        uses_masks=True,
    ),
    MethodRow(
        "trident",
        "Trident",
        "Joins windows by the attention of DINO and of SAM; SAM then outlines each region.",
        make=lazily("methods.trident", "Trident"),
        published_with="trident",
        refiner="sam",
        needs=("foundation", "sam"),
        foundation="dino-vitb16",
    ),
    MethodRow(
        "clip",
        "CLIP",
        "CLIP, unmodified, for comparison; its maps are the coarsest.",
        make=lazily("methods.clip", "PlainClip"),
        published_with="sclip",  # SCLIP's paper compares with it in its own settings
    ),
)

METHODS: Mapping[str, MethodRow] = {row.name: row for row in _ROWS}
"""The methods by name, in the order in which lists show them."""
