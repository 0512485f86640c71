"""Read and write still images."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tasks.media.limits import limits
from tasks.media.pictures.colour import colour_note, conversion_profile, has_gain_map, hdr_note, to_srgb
from tasks.media.provenance import AI_GENERATED, xmp_packet
from troupe.errors import MissingInput, TooLarge, UnreadableMedia
from troupe.faces import Picture

__all__ = [
    "CLIP_SIGNATURES",
    "DECODE_ERRORS",
    "damage",
    "picture_notes",
    "picture_traits",
    "read_picture",
    "resized",
    "write_poster",
]

POSTER_SIDE = 640
"""Pixels of a poster's longer side at maximum."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "PPM")
"""Pillow's names of the accepted formats. None of them runs a program or opens another file, as EPS or FLI would."""
_ORIENTATION = 0x0112
"""Number of the EXIF tag."""
DECODE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError),
    *(struct.error, zlib.error),
)
"""Exceptions that Pillow raises for damaged files in these formats, found by experiment."""

_PICTURE_SIGNATURES = (
    (0, b"\x89PNG", "a PNG file"),
    (0, b"\xff\xd8\xff", "a JPEG file"),
    (0, b"GIF8", "a GIF file"),
    (8, b"WEBP", "a WebP file"),
)
"""Offset and bytes that begin a file of a format."""
CLIP_SIGNATURES = (
    *_PICTURE_SIGNATURES,
    (4, b"ftyp", "an MP4 or MOV file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (8, b"AVI ", "an AVI file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"FLV", "an FLV file"),
)
"""The same of clips."""
_WEB_PAGES = (b"<!doctype html", b"<html")
"""What the web pages begin with, in lower case, that servers send instead of a file, such as for a login."""


def read_picture(path: Path) -> Picture:
    """Read an image, upright, as 8-bit sRGB; transparency becomes white, of an animation the first frame is read.

    Raises:
        MissingInput: the file does not exist or is not readable.
        UnreadableMedia: the file cannot be decoded as an image.
        TooLarge: it has more pixels than `limits` allow, checked before decoding.
    """
    with _opened(path) as image:
        image.load()
        profile = conversion_profile(image)
        return _rgb(_upright(image), profile)


def picture_traits(path: Path) -> dict[str, Any]:
    """Return what decides how a picture is shown: its size, upright, and `colour` if its colours are converted.

    Raises:
        InputError: as `read_picture`.
    """
    with _opened(path) as image:
        width, height = _upright_size(image)
        colour = {"colour": "srgb"} if conversion_profile(image) else {}
        return {"width": width, "height": height, **colour}


def picture_notes(path: Path) -> list[str]:
    """Return notes for the user on what is converted or left out when the picture is read.

    Raises:
        InputError: as `read_picture`.
    """
    with _opened(path) as image:
        notes = [colour_note(image), *([hdr] if (hdr := hdr_note(image, path)) else [])]
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and not has_gain_map(image):
            notes.append(f"the first of {frames} pictures was used")
        return [f"portrait: {note}" for note in notes if note]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    maximum = limits()
    advice = maximum.advice("picture_pixels", "scale it down")
    # Pillow's own limit must not be lower than ours.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, maximum.picture_pixels)
    try:
        path.open("rb").close()
    except OSError as error:
        raise MissingInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        with warnings.catch_warnings():
            # Pillow warns about large images, which our own limit covers, and about slight damage.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                if width * height > maximum.picture_pixels:
                    raise TooLarge(f"{path.name} has {width}x{height} pixels; {advice}")
                yield image
    except Image.DecompressionBombError:
        raise TooLarge(f"{path.name} has too many pixels; {advice}") from None
    except DECODE_ERRORS as error:
        if found := damage(path, type(error).__name__):
            raise UnreadableMedia(f"{path.name} {found}") from error
        raise UnreadableMedia(
            f"{path.name} is not a picture that can be decoded ({type(error).__name__}); "
            f"use PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF or PPM"
        ) from error


def damage(path: Path, cause: str, signatures: Sequence[tuple[int, bytes, str]] = _PICTURE_SIGNATURES) -> str:
    """Describe a file that cannot be opened: it is empty, damaged or a web page; empty if its format is unknown.

    Args:
        cause: what the decoder reports.
        signatures: how files of the possible formats begin.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        return f"is empty ({cause}); copy or export it again"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_WEB_PAGES):
        return "is a web page (HTML); give the file itself, and check whether its URL needs a login"
    kind = next((kind for offset, begin, kind in signatures if head[offset:].startswith(begin)), "")
    return f"is truncated or damaged: it begins as {kind} ({cause}); copy or export it again" if kind else ""


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Return a picture scaled to (width, height)."""
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def write_poster(picture: Picture, path: Path) -> None:
    """Write a JPEG preview, at most `POSTER_SIDE` pixels on its longer side, labelled as AI-generated."""
    image = Image.fromarray(picture)
    image.thumbnail((POSTER_SIDE, POSTER_SIDE), Image.Resampling.LANCZOS)
    image.save(path, "JPEG", quality=90, subsampling="4:4:4", comment=AI_GENERATED, xmp=xmp_packet(AI_GENERATED))


def _upright(image: Image.Image) -> Image.Image:
    """Rotate an image as its EXIF data says; damaged EXIF data is ignored."""
    try:
        return ImageOps.exif_transpose(image)
    except DECODE_ERRORS:
        return image


def _upright_size(image: Image.Image) -> tuple[int, int]:
    try:
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except DECODE_ERRORS:
        turned = False
    width, height = image.size
    return (height, width) if turned else (width, height)


def _rgb(image: Image.Image, profile: bytes) -> Picture:
    """Convert any mode to (H, W, 3) sRGB; `convert` alone would clip 16 bits to 8 instead of scaling.

    Args:
        profile: ICC profile of the image's colours; empty for sRGB.
    """
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image, np.int64), 0, 65535)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("floating-point samples have no defined white")
    if profile:
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        image = to_srgb(image, profile)
        if alpha is not None:
            image.putalpha(alpha)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return np.array(image.convert("RGB"))
