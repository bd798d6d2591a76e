"""Zarr arrays whose chunks are decoded no further than their shape.

A file of some kilobytes can decode to gigabytes, and zarr notices only afterwards that a chunk does
not have its shape.
"""

from __future__ import annotations

import asyncio
import bz2
import gzip
import io
import lzma
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import imagecodecs
import numcodecs.abc
import zarr
from zarr.abc.codec import BytesBytesCodec, Codec
from zarr.codecs import ShardingCodec

from .tiff_structure import StructureError, UnsupportedImageError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

_Decoder = Callable[[bytes, int], bytes | bytearray]
"""From data and the most bytes wanted to decoded data: as many, or little more if it has more."""


def bounded(array: zarr.Array[Any], config: Any = None) -> zarr.Array[Any]:
    """Return the same array with decoders that stop where a chunk has more bytes than its shape.

    Parameters
    ----------
    array : zarr.Array
        Of numbers or booleans, in Zarr 2 or 3, sharded or not.
    config : mapping, optional
        What `zarr.open_array` takes as `config`; the default otherwise, whatever `array` has.

    Raises
    ------
    UnsupportedImageError
        For a codec that is neither bounded nor one that keeps the number of values.

    Notes
    -----
    Reading a chunk that holds more raises StructureError. A chunk that is itself larger than the
    memory is not refused; compare `array.chunks` with it.
    """
    metadata: Any = array.metadata
    size = array.dtype.itemsize
    if metadata.zarr_format == 2:
        encoders = [*(metadata.filters or ()), *filter(None, [metadata.compressor])]
        room = _Room(math.prod(array.chunks), size)
        wrapped = [_of_zarr_2(one, room) for one in encoders]
        compressor = wrapped.pop() if metadata.compressor else None
        metadata = replace(metadata, filters=tuple(wrapped) or None, compressor=compressor)
    else:
        shape = array.shards or array.chunks
        metadata = replace(metadata, codecs=_of_zarr_3(metadata.codecs, shape, size))
    return zarr.Array(zarr.AsyncArray(metadata, array.store_path, config))


class _Room:
    """How many bytes a codec of a chunk may decode to, taken in the order of encoding."""

    def __init__(self, values: int, itemsize: int) -> None:
        self.values, self.bytes = values, values * itemsize

    def pass_codec(self, name: str) -> int | None:
        """The most bytes before a compressor; None for a codec that keeps the number of values."""
        if name not in _DECODERS and name not in _KEEP_VALUES:
            raise UnsupportedImageError(f"its chunks are encoded with {name}")
        most = self.bytes
        if name not in _KEEP_BYTES:  # another type of number, a checksum, data that do not shrink
            self.bytes = 16 * self.values + 2**16
        return most if name in _DECODERS else None


def _of_zarr_2(codec: Any, room: _Room) -> Any:
    most = room.pass_codec(codec.codec_id)
    return codec if most is None else _Bounded2(codec, most)


def _of_zarr_3(codecs: Iterable[Codec], shape: tuple[int, ...], size: int) -> tuple[Codec, ...]:
    found: list[Codec] = []
    room = _Room(math.prod(shape), size)
    for codec in codecs:
        name = str(codec.to_dict()["name"]).removeprefix("numcodecs.")
        most = room.pass_codec(name)
        if isinstance(codec, ShardingCodec):
            inner = _of_zarr_3(codec.codecs, codec.chunk_shape, size)
            found.append(replace(codec, codecs=inner))
        elif most is not None and isinstance(codec, BytesBytesCodec):
            found.append(_Bounded3(codec, name, most))
        else:
            found.append(codec)
    return tuple(found)


class _Bounded2(numcodecs.abc.Codec):  # type: ignore[misc]
    """A compressor of Zarr 2 that decodes to at most this many bytes."""

    codec_id = "bounded"  # that of `codec` in each instance

    def __init__(self, codec: Any, most: int) -> None:
        self.codec, self.most, self.codec_id = codec, most, codec.codec_id

    def encode(self, buf: Any) -> Any:
        return self.codec.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ARG002 - zarr gives none
        return _decoded(self.codec_id, bytes(buf), self.most)

    def get_config(self) -> Any:
        return self.codec.get_config()


@dataclass(frozen=True)
class _Bounded3(BytesBytesCodec):
    """A compressor of Zarr 3 that decodes to at most this many bytes."""

    codec: BytesBytesCodec
    name: str
    most: int

    is_fixed_size = False

    def to_dict(self) -> Any:
        return self.codec.to_dict()

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> _Bounded3:
        return replace(self, codec=self.codec.evolve_from_array_spec(array_spec))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return self.codec.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        data = await asyncio.to_thread(_decoded, self.name, chunk_data.to_bytes(), self.most)
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        (encoded,) = await self.codec.encode([(chunk_data, chunk_spec)])
        return encoded


def _decoded(name: str, data: bytes, most: int) -> bytes | bytearray:
    """Decode a chunk, or raise StructureError if it is damaged or has more bytes than `most`."""
    try:
        found = _DECODERS[name](data, most)
    except (RuntimeError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise StructureError(
            f"a chunk cannot be decoded to the {most} bytes that its shape has room for"
        ) from error
    if len(found) > most:
        raise StructureError(f"a chunk decodes to more than the {most} bytes of its shape")
    return found


def _stream(opened: Callable[[io.BytesIO], Any]) -> _Decoder:
    """A decoder that reads one byte too much where there is more."""
    return lambda data, most: opened(io.BytesIO(data)).read(most + 1)


_DECODERS: Mapping[str, _Decoder] = MappingProxyType(
    {
        "blosc": lambda data, most: imagecodecs.blosc_decode(data, out=most),
        "lz4": lambda data, most: imagecodecs.lz4_decode(data, header=True, out=most),
        "zstd": lambda data, most: imagecodecs.zstd_decode(data, out=most),
        "bz2": _stream(bz2.BZ2File),
        "gzip": _stream(lambda file: gzip.GzipFile(fileobj=file)),
        "lzma": _stream(lzma.LZMAFile),
        "zlib": lambda data, most: zlib.decompressobj().decompress(data, most + 1),
    }
)

_KEEP_BYTES = frozenset({"bytes", "endian", "shuffle", "transpose"})

_KEEP_VALUES = _KEEP_BYTES | {
    "adler32", "astype", "bitround", "crc32", "crc32c", "delta", "fixedscaleoffset", "fletcher32",
    "jenkins_lookup3", "packbits", "quantize", "sharding_indexed",
}  # fmt: skip
"""Codecs that keep the number of values, apart from a header or checksum of some bytes."""
