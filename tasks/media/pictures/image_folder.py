"""Clips given as a folder of images, `0000001.png` and so on, as gathered by `catalogs.requests.inputs`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tasks.media.limits import limits
from tasks.media.pictures.colour import colour_note, conversion_profile
from tasks.media.pictures.stills import DECODE_ERRORS
from troupe.errors import MissingInput, TooLarge, UnreadableMedia

__all__ = ["RATE", "check", "colour_notes", "decoder", "profiles", "url"]

RATE = 25
"""Frames per second of jobs that set no `fps`."""
_DECODERS = {"PNG": "png", "JPEG": "mjpeg", "WEBP": "webp", "TIFF": "tiff", "BMP": "bmp"}
"""ffmpeg's decoders by Pillow's format names."""
_VARIANTS = {"MPO": "JPEG"}
"""Pillow's names of variants that the same decoder reads: phones write a JPEG followed by further ones as .jpg."""


def url(folder: Path) -> str:
    """Return the URL pattern of the folder's images for ffmpeg's `image2`."""
    first = min(folder.iterdir())
    return f"file:{str(folder.absolute()).replace('%', '%%')}/%07d{first.suffix}"


def decoder(folder: Path) -> str:
    """Return ffmpeg's name of the decoder for the images, which `check` found to be alike.

    Raises:
        UnreadableMedia: the first file is not an image.
    """
    return _DECODERS[_header(folder, min(folder.iterdir()))[0]]


def check(folder: Path) -> None:
    """Check the images' headers: ffmpeg would skip what is not an image, and scale what differs in size.

    Raises:
        MissingInput: the folder is empty or contains other files.
        UnreadableMedia: a file is not an image, or differs from the first in format or size.
        TooLarge: they have more pixels than the limits, or are more.
    """
    pictures = sorted(folder.iterdir())
    if not pictures or not all(picture.stem.isdecimal() for picture in pictures):
        raise MissingInput(f"{folder} is a folder but does not contain numbered images; name a clip file")
    if len(pictures) > limits().clip_frames:
        raise TooLarge(f"{folder.name} has {len(pictures)} pictures; {limits().advice('clip_frames', 'use fewer')}")
    first = _header(folder, pictures[0])
    for picture in pictures:
        found = _header(folder, picture)
        if found != first:
            kinds = [f"{kind} of {width}x{height} pixels" for kind, width, height in (found, first)]
            raise UnreadableMedia(
                f"{folder.name}: {_name(picture)} is {kinds[0]}, the first picture is {kinds[1]}; "
                f"use the same format and size for all"
            )


def profiles(path: Path) -> tuple[bytes, ...]:
    """Return the ICC profile that each picture is to be converted to sRGB from; none at all if no picture has one.

    Args:
        path: a picture, or a folder of them.
    """
    found: dict[bytes, bytes] = {}  # pictures share profiles
    each = tuple(found.setdefault(profile := _colours(picture)[0], profile) for picture in _pictures(path))
    return each if any(each) else ()


def colour_notes(path: Path) -> list[str]:
    """Return notes for the user about the colours of the pictures."""
    return list(dict.fromkeys(note for picture in _pictures(path) if (note := _colours(picture)[1])))


def _pictures(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _colours(picture: Path) -> tuple[bytes, str]:
    """Return a picture's profile for conversion, and a note about it."""
    try:
        with Image.open(picture, formats=tuple(_DECODERS)) as image:
            # ffmpeg has converted all other modes to RGB by itself.
            managed = image.mode in ("RGB", "RGBA", "RGBX", "P")
            return (conversion_profile(image), colour_note(image)) if managed else (b"", "")
    except (*DECODE_ERRORS, Image.DecompressionBombError):
        return b"", ""


def _header(folder: Path, picture: Path) -> tuple[str, int, int]:
    """Read an image's format, one of `_DECODERS`, and its width and height."""
    try:
        with Image.open(picture, formats=tuple(_DECODERS)) as image:
            return _VARIANTS.get(str(image.format), str(image.format)), *image.size
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise UnreadableMedia(
            f"{folder.name}: {_name(picture)} cannot be read as {', '.join(_DECODERS)} ({type(error).__name__})"
        ) from error


def _name(picture: Path) -> str:
    """Return an image's number, with the user's file name where it is a link to that file."""
    return f"picture {int(picture.stem)}" + (f" ({picture.readlink().name})" if picture.is_symlink() else "")
