"""The table of methods. A new method is a file beside this one and a row here."""

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
        What a configuration and the command line call it.
    title, description : str
        What the window calls it, and its tooltip.
    make : callable
        Takes nothing and returns a `methods.protocol.Method`.
    published_with : str
        The method whose rows of the published settings, and whose words for the benchmarks'
        classes, it takes; itself where it has its own.
    rule : {'cliper', 'probability'}
        How its maps become labels.
    refiner : str
        The refiner that it is published with.
    needs : tuple of str
        The networks beside CLIP that `Method.read` is given.
    """

    name: str
    title: str
    description: str
    make: Callable[[], Any]
    published_with: str
    rule: Rule = "probability"
    refiner: str = "none"
    needs: tuple[Network, ...] = ()


_ROWS = (
    MethodRow(
        "cliper",
        "CLIPer",
        "Several layers of CLIP together, then sharp borders by a refiner.",
        make=lazily("methods.cliper", "Cliper"),
        published_with="cliper",
        rule="cliper",
        refiner="stable-diffusion",
    ),
    MethodRow(
        "sclip",
        "SCLIP",
        "Each patch looks at the patches that are like itself.",
        make=lazily("methods.sclip", "Sclip"),
        published_with="sclip",
    ),
    MethodRow(
        "clearclip",
        "ClearCLIP",
        "CLIP's last block without what blurs its patches.",
        make=lazily("methods.clearclip", "ClearClip"),
        published_with="clearclip",
    ),
    MethodRow(
        "maskclip",
        "MaskCLIP",
        "Each patch is read alone, without looking at the others.",
        make=lazily("methods.maskclip", "MaskClip"),
        published_with="clearclip",  # ClearCLIP's paper compares with it in its own settings
    ),
    MethodRow(
        "proxyclip",
        "ProxyCLIP",
        "The patches look where a DINO model sees the same thing.",
        make=lazily("methods.proxyclip", "ProxyClip"),
        published_with="proxyclip",
        needs=("foundation",),
    ),
    MethodRow(
        "clip",
        "CLIP",
        "CLIP as it is, to compare with; its maps are the coarsest.",
        make=lazily("methods.clip", "PlainClip"),
        published_with="sclip",  # SCLIP's paper compares with it in its own settings
    ),
)

METHODS: Mapping[str, MethodRow] = {row.name: row for row in _ROWS}
"""The methods by name, in the order of every list."""
