"""Which parts of an image are alike: what hints propagate along."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from ..features.pixel_features import PixelFeatures

OPEN = -1
"""Label of a pixel without a hint."""


@dataclass(frozen=True, eq=False)
class ImageAffinity:
    """Superpixels of an image, how alike they are, and features of its pixels.

    Parameters
    ----------
    regions : (Y, X) int32 array
        Superpixel of each pixel, 0 to n - 1.
    features : PixelFeatures
        Of the same image.
    means : (n, F) float32 array
        Mean features of each superpixel.
    touching : (n, n) sparse bool array
        Whether two superpixels are adjacent.
    alike : (n, n) sparse float32 array
        Similarity of each superpixel to those like it and to its neighbours; symmetric.
    walked : (n,) int32 array
        The larger superpixel, 0 to m - 1, in which each superpixel lies.
    reach : (m, m) float32 tensor
        Probability that a random walk with restart from the row's larger superpixel is in the
        column's, times m; 1 is the value of a uniform distribution. Rows sum to m.
    """

    regions: NDArray[np.int32]
    features: PixelFeatures
    means: NDArray[np.float32]
    touching: csr_array
    alike: csr_array
    walked: NDArray[np.int32]
    reach: Tensor

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of pixels of each superpixel, (n,)."""
        return np.bincount(self.regions.ravel(), minlength=len(self.means))

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        sparse = sum(
            one.data.nbytes + one.indices.nbytes + one.indptr.nbytes
            for one in (self.touching, self.alike)
        )
        dense = (self.regions, self.features, self.means, self.walked, self.reach)
        return int(sparse) + sum(one.nbytes for one in dense)
