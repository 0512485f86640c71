"""Still pictures in and out."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tasks.media.encoder import AI_GENERATED
from troupe.errors import MissingInput, TooLarge, UnreadableMedia
from troupe.faces import Picture

__all__ = ["MAX_PICTURE_PIXELS", "read_picture", "write_poster"]

MAX_PICTURE_PIXELS = 80_000_000
_LIMIT = f"{MAX_PICTURE_PIXELS} are the limit: scale it down"
POSTER_SIDE = 640
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "PPM")
"""None of them runs another program or opens another file, as EPS or FLI would."""
# What Pillow's readers raise for damaged files of these formats, by trying.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError)


def read_picture(path: Path) -> Picture:
    """A picture upright, as 8-bit RGB; transparency becomes white, of an animation only the first frame is read.

    Raises:
        MissingInput: there is no such file.
        UnreadableMedia: it is no picture that can be decoded.
        TooLarge: more than `MAX_PICTURE_PIXELS`, found out before anything is decoded.
    """
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
                if width * height > MAX_PICTURE_PIXELS:
                    raise TooLarge(f"{path.name} has {width}x{height} pixels; {_LIMIT}")
                return _rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError:
        raise TooLarge(f"{path.name} has far more pixels than are read; {_LIMIT}") from None
    except _DAMAGE as error:
        raise UnreadableMedia(
            f"{path.name} is not a picture that can be decoded ({type(error).__name__}); "
            f"use PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF or PPM"
        ) from error


def write_poster(picture: Picture, path: Path) -> None:
    """A JPEG preview, `POSTER_SIDE` pixels at most on its longer side, marked as AI-generated."""
    image = Image.fromarray(picture)
    image.thumbnail((POSTER_SIDE, POSTER_SIDE), Image.Resampling.LANCZOS)
    image.save(path, "JPEG", quality=90, subsampling="4:4:4", comment=AI_GENERATED)


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
