"""Pictures are shown in sRGB, whatever their profile, and what is lost of their range is noted."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tasks.media import picture_notes, picture_traits, read_picture
from tests.clips import WIDE_RED, wide_gamut_profile
from tests.tasks.media.pictures.test_stills import gradient


@pytest.mark.parametrize(("suffix", "mode"), [("png", "RGB"), ("jpg", "RGB"), ("webp", "RGB"), ("png", "RGBA")])
def test_a_wide_gamut_is_converted(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"a.{suffix}"
    image = Image.new("RGB", (32, 32), WIDE_RED).convert(mode)
    image.save(path, icc_profile=wide_gamut_profile(), quality=100)
    assert np.abs(read_picture(path).astype(int) - (255, 0, 0)).max() <= 4
    assert picture_traits(path) == {"width": 32, "height": 32, "colour": "srgb"}
    (note,) = picture_notes(path)
    assert re.fullmatch("portrait: its colours were converted from .* to sRGB", note)


def test_srgb_and_no_profile_are_untouched(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, more in (("plain", {}), ("tagged", {"icc_profile": profile})):
        path = tmp_path / f"{name}.png"
        Image.fromarray(gradient()).save(path, **more)
        np.testing.assert_array_equal(read_picture(path), gradient())
        assert picture_traits(path) == {"width": 60, "height": 40}
        assert picture_notes(path) == []


@pytest.mark.parametrize("damage", ["cut", "noise", "wrong kind"])
def test_a_damaged_profile_is_ignored_and_noted(tmp_path: Path, damage: str) -> None:
    profile = wide_gamut_profile()
    damaged = {"cut": profile[:90], "noise": b"x" * 400, "wrong kind": profile.replace(b"RGB ", b"CMYK", 1)}[damage]
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path, icc_profile=damaged)
    np.testing.assert_array_equal(read_picture(path), gradient())
    assert "colour" not in picture_traits(path)
    (note,) = picture_notes(path)
    assert note.startswith("portrait: its colour profile was ignored (")


def test_a_gain_map_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(gradient()).save(path, xmp=b'<x hdrgm:Version="1.0"/>')
    assert picture_notes(path) == ["portrait: its HDR gain map was left out"]


def test_hdr_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path)
    content = path.read_bytes()
    chunk = b"cICP" + bytes((9, 16, 0, 1))
    path.write_bytes(content[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:])
    (note,) = picture_notes(path)
    assert "HDR tones were not converted" in note
