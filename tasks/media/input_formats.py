"""Which files may be opened at all, and opening them."""

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
from troupe.errors import MissingInput, UnreadableMedia

__all__ = ["AUDIO_FORMATS", "CLIP_FORMATS", "open_container", "source"]

CLIP_FORMATS = (
    "apng,asf,av1,avi,bmp_pipe,dv,flv,gif,h264,hevc,ivf,jpeg_pipe,jpegxl_anim,m4v,matroska,mjpeg,mov,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,png_pipe,tiff_pipe,webp_anim,webp_pipe,yuv4mpegpipe"
)
"""ffmpeg's names of the containers that may hold a driving clip.

None of these makes ffmpeg open another file; hls, dash, concat, image2 and the like do, and are left out. (image2 is
used for folders of pictures that we gathered ourselves.)
"""
AUDIO_FORMATS = f"{CLIP_FORMATS},aac,ac3,aiff,amr,caf,eac3,flac,mp3,w64,wav"
"""The same for sound."""
_OPEN_SECONDS = 30.0


def source(path: Path, formats: str, **options: int | str) -> Any:
    """A file as an input of ffmpeg, kept to this one file, these containers and `THREADS` threads.

    A folder is a image_folder of pictures, which `open_container` has looked at.
    """
    if path.is_dir():
        options |= {
            "format": "image2",
            "vcodec": image_folder.decoder(path),
            "start_number": 1,
            "framerate": image_folder.RATE,
        }
    return ffmpeg.input(_address(path), threads=THREADS, **_guards(path, formats), **options)


@contextmanager
def open_container(path: Path, formats: str, **options: str) -> Iterator[av.container.InputContainer]:
    """The file's headers, by PyAV.

    Raises:
        MissingInput: there is no such file, or it may not be read.
        UnreadableMedia: it is in none of the formats, or damaged beyond opening.
    """
    pictures = {}
    if path.is_dir():
        image_folder.check(path)
        pictures = {"start_number": "1", "framerate": str(image_folder.RATE)}
    else:
        try:
            path.open("rb").close()
        except OSError as error:
            raise MissingInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        container = av.open(
            _address(path),
            "r",
            format="image2" if pictures else None,
            options=_guards(path, formats) | options | pictures,
            timeout=_OPEN_SECONDS,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UnreadableMedia(
            f"{path.name} is in no format that is read here ({why}); playlists and scripts are refused, any other "
            f"clip that plays elsewhere can be converted to MP4"
        ) from error
    with container:
        yield container


def _address(path: Path) -> str:
    """How libav is told of a file: neither a leading `-` nor a `:` in its name means anything then."""
    return image_folder.address(path) if path.is_dir() else f"file:{path.absolute()}"


def _guards(path: Path, formats: str) -> dict[str, str]:
    return {"protocol_whitelist": "file", "format_whitelist": "image2" if path.is_dir() else formats}
