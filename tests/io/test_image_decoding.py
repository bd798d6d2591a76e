"""Image files: sizes that are not believed, and colours that are what the file means."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import imagecodecs
import numpy as np
import pytest
import tifffile
from cpu_time import cpu_seconds
from PIL import Image

from napari_cliper.annotation.project.image_files import images_in
from napari_cliper.evaluation.ground_truth import read_numbers
from napari_cliper.io.files import FileError
from napari_cliper.io.images import read_image_file, read_image_with_axes
from napari_cliper.io.readers.label_files import read_labels
from napari_cliper.segmentation import InvalidInputError

DAMAGED = sorted((Path(__file__).parent / "damaged").iterdir())
RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = (np.arange(3 * 4 * 3).reshape(3, 4, 3) * 7).astype(np.uint8)


@cache
def of_a_large_image() -> float:
    """CPU seconds for 16 million pixels."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        tifffile.imwrite(path, np.zeros((4096, 4096), np.uint16), compression="zlib")
        return cpu_seconds(lambda: read_image_file(path))


def refused(call, *arguments):
    """The message of a call that is refused, in less time than ten large images take."""
    messages = []

    def work():
        with pytest.raises((FileError, InvalidInputError)) as caught:
            call(*arguments)
        messages.append(str(caught.value))

    assert cpu_seconds(work) < 10 * of_a_large_image()
    return messages[0]


def test_damaged_files_are_refused_at_once_by_name():
    for path in DAMAGED:
        assert path.name in refused(read_labels, path)
        assert path.name in refused(read_image_file, path)
    assert images_in(DAMAGED[0].parent) == ()


def tiff(entries, pixels=b"\0" * 16, following=0):
    """A TIFF of one page, its tags given as (code, value), its pixels behind them."""
    start = 8 + 2 + 12 * len(entries) + 4
    tags = b"".join(
        struct.pack("<HHII", code, 4, 1, start if value is None else value)
        for code, value in entries
    )
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    return head + tags + struct.pack("<I", following) + pixels


def page(width=4, length=4, compression=1, count=16):
    return [(256, width), (257, length), (258, 8), (259, compression), (262, 1), (273, None),
            (277, 1), (278, length), (279, count)]  # fmt: skip


def test_sizes_are_compared_with_the_length_of_the_file(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(page()))
    assert read_image_file(path).shape == (4, 4)
    for content, why in (
        (tiff(page(), following=8), "circular"),
        (tiff([*page(), (330, 8)]), "circular"),
        (tiff(page(width=100_000, length=100_000)), "more than its"),
        (tiff(page(width=100_000, length=100_000, compression=8)), "more than its"),
        (tiff(page(compression=5, width=2**31)), "more than its"),
        (tiff([*page(), (322, 2**20), (323, 2**20), (324, None), (325, 16)]), "more than its"),
        (tiff(page(compression=34712)), "compression"),
        (tiff(page(compression=8, count=2**31)), "longer than the file"),
    ):
        path.write_bytes(content)
        assert why in refused(read_image_file, path)
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 15000, 15000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
                     + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\4IDAT")  # fmt: skip
    refused(read_image_file, path)


def test_pyramids_are_read_whose_levels_are_listed_and_linked(tmp_path):
    planes = np.random.default_rng(0).integers(0, 255, (3, 128, 160, 3), np.uint8)
    for big in (False, True):
        path = tmp_path / f"{big}.ome.tif"
        with tifffile.TiffWriter(path, ome=True, bigtiff=big) as file:
            keywords = {"tile": (32, 32), "photometric": "rgb"}
            file.write(planes, subifds=3, metadata={"axes": "ZYXS"}, **keywords)
            for step in (2, 4, 8):
                file.write(planes[:, ::step, ::step], subfiletype=1, **keywords)
        np.testing.assert_array_equal(read_image_file(path), planes)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offsets = [level.offset for level in file.pages[0].pages]
    assert len(offsets) == 3
    # the last level leads back to the first one
    (count,) = struct.unpack_from("<Q", content, offsets[-1])
    link = offsets[-1] + 8 + 20 * count
    path.write_bytes(content[:link] + struct.pack("<Q", offsets[0]) + content[link + 8 :])
    assert "circular" in refused(read_image_file, path)


