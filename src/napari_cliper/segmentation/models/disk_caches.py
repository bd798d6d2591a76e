"""What this package keeps on disk: size, and deletion.

Weights are in the cache of huggingface_hub, which other programs share: only the repositories of
the registry are counted and deleted. Embeddings of texts and tiles are in this
package's own folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import weights
from .loading import EMPTY_PROMPTS
from .text_embeddings import WORD_VECTORS
from .tile_cache import TileCache


@dataclass(frozen=True)
class DiskCache:
    """A folder on disk and what this package has put there.

    Parameters
    ----------
    folder : Path
        It may not exist yet.
    contents : mapping of str to int
        Bytes by what they are: the repository of weights, or a kind of embeddings.
    clear : callable
        Deletes these contents and nothing else. Raises OSError for what cannot be deleted.
    """

    folder: Path
    contents: Mapping[str, int]
    clear: Callable[[], None]

    @property
    def nbytes(self) -> int:
        """Bytes of all contents."""
        return sum(self.contents.values())


def weights_cache() -> DiskCache:
    """Return the weights of the registry that are on disk, partial downloads included.

    Weights of other models and of other programs in the same folder are left out.
    """
    return DiskCache(weights.cache_folder(), weights.downloaded(), weights.delete_downloads)


def embeddings_cache() -> DiskCache:
    """Return the embeddings of texts and tiles on disk; they are computed again when needed."""
    caches = {cache.name: cache.folder for cache in (WORD_VECTORS, EMPTY_PROMPTS)}
    contents = {
        name: sum(file.stat().st_size for file in files)
        for name, place in caches.items()
        if (files := _tensor_files(place))
    }
    tiles = TileCache()
    size = sum(size for _, _, size in tiles.files())
    if size:
        contents[tiles.folder.name] = size
    folder = WORD_VECTORS.folder.parent
    return DiskCache(folder, contents, partial(_clear_embeddings, tuple(caches.values()), tiles))


def _tensor_files(folder: Path) -> list[Path]:
    return list(folder.glob("*.safetensors"))


def _clear_embeddings(folders: tuple[Path, ...], tiles: TileCache) -> None:
    for folder in folders:
        for file in _tensor_files(folder):
            file.unlink(missing_ok=True)
    for path, _, _ in tiles.files():
        path.unlink(missing_ok=True)
