"""The engine turns an image and some words into labels. It imports neither napari nor Qt.

``__init__.pyi`` lists its public names. Each is imported on first use, so that importing this
package does not load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
