"""The engine: an image and some words in, label maps out. Knows nothing of napari or Qt.

Its names are listed in ``__init__.pyi``. Each is imported when it is first asked for: nothing here
loads torch until a `Segmenter` is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
