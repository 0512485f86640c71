"""Clips given as a folder of pictures, `0000001.png` and on, as gathered by `catalogs.requests.inputs.localise`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tasks.media.limits import limits
from tasks.media.stills import DECODE_ERRORS
from troupe.errors import MissingInput, TooLarge, UnreadableMedia

__all__ = ["RATE", "address", "check", "decoder"]

RATE = 25
"""Frames a second, where the job names no `fps`."""
_DECODERS = {"PNG": "png", "JPEG": "mjpeg", "WEBP": "webp", "TIFF": "tiff", "BMP": "bmp"}
"""ffmpeg's names, by Pillow's."""


def address(folder: Path) -> str:
    """The folder's pictures in the words of ffmpeg's `image2`."""
    first = min(folder.iterdir())
    return f"file:{str(folder.absolute()).replace('%', '%%')}/%07d{first.suffix}"


def decoder(folder: Path) -> str:
    """ffmpeg's name of what decodes the pictures, which `check` found all alike.

    Raises:
        UnreadableMedia: the first is no picture.
    """
    return _DECODERS[_header(folder, min(folder.iterdir()))[0]]


def check(folder: Path) -> None:
    """Look at the pictures' headers: ffmpeg would leave out what is no picture, and stretch what has another size.

    Raises:
        MissingInput: something else is in the folder, or nothing.
        UnreadableMedia: one is no picture, of another format or of another size than the first.
        TooLarge: they have more pixels than the limits, or are more.
    """
    pictures = sorted(folder.iterdir())
    if not pictures or not all(picture.stem.isdecimal() for picture in pictures):
        raise MissingInput(f"{folder} is a folder, and not one of gathered pictures; give a clip")
    if len(pictures) > limits().clip_frames:
        raise TooLarge(f"{folder.name} is {len(pictures)} pictures; {limits().advice('clip_frames', 'use fewer')}")
    first = _header(folder, pictures[0])
    for picture in pictures:
        found = _header(folder, picture)
        if found != first:
            kinds = [f"{kind} of {width}x{height} pixels" for kind, width, height in (found, first)]
            raise UnreadableMedia(
                f"{folder.name}: {_name(picture)} is {kinds[0]}, the first picture is {kinds[1]}; make all alike"
            )


def _header(folder: Path, picture: Path) -> tuple[str, int, int]:
    """Format, width and height."""
    try:
        with Image.open(picture, formats=tuple(_DECODERS)) as image:
            return str(image.format), *image.size
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise UnreadableMedia(
            f"{folder.name}: {_name(picture)} is no {', '.join(_DECODERS)} that can be read ({type(error).__name__})"
        ) from error


def _name(picture: Path) -> str:
    """As the user calls it, where it is a link to the user's own file."""
    return f"picture {int(picture.stem)}" + (f" ({picture.readlink().name})" if picture.is_symlink() else "")
