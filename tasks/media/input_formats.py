"""Input formats that may be opened, and the functions that open files in them and choose their streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import av
import av.audio.stream
import av.container
import av.error
import av.stream
import av.video.stream
import ffmpeg  # type: ignore[import-untyped]

from tasks.media.ffmpeg_process import THREADS
from tasks.media.languages import same_language
from tasks.media.limits import limits
from tasks.media.pictures import image_folder
from tasks.media.pictures.stills import CLIP_SIGNATURES, damage
from troupe.errors import InputError, MissingInput, TooLarge, UnreadableMedia

__all__ = [
    "AUDIO_FORMATS",
    "CLIP_FORMATS",
    "audio_stream",
    "clip_notes",
    "clip_traits",
    "ffmpeg_input",
    "film_streams",
    "is_default",
    "is_interlaced",
    "missing_track",
    "open_container",
    "pick_track",
    "sound_notes",
    "usable_streams",
    "video_stream",
]

S = TypeVar("S", bound=av.stream.Stream)

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
_PICTURES = (
    av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails | av.stream.Disposition.still_image
)
"""Streams of pictures beside the film: covers, thumbnails of chapters."""
_INTERLACED_CODECS = (
    *("dnxhd", "dvvideo", "ffv1", "h264", "hevc", "huffyuv", "jpeg2000", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4"),
    *("prores", "rawvideo", "utvideo", "v210", "vc1"),
)
"""Video codecs with a flag for interlaced frames."""
_MANY_FRAMES = 10_000
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
        TooLarge: its headers take more memory than the process may use.
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
    except MemoryError as error:
        raise _large_headers(path) from error
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        if found := damage(path, reason, CLIP_SIGNATURES):
            raise UnreadableMedia(f"{path.name} {found}") from error
        raise UnreadableMedia(
            f"{path.name} is not in a supported format ({reason}); playlists and scripts are refused; "
            f"convert any other clip to MP4"
        ) from error
    with container:
        # Where the memory for an index is refused, libav leaves the index empty and says nothing. Others have none.
        indexed = "mov" in container.format.name or "avi" in container.format.name
        if indexed and any(s.frames > _MANY_FRAMES and not len(s.index_entries) for s in container.streams):
            raise _large_headers(path)
        yield container


def _large_headers(path: Path) -> TooLarge:
    advice = limits().advice("header_bytes", "export it again")
    return TooLarge(f"reading the headers of {path.name} takes too many bytes of memory; {advice}")


def video_stream(container: av.container.InputContainer, choice: str = "") -> av.video.stream.VideoStream | None:
    """Return the chosen video stream; by default the one marked as default, else the first. Cover pictures never are.

    Args:
        choice: `index:N`, from 0, or `language:TAG`; empty for the default.

    Raises:
        InputError: there is no such stream.
    """
    return _chosen(container, film_streams(container), choice, "video")


def audio_stream(container: av.container.InputContainer, choice: str = "") -> av.audio.stream.AudioStream | None:
    """Return the chosen audio stream that has a decoder; see `video_stream`."""
    return _chosen(container, usable_streams(container.streams.audio), choice, "audio")


def film_streams(container: av.container.InputContainer) -> list[av.video.stream.VideoStream]:
    """Return the video streams that have a decoder, without pictures beside the film."""
    return [stream for stream in usable_streams(container.streams.video) if not stream.disposition & _PICTURES]


def usable_streams(streams: Sequence[S]) -> list[S]:
    """Return the streams that have a decoder."""
    return [stream for stream in streams if stream.codec_context is not None]


def is_default(stream: av.stream.Stream) -> bool:
    """Whether the container marks the stream as default."""
    return bool(stream.disposition & av.stream.Disposition.default)


def pick_track(languages: Sequence[str], defaults: Sequence[bool], choice: str) -> int | None:
    """Return the place of the chosen track; by default the first one marked as default, else the first.

    Args:
        languages: language of each track.
        defaults: whether each track is marked as default.
        choice: `index:N`, from 0, or `language:TAG`; empty for the default.
    """
    name, _, value = choice.partition(":")
    if name == "index":
        return int(value) if int(value) < len(languages) else None
    if name == "language":
        return next((n for n, language in enumerate(languages) if same_language(language, value)), None)
    return next((n for n, default in enumerate(defaults) if default), 0 if languages else None)


def missing_track(file: str, kind: str, choice: str, languages: Sequence[str]) -> InputError:
    """Return the error for a choice that fits none of the tracks."""
    existing = ", ".join(_label(number, language) for number, language in enumerate(languages)) or "none"
    return InputError(f"{file} has no {kind} track {choice}; it has {existing}; change {kind}_track")


def clip_notes(path: Path, video_track: str = "") -> list[str]:
    """Return notes for the user about how the picture of a clip is read: the choice among several tracks, and more."""
    with open_container(path, AUDIO_FORMATS, max_pixels=str(limits().clip_pixels)) as container:
        videos = film_streams(container)
        video = video_stream(container, video_track)
        notes = _choice_notes("video", videos, video)
        if video is not None and is_interlaced(container, video):
            notes.append("video: the clip is interlaced and was deinterlaced")
        if container.streams.subtitles:
            notes.append("subtitles: those in the clip were left out; name a file in the column subtitles")
        is_picture = path.is_dir() or container.format.name.endswith("_pipe")
    return notes + [f"video: {note}" for note in image_folder.colour_notes(path)] if is_picture else notes


def sound_notes(path: Path, audio_track: str = "") -> list[str]:
    """Return notes for the user about the choice among several tracks of sound."""
    with open_container(path, AUDIO_FORMATS) as container:
        return _choice_notes("audio", usable_streams(container.streams.audio), audio_stream(container, audio_track))


def _choice_notes(kind: str, streams: Sequence[av.stream.Stream], used: av.stream.Stream | None) -> list[str]:
    if len(streams) < 2 or used is None:
        return []
    others = ", ".join(_named(streams, stream) for stream in streams if stream is not used)
    return [f"{kind}: track {_named(streams, used)} of {len(streams)} was used, not {others}"]


def _chosen(container: av.container.InputContainer, streams: Sequence[S], choice: str, kind: str) -> S | None:
    languages = [stream.language or "" for stream in streams]
    number = pick_track(languages, [is_default(stream) for stream in streams], choice)
    if number is None and choice:
        raise missing_track(Path(container.name).name, kind, choice, languages)
    return None if number is None else streams[number]


def _named(streams: Sequence[av.stream.Stream], stream: av.stream.Stream) -> str:
    return _label(streams.index(stream), stream.language or "")


def _label(number: int, language: str) -> str:
    return f"index:{number}" + (f" ({language})" if language else "")


def is_interlaced(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> bool:
    """Whether the first frame that decodes is made of two fields."""
    if stream.codec.canonical_name not in _INTERLACED_CODECS:
        return False
    with suppress(av.error.FFmpegError, ValueError):
        stream.thread_count = 1  # each further thread reserves memory
        for frame in container.decode(stream):
            return frame.interlaced_frame
    return False


def clip_traits(path: Path) -> dict[str, Any]:
    """Return what makes a clip decode in another way than troupe's first versions did; nothing for most clips.

    It is part of the keys, so that the results of these versions are reused for all other clips.
    """
    with open_container(path, AUDIO_FORMATS, max_pixels=str(limits().clip_pixels)) as container:
        traits: dict[str, Any] = {}
        streams = (("video", container.streams.video, video_stream), ("audio", container.streams.audio, audio_stream))
        for kind, candidates, choose in streams:
            cover = av.stream.Disposition.attached_pic
            first = next((s for s in usable_streams(list(candidates)) if not s.disposition & cover), None)
            used = choose(container)
            if used is not None and first is not None and used.index != first.index:
                traits[kind] = used.index
        video = video_stream(container)
        if video is not None and is_interlaced(container, video):
            traits["interlaced"] = True
        if (path.is_dir() or container.format.name.endswith("_pipe")) and image_folder.profiles(path):
            traits["colour"] = "srgb"
        return traits


def _url(path: Path) -> str:
    """Return a file's URL for libav, in which a leading `-` or a `:` has no special meaning."""
    return image_folder.url(path) if path.is_dir() else f"file:{path.absolute()}"


def _restrictions(path: Path, formats: str) -> dict[str, str]:
    return {"protocol_whitelist": "file", "format_whitelist": "image2" if path.is_dir() else formats}
