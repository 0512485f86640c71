"""Input formats that may be opened, and the functions that open files in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import ffmpeg  # type: ignore[import-untyped]

from tasks.media import image_folder
from tasks.media.ffmpeg_process import THREADS
from tasks.media.stills import CLIP_SIGNATURES, damage
from troupe.errors import MissingInput, UnreadableMedia

__all__ = ["AUDIO_FORMATS", "CLIP_FORMATS", "ffmpeg_input", "open_container"]

CLIP_FORMATS = (
    "apng,asf,av1,avi,bmp_pipe,dv,flv,gif,h264,hevc,ivf,jpeg_pipe,jpegxl_anim,m4v,matroska,mjpeg,mov,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,png_pipe,tiff_pipe,webp_anim,webp_pipe,yuv4mpegpipe"
)
"""ffmpeg's names of the container formats accepted for driving clips.

None of these makes ffmpeg open another file. hls, dash, concat, image2 and others do, and are excluded; image2 is used
only for folders of images that troupe gathered itself.
"""
AUDIO_FORMATS = (
    f"{CLIP_FORMATS},aac,ac3,aiff,amr,amrnb,amrwb,ape,au,caf,dsf,dts,dtshd,eac3,flac,gsm,loas,mlp,mp3,mpc,mpc8,qcp,rm,"
    "shn,tak,truehd,tta,voc,w64,wav,wv"
)
"""ffmpeg's names of the container formats accepted for sound."""
_OPEN_TIMEOUT = 30.0
"""Seconds before opening a file fails."""


def ffmpeg_input(path: Path, formats: str, **options: int | str) -> Any:
    """Return a file as an ffmpeg input, restricted to this file, these formats and `THREADS` threads.

    A folder is a image_folder of pictures, which `open_container` has looked at.
    """
    if path.is_dir():
        options |= {
            "format": "image2",
            "vcodec": image_folder.decoder(path),
            "start_number": 1,
            "framerate": image_folder.RATE,
        }
    return ffmpeg.input(_url(path), threads=THREADS, **_restrictions(path, formats), **options)


@contextmanager
def open_container(path: Path, formats: str, **options: str) -> Iterator[av.container.InputContainer]:
    """Open a file with PyAV, to read its headers and packets.

    Raises:
        MissingInput: the file does not exist or is not readable.
        UnreadableMedia: the file is in none of the formats, or too damaged to open.
    """
    sequence_options = {}
    if path.is_dir():
        image_folder.check(path)
        sequence_options = {"start_number": "1", "framerate": str(image_folder.RATE)}
    else:
        try:
            path.open("rb").close()
        except OSError as error:
            raise MissingInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        container = av.open(
            _url(path),
            "r",
            format="image2" if sequence_options else None,
            options=_restrictions(path, formats) | options | sequence_options,
            timeout=_OPEN_TIMEOUT,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        if found := damage(path, CLIP_SIGNATURES):
            raise UnreadableMedia(f"{path.name} {found} ({reason}); copy or export it again") from error
        raise UnreadableMedia(
            f"{path.name} is not in a supported format ({reason}); playlists and scripts are refused; "
            f"convert any other clip to MP4"
        ) from error
    with container:
        yield container


def _url(path: Path) -> str:
    """Return a file's URL for libav, in which a leading `-` or a `:` has no special meaning."""
    return image_folder.url(path) if path.is_dir() else f"file:{path.absolute()}"


def _restrictions(path: Path, formats: str) -> dict[str, str]:
    return {"protocol_whitelist": "file", "format_whitelist": "image2" if path.is_dir() else formats}
