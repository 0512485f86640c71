"""Still pictures in and out."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tasks.media.limits import limits
from tasks.media.provenance import AI_GENERATED, xmp
from troupe.errors import MissingInput, TooLarge, UnreadableMedia
from troupe.faces import Picture

__all__ = ["DECODE_ERRORS", "read_picture", "write_poster"]

POSTER_SIDE = 640
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "PPM")
"""None of them runs another program or opens another file, as EPS or FLI would."""
DECODE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError),
    *(struct.error, zlib.error),
)
"""What Pillow's readers raise for damaged files of these formats, by trying."""


def read_picture(path: Path) -> Picture:
    """A picture upright, as 8-bit RGB; transparency becomes white, of an animation only the first frame is read.

    Raises:
        MissingInput: there is no such file.
        UnreadableMedia: it is no picture that can be decoded.
        TooLarge: more pixels than `limits` allow, found out before anything is decoded.
    """
    most = limits()
    advice = most.advice("picture_pixels", "scale it down")
    # Pillow's own limit must not be the lower one.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, most.picture_pixels)
    try:
        path.open("rb").close()
    except OSError as error:
        raise MissingInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures, where our own limit is the lower one, and of slight damage.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                if width * height > most.picture_pixels:
                    raise TooLarge(f"{path.name} has {width}x{height} pixels; {advice}")
                image.load()
                return _rgb(_upright(image))
    except Image.DecompressionBombError:
        raise TooLarge(f"{path.name} has far more pixels than are read; {advice}") from None
    except DECODE_ERRORS as error:
        raise UnreadableMedia(
            f"{path.name} is not a picture that can be decoded ({type(error).__name__}); "
            f"use PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF or PPM"
        ) from error


def write_poster(picture: Picture, path: Path) -> None:
    """A JPEG preview, `POSTER_SIDE` pixels at most on its longer side, marked as AI-generated."""
    image = Image.fromarray(picture)
    image.thumbnail((POSTER_SIDE, POSTER_SIDE), Image.Resampling.LANCZOS)
    image.save(path, "JPEG", quality=90, subsampling="4:4:4", comment=AI_GENERATED, xmp=xmp(AI_GENERATED))


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says, unless that is damaged: then the picture is all there is."""
    try:
        return ImageOps.exif_transpose(image)
    except DECODE_ERRORS:
        return image


def _rgb(image: Image.Image) -> Picture:
    """(H, W, 3) of any mode; `convert` alone would clip 16 bits to 8 instead of scaling them."""
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image, np.int64), 0, 65535)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("floating-point samples have no agreed white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))
