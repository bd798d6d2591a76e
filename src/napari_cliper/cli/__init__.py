"""The command line `napari-cliper`."""

from .commands import app, main

__all__ = ["app", "main"]
