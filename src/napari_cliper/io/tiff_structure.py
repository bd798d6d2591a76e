"""Check the structure of a TIFF against the length of the file before pixels are read.

`tifffile` follows a circular chain of pages forever and allocates any size that a tag gives.
`check_structure` walks the chain once and refuses a file too short for its pages, tags or pixels.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first four bytes of a TIFF and of a BigTIFF."""

EXPANSION: Mapping[int, int] = MappingProxyType(
    {
        1: 1,  # none
        2: 4096,  # CCITT: a blank row takes a few bits
        3: 4096,
        4: 4096,
        5: 4096,  # LZW: codes of 12 bits
        7: 1024,  # JPEG: two bits per block
        8: 1040,  # Deflate
        32773: 64,  # PackBits
        32946: 1040,
        34925: 8192,  # LZMA
        50000: 32768,  # Zstandard
    }
)
"""Highest ratio of decoded to compressed bytes, for each supported compression tag."""

_TYPE_SIZES = MappingProxyType(
    {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
     17: 8, 18: 8}
)  # fmt: skip
_INTEGERS = MappingProxyType({1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"})

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _STRIP_BYTES = 273, 277, 279
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_SUBIFDS, _DEPTH, _TILE_DEPTH, _LSM, _PLANAR = 330, 32997, 32998, 34412, 284
_USED = frozenset(
    (_WIDTH, _LENGTH, _BITS, _COMPRESSION, _STRIP_OFFSETS, _SAMPLES, _STRIP_BYTES, _TILE_WIDTH,
     _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES, _SUBIFDS, _DEPTH, _TILE_DEPTH, _PLANAR, _LSM)
)  # fmt: skip


class StructureError(ValueError):
    """The structure of a file is damaged. The message is a clause such as "it has no page"."""


class UnsupportedImageError(ValueError):
    """An image is stored in a way that is not supported. The message is a clause."""


@dataclass(frozen=True)
class _Layout:
    """Byte order and width of the offsets and counts in a file."""

    order: str
    big: bool

    @property
    def entry(self) -> int:
        return 20 if self.big else 12

    def number(self, data: bytes, start: int = 0) -> int:
        """An offset, or the count of a tag."""
        letter = "Q" if self.big else "I"
        return int(struct.unpack_from(f"{self.order}{letter}", data, start)[0])

    @property
    def width(self) -> int:
        return 8 if self.big else 4


def check_structure(file: BinaryIO) -> int:
    """Check that a TIFF file is long enough for its pages, tags and pixels.

    Parameters
    ----------
    file : binary file
        Open for reading.

    Returns
    -------
    int
        The number of pages in the main chain.

    Raises
    ------
    StructureError
        For a circular chain of pages, tags or pixels outside the file, and images that cannot be
        decoded from so few bytes.
    UnsupportedImageError
        For an unsupported compression.
    """
    return _Walk(file).run()


class _Walk:
    """One walk over the pages of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._owners: dict[int, int] = {}  # the page that lists a sub-page; 0 in the main chain
        self._tag_bytes = 0
        self._pixel_bytes = 0.0  # least length of the file for the pixels of all pages so far

    def run(self) -> int:
        head = self._bytes(0, 16, short=True)
        if head[:4] not in MAGICS or len(head) < 8:
            raise StructureError("it is not a TIFF")
        self._layout = _Layout("<" if head[:2] == b"II" else ">", b"+" in head[2:4])
        first = self._layout.number(head, 8 if self._layout.big else 4)
        pages = self._chain(first)
        if not pages:
            raise StructureError("it has no page")
        return pages

    def _bytes(self, offset: int, count: int, *, short: bool = False) -> bytes:
        if not short and (offset < 0 or offset + count > self._size):
            raise StructureError("it ends too early")
        self._file.seek(offset)
        return self._file.read(count)

    def _chain(self, first: int) -> int:
        """Check all pages; return the number of those in the main chain."""
        pages = 0
        waiting = [(first, 0)]
        while waiting:
            offset, owner = waiting.pop()
            chain = set[int]()
            while offset:
                if offset in chain or self._owners.get(offset, owner) != owner:
                    raise StructureError("the chain of its pages is circular")
                if offset in self._owners:
                    break  # sub-pages are listed in a tag, and many programs link them as well
                chain.add(offset)
                self._owners[offset] = owner
                following, sub_pages = self._page(offset)
                waiting += [(one, offset) for one in sub_pages]
                offset = following
            pages = pages or len(chain)
        return pages

    def _page(self, offset: int) -> tuple[int, list[int]]:
        """Check one page; return the offset of the next one and those of its sub-pages."""
        layout = self._layout
        counted = self._bytes(offset, 8 if layout.big else 2)
        count = (
            layout.number(counted) if layout.big else struct.unpack(f"{layout.order}H", counted)[0]
        )
        start = offset + len(counted)
        data = self._bytes(start, count * layout.entry + layout.width)
        tags: dict[int, tuple[int, ...]] = {}
        for entry in range(0, count * layout.entry, layout.entry):
            code, kind = struct.unpack_from(f"{layout.order}HH", data, entry)
            length = layout.number(data, entry + 4)
            size = _TYPE_SIZES.get(kind, 1) * length
            value = data[entry + 4 + layout.width : entry + layout.entry]
            if size > len(value):
                place = layout.number(value)
                if size > self._size or (code in _USED and place + size > self._size):
                    raise StructureError(f"its tag {code} ends beyond the end of the file")
                self._tag_bytes += size
                value = b""
            if code in _USED and code not in tags:
                if kind not in _INTEGERS and code != _LSM:
                    raise StructureError(f"its tag {code} is not an integer")
                value = value or self._bytes(place, size)
                letters = f"{layout.order}{length}{_INTEGERS.get(kind, 'B')}"
                tags[code] = struct.unpack_from(letters, value) if code != _LSM else (1,)
        if self._tag_bytes > 2 * self._size + 2**16:
            raise StructureError("its pages have more tags than the file can hold")
        self._check_pixels(tags)
        return layout.number(data, count * layout.entry), list(tags.get(_SUBIFDS, ()))

    def _check_pixels(self, tags: Mapping[int, tuple[int, ...]]) -> None:
        def one(code: int, default: int) -> int:
            return tags[code][0] if tags.get(code) else default

        width, length, depth = one(_WIDTH, 0), one(_LENGTH, 0), one(_DEPTH, 1)
        samples, bits, compression = one(_SAMPLES, 1), one(_BITS, 1), one(_COMPRESSION, 1)
        if not (width and length and depth and samples and bits):
            raise StructureError(f"one of its pages is {length} x {width} pixels of {bits} bits")
        if compression not in EXPANSION:
            raise UnsupportedImageError(f"its compression (number {compression}) is not supported")
        tiled = _TILE_WIDTH in tags or _TILE_OFFSETS in tags
        if tiled:
            sides = [one(_TILE_WIDTH, 0), one(_TILE_LENGTH, 0), one(_TILE_DEPTH, 1)]
            if not all(sides):
                raise StructureError("one of its tiles has no pixel")
            blocks = [math.ceil(a / b) for a, b in zip((width, length, depth), sides, strict=True)]
            pixels = math.prod(blocks) * math.prod(sides)
            offsets = tags.get(_TILE_OFFSETS) or tags.get(_STRIP_OFFSETS, ())
            counts = tags.get(_TILE_BYTES) or tags.get(_STRIP_BYTES, ())
        else:
            pixels = width * length * depth
            offsets, counts = tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_BYTES, ())
        if not offsets:
            raise StructureError("one of its pages does not say where its pixels are")
        if max(offsets) >= self._size:
            raise StructureError("its pixels lie beyond the end of the file: it is cut off")
        if counts and max(counts) > self._size:
            raise StructureError("one of its strips or tiles is longer than the file")
        available = self._size - min(offsets)
        if counts and any(counts) and _LSM not in tags and compression != 1:
            available = min(available, sum(counts))
        needed = pixels * samples * bits / 8 / EXPANSION[compression]
        self._pixel_bytes += needed
        if needed > available + 1 or self._pixel_bytes > self._size:
            raise StructureError(
                f"a page is {length} x {width} pixels, more than its {available} bytes can hold: "
                "the file is cut off, or the size is wrong"
            )
