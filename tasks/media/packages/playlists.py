"""HLS playlists, RFC 8216 and its successor, draft-pantos-hls-rfc8216bis."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import langcodes

from tasks.media.packages.track import PackageTrack

__all__ = [
    "Rendition",
    "Segment",
    "media_playlist",
    "multivariant_playlist",
    "peak_bandwidth",
    "read_segments",
    "target_duration",
]

_HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n"


@dataclass(frozen=True)
class Segment:
    """A segment of a media playlist.

    Attributes:
        name: its file, in the playlist's folder.
        seconds: its length.
        bytes: its size.
    """

    name: str
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Rendition:
    """A media playlist of picture, sound or subtitles.

    Attributes:
        uri: URI relative to the multivariant playlist.
        segments: its segments.
        codec: codec as RFC 6381 names it; empty for subtitles.
        channels: channels of sound.
        track: track of a sound or of subtitles.
    """

    uri: str
    segments: Sequence[Segment]
    codec: str = ""
    channels: int = 0
    track: PackageTrack | None = None


def read_segments(playlist: Path) -> list[Segment]:
    """Return the segments of a media playlist that ffmpeg wrote."""
    entries = re.findall(r"^#EXTINF:([\d.]+),[^\n]*\n([^#\n]+)$", playlist.read_text(), re.MULTILINE)
    return [Segment(name, float(seconds), (playlist.parent / name).stat().st_size) for seconds, name in entries]


def target_duration(renditions: Sequence[Rendition]) -> int:
    """Return the target duration of renditions, seconds; players require the same in all but subtitles."""
    return max(math.ceil(segment.seconds) for rendition in renditions for segment in rendition.segments)


def media_playlist(segments: Sequence[Segment], target: int, initialisation: str = "") -> str:
    """Return a media playlist.

    Args:
        segments: segments in their order.
        target: target duration, seconds.
        initialisation: name of the initialisation segment.
    """
    first = f'#EXT-X-MAP:URI="{initialisation}"\n' if initialisation else ""
    entries = "".join(f"#EXTINF:{segment.seconds:.6f},\n{segment.name}\n" for segment in segments)
    return (
        f"{_HEAD}#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        f"{first}{entries}#EXT-X-ENDLIST\n"
    )


def multivariant_playlist(
    video: Rendition,
    audio: Sequence[Rendition],
    subtitles: Sequence[Rendition],
    *,
    size: tuple[int, int],
    rate: float,
    comment: str,
) -> str:
    """Return the multivariant playlist.

    Args:
        video: the picture.
        audio, subtitles: renditions with their tracks.
        size: (width, height) of the picture.
        rate: frames per second.
        comment: text for readers of the file.
    """
    lines = [f"## {comment}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    languages: set[str] = set()
    for rendition in audio:
        lines.append(_media("AUDIO", rendition, languages))
    languages.clear()
    for rendition in subtitles:
        lines.append(_media("SUBTITLES", rendition, languages))
    target = target_duration([video, *audio])
    peak = peak_bandwidth(video.segments, target)
    peak += max((peak_bandwidth(sound.segments, target) for sound in audio), default=0)
    mean = _mean_bandwidth(video.segments) + max((_mean_bandwidth(sound.segments) for sound in audio), default=0)
    codecs = dict.fromkeys((video.codec, *(sound.codec for sound in audio)))
    attributes = [
        f"BANDWIDTH={max(peak, mean)}",
        f"AVERAGE-BANDWIDTH={mean}",
        f"CODECS={_quoted(','.join(codecs))}",
        f"RESOLUTION={size[0]}x{size[1]}",
        f"FRAME-RATE={rate:.3f}",
        "VIDEO-RANGE=SDR",
        *(['AUDIO="audio"'] if audio else []),
        *(['SUBTITLES="subtitles"'] if subtitles else []),
        "CLOSED-CAPTIONS=NONE",
    ]
    lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", video.uri]
    return _HEAD + "".join(f"{' '.join(line.splitlines())}\n" for line in lines)


def peak_bandwidth(segments: Sequence[Segment], target: float) -> int:
    """Return the peak bit rate: of all contiguous segments with 0.5 to 1.5 times the target duration together."""
    peak = _mean_bandwidth(segments) if sum(segment.seconds for segment in segments) < target / 2 else 0
    for first in range(len(segments)):
        seconds = total = 0.0
        for segment in segments[first:]:
            seconds, total = seconds + segment.seconds, total + 8 * segment.bytes
            if seconds > 1.5 * target:
                break
            if seconds >= target / 2:
                peak = max(peak, math.ceil(total / seconds))
    return peak


def _mean_bandwidth(segments: Sequence[Segment]) -> int:
    return math.ceil(8 * sum(segment.bytes for segment in segments) / sum(segment.seconds for segment in segments))


def _media(kind: str, rendition: Rendition, languages: set[str]) -> str:
    """Return the tag of a rendition.

    Args:
        languages: those of the renditions before, to which this one's is added: players choose among languages.
    """
    track = rendition.track
    if track is None:
        raise ValueError(f"{rendition.uri} has no track")
    chosen = track.language not in languages
    languages.add(track.language)
    default = kind == "AUDIO" and track.default
    attributes = [
        f"TYPE={kind}",
        f"GROUP-ID={_quoted(kind.lower())}",
        *([f"LANGUAGE={_quoted(track.language)}"] if langcodes.tag_is_valid(track.language) else []),
        f"NAME={_quoted(track.name)}",
        f"DEFAULT={'YES' if default else 'NO'}",
        f"AUTOSELECT={'YES' if chosen or default else 'NO'}",
        *([f"CHANNELS={_quoted(str(rendition.channels))}"] if rendition.channels else []),
        *(["FORCED=NO"] if kind == "SUBTITLES" else []),
        f"URI={_quoted(rendition.uri)}",
    ]
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def _quoted(text: str) -> str:
    """Return a quoted string, which cannot contain quotes and line breaks."""
    return '"' + " ".join(text.replace('"', "'").split()) + '"'
