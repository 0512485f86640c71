"""Clips given as a folder of images, `0000001.png` and so on, as gathered by `catalogs.requests.inputs`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tasks.media.limits import limits
from tasks.media.stills import DECODE_ERRORS
from troupe.errors import MissingInput, TooLarge, UnreadableMedia

__all__ = ["RATE", "check", "decoder", "url"]

RATE = 25
"""Frames per second of jobs that set no `fps`."""
_DECODERS = {"PNG": "png", "JPEG": "mjpeg", "WEBP": "webp", "TIFF": "tiff", "BMP": "bmp"}
"""ffmpeg's decoders by Pillow's format names."""


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


def _header(folder: Path, picture: Path) -> tuple[str, int, int]:
    """Read an image's format, width and height."""
    try:
        with Image.open(picture, formats=tuple(_DECODERS)) as image:
            return str(image.format), *image.size
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise UnreadableMedia(
            f"{folder.name}: {_name(picture)} cannot be read as {', '.join(_DECODERS)} ({type(error).__name__})"
        ) from error


def _name(picture: Path) -> str:
    """Return an image's number, with the user's file name where it is a link to that file."""
    return f"picture {int(picture.stem)}" + (f" ({picture.readlink().name})" if picture.is_symlink() else "")
