"""Read pictures of every kind as upright 8-bit RGB, or report why not."""

from __future__ import annotations

import random
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.media import picture_traits, read_picture, write_poster
from tests.clips import HEIGHT, WIDTH, quadrant_colours, quadrants
from troupe.errors import MissingInput, SettingsError, TooLarge, UnreadableMedia

RED = (200, 30, 10)


def gradient() -> np.ndarray:
    """(40, 60, 3), different in every corner."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, 255 - x * 4], -1).astype(np.uint8)


class TestModes:
    @pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "bmp", "ppm"])
    def test_rgb_is_untouched(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(gradient()).save(path, lossless=True)
        picture = read_picture(path)
        np.testing.assert_array_equal(picture, gradient())
        assert picture.dtype == np.uint8
        assert picture.flags.writeable

    @pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr"])
    def test_other_modes(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
        Image.new("RGB", (20, 10), (255, 255, 255)).convert(mode).save(path)
        assert read_picture(path).shape == (10, 20, 3)
        assert read_picture(path).min() > 250

    def test_colour_of_cmyk(self, tmp_path: Path) -> None:
        Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.tiff")
        assert np.abs(read_picture(tmp_path / "a.tiff").astype(int) - (255, 0, 0)).max() <= 2

    @pytest.mark.parametrize("suffix", ["png", "tiff"])
    def test_16_bit_grey_is_scaled(self, tmp_path: Path, suffix: str) -> None:
        levels = np.array([[0, 257, 32896, 65535]], np.uint16)
        Image.fromarray(levels).save(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(read_picture(tmp_path / f"a.{suffix}")[0, :, 0], [0, 1, 128, 255])

    def test_16_bit_colour(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(png(2, 1, bytes.fromhex("00" + "ffff80000000" * 2), depth=16, colour=2))
        assert np.abs(read_picture(tmp_path / "a.png").astype(int) - (255, 128, 0)).max() <= 1

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
    def test_transparency_becomes_white(self, tmp_path: Path, mode: str) -> None:
        image = Image.new("RGBA", (4, 2), (0, 0, 0, 255))
        image.paste((0, 0, 0, 0), (0, 0, 2, 2))
        path = tmp_path / ("a.tiff" if mode == "PA" else "a.png")
        image.convert(mode).save(path)
        np.testing.assert_array_equal(read_picture(path)[0, :, 1], [255, 255, 0, 0])

    def test_half_transparency_is_mixed(self, tmp_path: Path) -> None:
        Image.new("RGBA", (2, 2), (*RED, 128)).save(tmp_path / "a.png")
        expected = np.array(RED) * 128 / 255 + 255 * 127 / 255
        assert np.abs(read_picture(tmp_path / "a.png") - expected).max() <= 1

    def test_a_colour_declared_transparent(self, tmp_path: Path) -> None:
        image = Image.new("RGB", (4, 2), RED)
        image.paste((1, 2, 3), (0, 0, 2, 2))
        image.save(tmp_path / "a.png", transparency=(1, 2, 3))
        np.testing.assert_array_equal(read_picture(tmp_path / "a.png")[0], [[255] * 3] * 2 + [list(RED)] * 2)

    def test_only_the_first_frame_of_an_animation(self, tmp_path: Path) -> None:
        first, second = Image.new("RGB", (4, 4), "white"), Image.new("RGB", (4, 4), "black")
        first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
        assert read_picture(tmp_path / "a.gif").min() == 255

    def test_floating_point_is_refused(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "a.tiff")
        with pytest.raises(UnreadableMedia, match=r"a\.tiff"):
            read_picture(tmp_path / "a.tiff")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, orientation: int) -> None:
    upright = gradient()
    # EXIF: how the stored picture must be turned and mirrored to be upright; these undo it.
    undo = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p),
        7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo[orientation](upright))).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), upright)


def test_a_picture_with_damaged_exif_is_read_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.webp", lossless=True, exif=b"Exif\0\0II*\0\xff\xff\xff")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.webp"), gradient())


class TestBadInput:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(MissingInput, match=r"no\.png"):
            read_picture(tmp_path / "no.png")
        with pytest.raises(MissingInput):
            read_picture(tmp_path)

    @pytest.mark.parametrize("content", [b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"<svg/>"])
    def test_no_picture(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(UnreadableMedia, match=r"a\.png is not a picture"):
            read_picture(tmp_path / "a.png")

    @pytest.mark.parametrize(("width", "height"), [(50000, 50000), (10000, 10000), (2**31 - 1, 2**31 - 1)])
    def test_bombs_are_refused_by_their_header(self, tmp_path: Path, width: int, height: int) -> None:
        (tmp_path / "a.png").write_bytes(png(width, height, b""))
        with pytest.raises(TooLarge, match="scale it down"):
            read_picture(tmp_path / "a.png")

    def test_limits_can_be_raised_and_lowered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
        monkeypatch.setenv("TROUPE_MAX_PICTURE_PIXELS", "599")
        with pytest.raises(TooLarge, match="the limit is 599: scale it down, or set TROUPE_MAX_PICTURE_PIXELS"):
            read_picture(tmp_path / "a.png")
        monkeypatch.setenv("TROUPE_MAX_PICTURE_PIXELS", "600")
        assert read_picture(tmp_path / "a.png").shape == (20, 30, 3)
        monkeypatch.setenv("TROUPE_MAX_PICTURE_PIXELS", "many")
        with pytest.raises(SettingsError, match="TROUPE_MAX_PICTURE_PIXELS is 'many'"):
            read_picture(tmp_path / "a.png")

    @pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "gif", "bmp"])
    def test_damage_is_an_input_error_or_a_picture(self, tmp_path: Path, suffix: str) -> None:
        whole = tmp_path / f"whole.{suffix}"
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(gradient()).save(whole, exif=exif)
        rng = random.Random(suffix)
        content = whole.read_bytes()
        path = tmp_path / f"a.{suffix}"
        for _ in range(60):
            damaged = bytearray(content[: rng.randrange(1, len(content))] if rng.random() < 0.5 else content)
            for _ in range(rng.choice([0, 1, 5, 50])):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            with suppress(UnreadableMedia, TooLarge):
                picture = read_picture(path)
                assert picture.ndim == 3
                assert picture.dtype == np.uint8


class TestPoster:
    @pytest.mark.parametrize(
        ("shape", "size"), [((960, 1280), (640, 480)), ((1000, 500), (320, 640)), ((30, 40), (40, 30))]
    )
    def test_size(self, tmp_path: Path, shape: tuple[int, int], size: tuple[int, int]) -> None:
        write_poster(np.full((*shape, 3), RED, np.uint8), tmp_path / "poster.jpg")
        with Image.open(tmp_path / "poster.jpg") as image:
            assert (image.format, image.size) == ("JPEG", size)
            assert b"AI-generated" in image.info["comment"]
            assert b"digitalsourcetype/trainedAlgorithmicMedia" in image.info["xmp"]
        assert np.abs(read_picture(tmp_path / "poster.jpg").astype(int) - RED).max() <= 3

    def test_same_picture_same_bytes(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "b.jpg"):
            write_poster(gradient(), tmp_path / name)
        assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_real_pictures(shared: Path) -> None:
    for name, shape in {
        "source_image.png": (512, 512, 3),
        "s0.jpg": (704, 600, 3),
        "s9.jpg": (1280, 720, 3),
        "s12.jpg": (500, 375, 3),
    }.items():
        assert read_picture(shared / "media" / name).shape == shape


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG file with any header and rows; colour 2 is RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@dataclass(frozen=True)
class Still:
    """One way to write a picture."""

    suffix: str
    mode: str = "RGB"
    options: dict[str, object] = field(default_factory=dict)
    off: int = 0


STILLS = {
    "png": Still("png"),
    "png palette": Still("png", "P", off=4),
    "jpeg": Still("jpg", options={"quality": 95, "subsampling": 0}, off=6),
    "jpeg progressive": Still("jpg", options={"quality": 95, "progressive": True}, off=8),
    "jpeg cmyk": Still("jpg", "CMYK", {"quality": 95, "subsampling": 0}, off=8),
    "webp": Still("webp", options={"quality": 95}, off=10),
    "webp lossless": Still("webp", options={"lossless": True}),
    "tiff": Still("tiff"),
    "tiff lzw": Still("tiff", options={"compression": "tiff_lzw"}),
    "tiff cmyk": Still("tiff", "CMYK", off=2),
    "bmp": Still("bmp"),
    "gif": Still("gif", "P", off=4),
    "avif": Still("avif", options={"quality": 95}, off=10),
    "ppm": Still("ppm"),
    "rgba": Still("png", "RGBA"),
}


@pytest.mark.parametrize("still", STILLS.values(), ids=STILLS)
def test_stills(tmp_path: Path, still: Still) -> None:
    made = quadrants(5, (WIDTH, HEIGHT))
    path = tmp_path / f"a.{still.suffix}"
    palette = Image.Palette.ADAPTIVE if still.mode == "P" else Image.Palette.WEB
    Image.fromarray(made).convert(still.mode, palette=palette).save(path, **still.options)  # type: ignore[arg-type]
    read = read_picture(path)
    assert read.shape == made.shape
    assert np.abs(quadrant_colours(read) - quadrant_colours(made)).max() <= still.off


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_empty_and_truncated_pictures_are_called_that(tmp_path: Path, suffix: str) -> None:
    picture = tmp_path / f"a.{suffix}"
    Image.fromarray(quadrants(5, (WIDTH, HEIGHT))).save(picture)
    picture.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(UnreadableMedia, match=r"is truncated or damaged: it begins as a"):
        read_picture(picture)
    picture.write_bytes(b"")
    with pytest.raises(UnreadableMedia, match=r"is empty"):
        read_picture(picture)
    picture.write_bytes(b"\n<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(UnreadableMedia, match=r"is a web page \(HTML\); give the file itself"):
        read_picture(picture)
    picture.write_bytes(b"no picture, however long")
    with pytest.raises(UnreadableMedia, match=r"is not a picture"):
        read_picture(picture)


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient()).save(path, exif=exif)
    assert picture_traits(path) == {"width": 40, "height": 60}
