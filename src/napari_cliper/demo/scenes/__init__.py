"""Synthetic microscopy-like scenes with exact labels."""

from __future__ import annotations

from .backgrounds import GROUNDS, Ground
from .objects import KINDS, Kind
from .scene import Scene, example_scene, make_scene
from .stack import SceneStack, make_stack

__all__ = [
    "GROUNDS", "KINDS", "Ground", "Kind", "Scene", "SceneStack", "example_scene", "make_scene",
    "make_stack",
]  # fmt: skip
