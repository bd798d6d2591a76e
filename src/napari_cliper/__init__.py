"""Type a few words, get label layers: open-vocabulary segmentation for napari.

The engine is `napari_cliper.segmentation`; importing this package loads neither
torch nor Qt.
"""

from importlib.metadata import version

__version__ = version("napari-cliper")
__all__ = ["__version__"]
