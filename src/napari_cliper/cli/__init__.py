"""The command line: one module for each command."""

from .commands import app, main

__all__ = ["app", "main"]