def test_sizes_inside_of_compressed_blocks_are_checked_too(tmp_path):
    path = tmp_path / "a.tif"
    for method, header, skipped, claim in (
        ("zstd", b"\x28\xb5\x2f\xfd", 4, b"\xe0" + b"\0\0\0\0\1\0\0\0"),
        ("jpeg", b"\xff\xc0", 5, b"\xff" * 4),
    ):
        tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), compression=method)
        content = bytearray(path.read_bytes())
        place = content.index(header) + skipped
        content[place : place + len(claim)] = claim
        path.write_bytes(content)
        assert "decodes to more than that" in refused(read_image_file, path)


# ---------------------------------------------------------------------- colours


def test_compressed_tiffs_are_read(tmp_path):
    path = tmp_path / "a.tif"
    for method in ("tiff_lzw", "packbits", "tiff_deflate", "zstd", "lzma"):
        Image.fromarray(COLOURS).save(path, compression=method)
        np.testing.assert_array_equal(read_image_file(path), COLOURS)
        Image.fromarray(RAMP).save(path, compression=method)
        np.testing.assert_array_equal(read_labels(path).labels, RAMP)
    Image.fromarray(np.full((16, 16, 3), (200, 30, 60), np.uint8)).save(path, compression="jpeg")
    assert np.abs(read_image_file(path).astype(int) - (200, 30, 60)).max() < 6
    for method in ("group3", "group4", "tiff_ccitt"):
        Image.fromarray(RAMP > 5).save(path, compression=method)
        np.testing.assert_array_equal(read_image_file(path), RAMP > 5)


def test_colours_are_what_the_file_means(tmp_path):
    path = tmp_path / "a.tif"
    cmyk = np.zeros((1, 3, 4), np.uint8)
    cmyk[0] = ((255, 0, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255))  # cyan, yellow, black
    table = np.zeros((3, 256), np.uint16)
    table[:, 5] = (65535, 0, 256)
    planar = np.moveaxis(COLOURS, -1, 0)
    twelve = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300
    for array, options, expected in (
        (cmyk, {"photometric": "separated"}, [[[0, 255, 255], [255, 255, 0], [0, 0, 0]]]),
        (cmyk.astype(np.uint16) * 257, {"photometric": "separated"},
         [[[0, 65535, 65535], [65535, 65535, 0], [0, 0, 0]]]),
        (np.full((2, 2), 5, np.uint8), {"photometric": "palette", "colormap": table},
         np.full((2, 2, 3), (255, 0, 1))),
        (RAMP, {"photometric": "miniswhite"}, 255 - RAMP),
        (RAMP > 5, {"photometric": "miniswhite"}, RAMP <= 5),
        (planar, {"photometric": "rgb", "planarconfig": "separate"}, COLOURS),
        (twelve, {"photometric": "minisblack"}, twelve),
        (COLOURS.astype(np.uint16) * 257, {"photometric": "rgb"}, COLOURS.astype(np.uint16) * 257),
    ):  # fmt: skip
        tifffile.imwrite(path, array, **options)
        np.testing.assert_array_equal(read_image_file(path), expected)
    for photometric in ("cielab", "ycbcr"):
        tifffile.imwrite(path, COLOURS, photometric=photometric)
        assert photometric.upper() in refused(read_image_file, path)
        assert "a.tif" in refused(read_labels, path)
    tifffile.imwrite(path, RAMP, photometric="miniswhite")
    assert "0 as white" in refused(read_labels, path)
    assert "0 as white" in refused(read_numbers, path)


def test_a_png_keeps_its_sixteen_bits(tmp_path):
    path = tmp_path / "a.png"
    for channels in (3, 4):
        array = np.arange(60 * channels, dtype=np.uint16).reshape(6, 10, channels) * 250
        path.write_bytes(imagecodecs.png_encode(array))
        np.testing.assert_array_equal(read_image_file(path), array)
    (tmp_path / "a.ppm").write_bytes(b"P6 2 1 65535 " + b"\1\2" * 6)
    assert "8 bits" in refused(read_image_file, tmp_path / "a.ppm")


def test_channels_are_planes_and_the_fourth_is_no_transparency(tmp_path):
    path = tmp_path / "a.tif"
    for channels in (2, 3, 4):
        array = np.arange(channels * 96 * 128, dtype=np.uint16).reshape(channels, 96, 128)
        tifffile.imwrite(path, array, imagej=True, metadata={"axes": "CYX"})
        np.testing.assert_array_equal(read_image_file(path), array)
        contiguous = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        tifffile.imwrite(path, contiguous, photometric="minisblack", planarconfig="contig")
        np.testing.assert_array_equal(read_image_file(path), array)
    spectral = np.dstack([COLOURS, RAMP])
    tifffile.imwrite(path, spectral, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_image_file(path), COLOURS)
    tifffile.imwrite(path, spectral, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image_file(path), spectral)


