"""Text tracks of videos, read back by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import ffmpeg  # type: ignore[import-untyped]
import pytest

from tasks.media import LOSSLESS, PRORES, VideoFormat, encode, h264, probe
from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.input_formats import CLIP_FORMATS, ffmpeg_input
from tasks.media.subtitles import Cue, Subtitles, subtitle_track
from tests.clips import HEIGHT, WIDTH, numbered

CUES = (
    Cue(100, 1000, "Grüezi <i>mitenand</i> &amp; &lt;3\n{lacht} \\N"),
    Cue(500, 1500, "二人目 &lt;ja&gt;"),
    Cue(1600, 2000, "Ende"),
)
Event = tuple[float, float, str]


def events(path: Path) -> tuple[list[Event], str | None]:
    """Return (start, end, text) of the events of the text track, and its language."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            # MP4's texts have their length in front and styles behind.
            data = bytes(packet)
            text = data[2 : 2 + int.from_bytes(data[:2], "big")] if stream.codec_context.name == "mov_text" else data
            if text and packet.pts is not None and packet.duration is not None:
                times = (float(time * stream.time_base) for time in (packet.pts, packet.pts + packet.duration))
                found.append((*times, text.decode()))
        return found, stream.metadata.get("language")


@pytest.mark.parametrize("video_format", [h264(), LOSSLESS, PRORES], ids=lambda video_format: video_format.suffix)
def test_round_trip(tmp_path: Path, video_format: VideoFormat) -> None:
    picture, film = tmp_path / f"picture{video_format.suffix}", tmp_path / f"film{video_format.suffix}"
    before = encode(numbered(50), picture, rate=Fraction(25), size=(WIDTH, HEIGHT), video_format=video_format)
    track = subtitle_track(Subtitles(CUES), tmp_path / "track.srt", video_format, language="de-CH")
    graph = ffmpeg.output(
        ffmpeg_input(picture, CLIP_FORMATS)["v:0"],
        track.stream,
        f"file:{film}",
        format=video_format.container,
        vcodec="copy",
        map_metadata=-1,
        **track.options,
    )
    with FfmpegProcess(graph) as process:
        assert process.finish() == 0, process.errors
    found, language = events(film)
    assert language == "deu" or video_format is PRORES  # QuickTime's table of languages is older than the code
    second = "二人目 <\N{WORD JOINER}ja>"
    first = "Grüezi mitenand & <3\n{lacht} \\\N{WORD JOINER}N"
    if video_format is LOSSLESS:
        expected = [
            (0.1, 1.0, "Grüezi <i>mitenand</i> & <3\n{lacht} \\N"),
            (0.5, 1.5, "二人目 <ja>"),
            (1.6, 2.0, "Ende"),
        ]
    else:
        expected = [
            (0.1, 0.5, first),
            (0.5, 1.0, f"{first}\n{second}"),
            (1.0, 1.5, second),
            (1.6, 2.0, "Ende"),
        ]
    assert found == expected
    after = probe(film)
    assert (after.frames, after.seconds) == (before.frames, before.seconds)
