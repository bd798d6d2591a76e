"""Load PyTorch while a window is open, without a crash or a freeze."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ..segmentation import Progress, Report, wait_passively
from . import ui_text
from .garbage import set_aside

_SEGMENTER = "napari_cliper.segmentation.segmenter"


def load_pytorch(report: Report = lambda progress: None) -> None:
    """Import the engine and PyTorch with it; call it in a thread.

    Takes seconds the first time, longer on a slow disk, and cannot be interrupted. Several threads
    may call it at once: all of them return when the one import has ended. PyTorch's threads sleep
    while they wait, which leaves the cores to the window, and garbage collections pass over its
    modules.

    Parameters
    ----------
    report : callable, optional
        Called with the stage, unless PyTorch is loaded already.
    """
    if hasattr(sys.modules.get(_SEGMENTER), "Segmenter"):
        return
    report(Progress(ui_text.LOADING_PYTORCH, 0, 0))
    wait_passively()
    if sys.platform == "linux":
        # In the order in which `import torch` opens them.
        _open_library("torch", "lib/libtorch_global_deps.so", os.RTLD_NOW | os.RTLD_GLOBAL)
        _open_library("torch", "lib/libtorch.so", os.RTLD_NOW)
    with _no_garbage_collection():
        import_module(_SEGMENTER)
        set_aside()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disable garbage collection in a block.

    Each of the collections that an import of so many modules triggers walks over every object of
    the process and stops the window for up to 0.4 s.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def load_triton_apart() -> None:
    """Load the library of PyTorch's Triton, if installed, with symbols of its own.

    A window on Linux has loaded Mesa's OpenGL, and with it LLVM. Triton brings its own LLVM;
    loaded the usual way it would call into Mesa's and crash the process.
    """
    if sys.platform == "linux" and "triton" not in sys.modules:
        _open_library("triton", "_C/libtriton.so", os.RTLD_NOW | os.RTLD_DEEPBIND)


def _open_library(package: str, file: str, mode: int) -> None:
    """Open a shared library of a package, if it exists, without blocking the window.

    An import, and `ctypes.CDLL` as well, would hold the interpreter's lock while gigabytes come
    from the disk. A library that cannot be opened is left to the import, which says why.
    """
    found = find_spec(package)
    paths = [Path(folder) / file for folder in (found and found.submodule_search_locations) or ()]
    dlopen = ctypes.CDLL(None).dlopen  # a foreign call: it releases the lock
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for path in paths:
        if path.is_file():
            dlopen(os.fsencode(path), mode)