def test_planes_that_are_stored_like_colours_are_planes(tmp_path):
    path = tmp_path / "a.tif"
    for planes in (3, 4):
        array = np.arange(planes * 96 * 128, dtype=np.uint16).reshape(planes, 96, 128)
        separate = {"photometric": "rgb", "planarconfig": "separate"}
        tifffile.imwrite(path, array, metadata={"axes": "ZYX"}, **separate)
        found, axes = read_image_with_axes(path)
        np.testing.assert_array_equal(found, array)
        assert axes == "ZYX"


def test_images_are_upright_and_labels_too(tmp_path):
    upright = {
        1: RAMP, 2: RAMP[:, ::-1], 3: RAMP[::-1, ::-1], 4: RAMP[::-1], 5: RAMP.T,
        6: RAMP[::-1].T, 7: RAMP[::-1, ::-1].T, 8: RAMP.T[::-1],
    }  # fmt: skip
    for orientation, expected in upright.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(RAMP).save(tmp_path / "a.png", exif=exif)
        code = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / "a.tif", RAMP, photometric="minisblack", extratags=code)
        for path in (tmp_path / "a.png", tmp_path / "a.tif"):
            np.testing.assert_array_equal(read_image_file(path), expected)
            np.testing.assert_array_equal(read_labels(path).labels, expected)
            np.testing.assert_array_equal(read_numbers(path), expected)
        grey = np.repeat(np.repeat(RAMP * 20, 8, 0), 8, 1)
        Image.fromarray(grey).save(tmp_path / "a.jpg", exif=exif, quality=100)
        seen = read_image_file(tmp_path / "a.jpg")[4::8, 4::8]
        assert np.abs(seen.astype(int) - expected.astype(int) * 20).max() < 5


def test_several_images_in_a_file_are_never_cut_to_the_first(tmp_path):
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1])]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert "2 images" in refused(read_image_file, tmp_path / name)
    for name in ("a.lsm", "a.btf", "a.dat"):
        tifffile.imwrite(tmp_path / name, np.stack([RAMP, RAMP]), photometric="minisblack")
        assert read_image_file(tmp_path / name).shape == (2, 3, 4)
    for kind, call in ((0, None), (1, read_image_file)):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(RAMP[:2, :2], subfiletype=kind, photometric="minisblack", metadata=None)
            file.write(RAMP, photometric="minisblack", metadata=None)
        if call is None:
            assert "2 images" in refused(read_image_file, tmp_path / "a.tif")
        else:
            np.testing.assert_array_equal(call(tmp_path / "a.tif"), RAMP)


# ---------------------------------------------------------------------- labels


def grey_png(values, bits):
    """A grey PNG of so many bits, which Pillow does not write."""
    rows = b"".join(
        b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
        for row in values
    )
    parts = [b"IHDR" + struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0),
             b"IDAT" + zlib.compress(rows), b"IEND"]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in parts
    )


def test_greys_of_few_bits_are_labels_as_written_and_images_as_seen(tmp_path):
    values = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    for bits, step in ((2, 85), (4, 17)):
        (tmp_path / "a.png").write_bytes(grey_png(values, bits))
        assert read_labels(tmp_path / "a.png").labels.tolist() == values.tolist()
        assert read_numbers(tmp_path / "a.png").tolist() == values.tolist()
        assert read_image_file(tmp_path / "a.png").tolist() == (values * step).tolist()


def test_whole_numbers_of_any_dtype_are_labels(tmp_path):
    path = tmp_path / "a.tif"
    for dtype in (np.float32, np.float64, np.int64, np.uint32):
        tifffile.imwrite(path, RAMP.astype(dtype), photometric="minisblack")
        np.testing.assert_array_equal(read_labels(path).labels, RAMP)
        np.testing.assert_array_equal(read_numbers(path), RAMP)
    signalling = np.array(0x7F800001, np.uint32).view(np.float32)  # a NaN that warns
    for wrong in (0.5, np.nan, np.inf, signalling):
        values = np.full((3, 4), wrong, np.float32)
        tifffile.imwrite(path, values, photometric="minisblack")
        assert "not integers" in refused(read_labels, path)
