"""Chunks of Zarr that decode to far more than their shape: refused as soon as they exceed it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
import zarr.codecs
from resident_memory import most_resident_during

from napari_cliper.io.bounded_zarr import bounded
from napari_cliper.io.files import FileError
from napari_cliper.io.images import read_image_file
from napari_cliper.io.tiff_structure import UnsupportedImageError

SIDE = 4096
"""Side in pixels of the only chunk; its metadata say SMALL."""
SMALL = 64
COMPRESSORS = {
    2: [
        numcodecs.Blosc("lz4"), numcodecs.Blosc("zstd", shuffle=2), numcodecs.Blosc("zlib"),
        numcodecs.Zstd(), numcodecs.Zlib(), numcodecs.GZip(), numcodecs.BZ2(), numcodecs.LZ4(),
        numcodecs.LZMA(preset=0),
    ],
    3: [zarr.codecs.BloscCodec(), zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec()],
}  # fmt: skip
FILTERS = {2: [numcodecs.Delta("u2", "i4")], 3: [zarr.codecs.TransposeCodec(order=(1, 0))]}


def test_sound_arrays_are_read_and_written_as_before(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 5000, (60, 70), np.uint16)
    layouts = [{}, {"chunks": (20, 10), "shards": (40, 20)}]
    for version, compressors in COMPRESSORS.items():
        for number, compressor in enumerate([*compressors, None]):
            for layout in layouts[: version - 1]:
                zarr.create_array(
                    tmp_path / "a", data=pixels, zarr_format=version, compressors=compressor,
                    filters=FILTERS[version] if number % 2 else None, overwrite=True,
                    **({"chunks": (60, 40)} | layout),
                )  # fmt: skip
                array = bounded(zarr.open_array(tmp_path / "a", mode="r+"))
                np.testing.assert_array_equal(array[...], pixels)
                np.testing.assert_array_equal(array[7:50, 3:12], pixels[7:50, 3:12])
                array[:40] = pixels[20:]
                again = zarr.open_array(tmp_path / "a", mode="r")[...]
                np.testing.assert_array_equal(again[:40], pixels[20:])


def hostile(path: Path, version: int, **codecs: object) -> Path:
    """An image of 64 x 64 whose chunk has 4096 x 4096 pixels of 1."""
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    shape = (SIDE, SIDE)
    group.create_array("0", data=np.ones(shape, np.uint8), **({"chunks": shape} | codecs))
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    image = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]}
    group.attrs.update(image if version == 2 else {"ome": {"version": "0.5", **image}})
    metadata = path / "0" / (".zarray" if version == 2 else "zarr.json")
    found = json.loads(metadata.read_text())
    metadata.write_text(json.dumps(found).replace(str(SIDE), str(SMALL)))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_chunk_is_decoded_no_further_than_its_shape(tmp_path):
    shards = {"chunks": (SIDE, SIDE), "shards": (SIDE, SIDE)}
    images = [
        hostile(tmp_path / f"{version}-{number}.ome.zarr", version, compressors=compressor)
        for version, compressors in COMPRESSORS.items()
        for number, compressor in enumerate(compressors)
    ]
    images.append(hostile(tmp_path / "shards.ome.zarr", 3, compressors=COMPRESSORS[3][1], **shards))
    for path in images:
        with most_resident_during() as most, pytest.raises(FileError) as raised:
            read_image_file(path)
        message = str(raised.value)
        assert path.name in message
        assert f"the {SMALL * SMALL} bytes" in message, message
        assert "Save it again from its source" in message
        assert most.added < SIDE * SIDE // 4, path.name


def test_a_chunk_whose_shape_does_not_fit_into_memory_is_not_decoded(tmp_path):
    path = hostile(tmp_path / "a.ome.zarr", 2, compressors=numcodecs.Zstd())
    metadata = path / "0" / ".zarray"
    found = json.loads(metadata.read_text()) | {"chunks": [10**9, 10**9]}
    metadata.write_text(json.dumps(found))
    with pytest.raises(FileError, match=r"a\.ome\.zarr needs more memory than is available"):
        read_image_file(path)


def test_a_codec_without_a_bound_is_refused(tmp_path):
    array = zarr.create_array(tmp_path / "a", shape=(8, 8), dtype="u1", zarr_format=2)
    metadata = tmp_path / "a" / ".zarray"
    found = json.loads(metadata.read_text()) | {"filters": [{"id": "base64"}]}
    metadata.write_text(json.dumps(found))
    array = zarr.open_array(tmp_path / "a", mode="r")
    with pytest.raises(UnsupportedImageError, match="encoded with base64"):
        bounded(array)
