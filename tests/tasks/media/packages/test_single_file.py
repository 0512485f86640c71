"""MP4 and Matroska packages, read back by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import pytest

from tasks.media.packages import PackageKind, PackageTrack, write_package
from tasks.media.provenance import AI_GENERATED, VideoMetadata
from tests.films import TONES, pitch_of, stream_md5, write_film, write_picture

METADATA = VideoMetadata("r1", "welcome.en, welcome.fr, welcome.pt-BR")
TITLES = ["English, en", "French, fr", "Portuguese (Brazil), pt-BR"]


def packed(kind: PackageKind, folder: Path, tracks: Sequence[PackageTrack]) -> Path:
    return write_package(kind, folder, tracks, METADATA).files[""]


def titles(streams: Sequence[av.stream.Stream]) -> list[str]:
    return [stream.metadata.get("title") or stream.metadata.get("name", "") for stream in streams]


def defaults(streams: Sequence[av.stream.Stream]) -> list[bool]:
    return [bool(stream.disposition & av.stream.Disposition.default) for stream in streams]


def events(path: Path, number: int) -> list[tuple[float, float, str]]:
    """Start, length and text of the subtitles of a track; times without text are MP4's pauses."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[number]
        base = float(stream.time_base or 0)
        found = []
        for packet in container.demux(stream):
            for subtitle in packet.decode() if packet.size else ():
                text = subtitle.ass.decode().split(",", 8)[-1]
                if text:
                    found.append((float(packet.pts or 0) * base, float(packet.duration or 0) * base, text))
        return found


@pytest.mark.parametrize(
    ("kind", "codec", "languages"), [("mp4", "mov_text", ["eng", "fra", "por"]), ("mkv", "srt", ["eng", "fre", "por"])]
)
def test_every_language_is_a_track(
    tracks: list[PackageTrack], tmp_path: Path, kind: PackageKind, codec: str, languages: list[str]
) -> None:
    path = packed(kind, tmp_path, tracks)
    with av.open(str(path)) as container:
        audio, texts = container.streams.audio, container.streams.subtitles
        assert len(container.streams.video) == 1
        assert [stream.language for stream in audio] == [stream.language for stream in texts] == languages
        assert titles(audio) == titles(texts) == TITLES
        assert defaults(audio) == [False, True, False]
        assert {stream.codec_context.name for stream in texts} == {codec}
        assert (container.metadata.get("comment") or container.metadata["COMMENT"]) == METADATA.comment
        assert METADATA.comment.startswith(AI_GENERATED)
    assert stream_md5(path, "video") == stream_md5(tracks[0].film, "video")
    for number, (track, pitch) in enumerate(zip(tracks, TONES.values(), strict=True)):
        assert stream_md5(path, "audio", number) == stream_md5(track.film, "audio")
        assert pitch_of(path, number) == pytest.approx(pitch, abs=2)
        first, second = events(path, number)
        assert first[:2] == pytest.approx((0.2 + lead(path), 0.6), abs=2e-3)
        assert second[:2] == pytest.approx((1.0 + lead(path), 0.6), abs=2e-3)
        assert first[2].removesuffix("{\\i0}") == f"Hello in {{\\i1}}{track.language}"
        assert second[2] == f"Two lines &\\Nmore in {track.language}"


def lead(path: Path) -> float:
    """Seconds until the first frame: in Matroska all streams wait for the delay of the encoder of the sound."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return float(frame.time or 0)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_subtitles_are_not_shown_unless_chosen(tracks: list[PackageTrack], tmp_path: Path, kind: PackageKind) -> None:
    with av.open(str(packed(kind, tmp_path, tracks))) as container:
        assert defaults(container.streams.subtitles) == [False, False, False]


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_sound_stays_in_time_with_the_picture(tracks: list[PackageTrack], tmp_path: Path, kind: PackageKind) -> None:
    def starts(path: Path) -> tuple[float, float]:
        with av.open(str(path)) as container:
            video, audio = (
                min(float(p.pts * p.time_base) for p in container.demux(stream) if p.pts is not None)
                for stream in (container.streams.video[0], container.streams.audio[0])
                if container.seek(0) is None
            )
            return video, audio

    video, sound = starts(tracks[0].film)
    packed_video, packed_sound = starts(packed(kind, tmp_path, tracks))
    assert packed_sound - packed_video == pytest.approx(sound - video, abs=1e-3)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_the_same_films_give_the_same_bytes(tracks: list[PackageTrack], tmp_path: Path, kind: PackageKind) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    one.mkdir()
    two.mkdir()
    assert packed(kind, one, tracks).read_bytes() == packed(kind, two, tracks).read_bytes()


def test_one_film_and_one_without_sound(tracks: list[PackageTrack], tmp_path: Path) -> None:
    silent = write_picture(tmp_path / "silent.mp4", 25)
    with av.open(
        str(packed("mp4", tmp_path, [PackageTrack(silent, "und", "Unknown language", default=True)]))
    ) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    track = replace(tracks[0], language="und", name="Unknown language", default=True, subtitles=None)
    path = packed("mkv", tmp_path, [track])
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert titles(container.streams.audio) == ["Unknown language"]
    assert b"\x22\xb5\x9c\x83und" in path.read_bytes()  # a track without this element is in English


def test_mp3_is_copied(tracks: list[PackageTrack], tmp_path: Path) -> None:
    film = write_film(tmp_path / "mp3.mp4", tracks[0].film.with_name("picture.mp4"), codec="libmp3lame")
    for kind in ("mp4", "mkv"):
        path = packed(kind, tmp_path, [replace(tracks[0], film=film)])  # type: ignore[arg-type]
        assert stream_md5(path, "audio") == stream_md5(film, "audio")
