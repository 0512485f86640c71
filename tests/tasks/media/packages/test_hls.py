"""HLS packages: playlists as m3u8 reads them, and segments as PyAV does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import m3u8
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.media.packages import Package, PackageTrack, write_package
from tasks.media.packages.playlists import Segment, peak_bandwidth
from tasks.media.provenance import VideoMetadata
from tests.films import TONES, pitch_of, stream_md5, write_film, write_picture, write_subtitles

METADATA = VideoMetadata("r1", "welcome")


@pytest.fixture(scope="module")
def long_tracks(tmp_path_factory: pytest.TempPathFactory) -> list[PackageTrack]:
    """Films of 14.2 s, with a keyframe every 2 s, so that there are several segments."""
    folder = tmp_path_factory.mktemp("long")
    picture = write_picture(folder / "picture.mp4", 355, keyframes=50)
    films = {tag: write_film(folder / f"{tag}.mp4", picture, TONES[tag], channels=n + 1) for n, tag in enumerate(TONES)}
    texts = write_subtitles(folder)
    names = ("English", "French", 'Portuguese "(Brazil)"')
    return [
        PackageTrack(film, tag, name, tag == "fr", texts.get(tag))
        for (tag, film), name in zip(films.items(), names, strict=True)
    ]


def packed(folder: Path, tracks: Sequence[PackageTrack]) -> tuple[Package, m3u8.M3U8]:
    package = write_package("hls", folder, tracks, METADATA)
    return package, m3u8.load(str(package.files["master.m3u8"]))


def joined(package: Package, playlist: str, target: Path) -> Path:
    """Join initialisation and segments of a media playlist to a file."""
    loaded = m3u8.load(str(package.files[playlist]))
    names = [loaded.segment_map[0].uri, *(segment.uri for segment in loaded.segments)]
    folder = package.files[playlist].parent
    target.write_bytes(b"".join((folder / name).read_bytes() for name in names))
    return target


def test_playlists(long_tracks: list[PackageTrack], tmp_path: Path) -> None:
    package, playlist = packed(tmp_path, long_tracks)
    assert list(package.files)[-1] == "master.m3u8"
    assert package.notes == []
    assert playlist.is_independent_segments
    (variant,) = playlist.playlists
    stream = variant.stream_info
    assert (stream.resolution, stream.frame_rate, stream.video_range) == ((64, 64), 25.0, "SDR")
    assert stream.codecs.split(",")[1:] == ["mp4a.40.2"]
    with av.open(str(long_tracks[0].film)) as container:
        context = container.streams.video[0].codec_context
        assert stream.codecs.startswith(f"avc1.{(context.extradata or b'')[1:4].hex()}")
    assert (stream.closed_captions, stream.audio, stream.subtitles) == ("NONE", "audio", "subtitles")
    media = [(m.type, m.group_id, m.language, m.name, m.default, m.autoselect, m.channels) for m in playlist.media]
    names = ["English", "French", "Portuguese '(Brazil)'"]
    assert media == [
        ("AUDIO", "audio", tag, name, "YES" if tag == "fr" else "NO", "YES", str(n + 1))
        for n, (tag, name) in enumerate(zip(TONES, names, strict=True))
    ] + [("SUBTITLES", "subtitles", tag, name, "NO", "YES", None) for tag, name in zip(TONES, names, strict=True)]
    # The bandwidth is that of the whole presentation, by RFC 8216.
    parts = [variant.uri, *(m.uri for m in playlist.media if m.type == "AUDIO")]
    sizes = [sum(p.stat().st_size for p in package.files[uri].parent.glob("*.m4s")) for uri in parts]
    assert stream.average_bandwidth == pytest.approx(8 * (sizes[0] + max(sizes[1:])) / 14.2, rel=0.01)
    assert stream.bandwidth >= stream.average_bandwidth


def test_media_playlists(long_tracks: list[PackageTrack], tmp_path: Path) -> None:
    package, playlist = packed(tmp_path, long_tracks)
    targets = set()
    for uri in (playlist.playlists[0].uri, *(m.uri for m in playlist.media)):
        media = m3u8.load(str(package.files[uri]))
        assert (media.playlist_type, media.is_endlist) == ("vod", True)
        assert sum(segment.duration for segment in media.segments) == pytest.approx(14.2, abs=0.05)
        assert all(round(segment.duration) <= media.target_duration for segment in media.segments)
        if "subtitles" not in uri:
            targets.add(media.target_duration)
            lengths = [6, 6, 2.2] if "video" in uri else [4.77, 4.77, 4.68]
            assert [segment.duration for segment in media.segments] == pytest.approx(lengths, abs=0.05)
    assert len(targets) == 1  # RFC 8216, 6.2.4
    listed = {uri.rpartition("/")[0] for uri in package.files}
    assert listed == {"", "video", *(f"{kind}-{tag}" for kind in ("audio", "subtitles") for tag in TONES)}


def test_every_stream_is_copied(long_tracks: list[PackageTrack], tmp_path: Path) -> None:
    package, _ = packed(tmp_path, long_tracks)
    video = joined(package, "video/playlist.m3u8", tmp_path / "video.mp4")
    assert stream_md5(video, "video") == stream_md5(long_tracks[0].film, "video")
    for track in long_tracks:
        sound = joined(package, f"audio-{track.language}/playlist.m3u8", tmp_path / "sound.mp4")
        assert stream_md5(sound, "audio") == stream_md5(track.film, "audio")
        assert pitch_of(sound) == pytest.approx(TONES[track.language], abs=2)
        assert track.subtitles is not None
        assert package.files[f"subtitles-{track.language}/subtitles.vtt"].read_bytes() == track.subtitles.read_bytes()
    with av.open(str(video)) as file, av.open(str(long_tracks[0].film)) as film:
        assert [(p.pts, p.dts) for p in file.demux(video=0)] == [(p.pts, p.dts) for p in film.demux(video=0)]
        assert b"AI-generated" in package.files["master.m3u8"].read_bytes()


def test_every_segment_of_the_picture_starts_with_a_keyframe(long_tracks: list[PackageTrack], tmp_path: Path) -> None:
    package, _ = packed(tmp_path, long_tracks)
    first = package.files["video/init.mp4"].read_bytes()
    for name in ("00000", "00001", "00002"):
        alone = tmp_path / f"{name}.mp4"
        alone.write_bytes(first + package.files[f"video/{name}.m4s"].read_bytes())
        with av.open(str(alone)) as container:
            assert next(container.demux(video=0)).is_keyframe


def test_sound_that_hls_cannot_hold_is_converted(tracks: list[PackageTrack], tmp_path: Path) -> None:
    film = write_film(tmp_path / "mp3.mp4", tracks[0].film.with_name("picture.mp4"), 700, codec="libmp3lame")
    package, playlist = packed(tmp_path, [replace(tracks[0], film=film), tracks[1]])
    assert package.notes == ["sound of English: mp3 was converted to AAC, which HLS players need"]
    assert playlist.playlists[0].stream_info.codecs.endswith(",mp4a.40.2")
    sound = joined(package, "audio-en/playlist.m3u8", tmp_path / "sound.mp4")
    assert pitch_of(sound) == pytest.approx(700, abs=2)


def test_tracks_of_the_same_language(tracks: list[PackageTrack], tmp_path: Path) -> None:
    again = [replace(tracks[n], language="fr", name=f"French ({n})", default=n == 1) for n in range(3)]
    package, playlist = packed(tmp_path, [*again, replace(tracks[0], language="und", name="Unknown language")])
    folders = [uri.partition("/")[0] for uri in package.files if uri.endswith("init.mp4")]
    assert folders == ["audio-fr", "audio-fr_2", "audio-fr_3", "audio-und", "video"]
    audio = [m for m in playlist.media if m.type == "AUDIO"]
    assert len({m.name for m in audio}) == 4
    assert [m.default for m in audio] == ["NO", "YES", "NO", "NO"]
    # Players choose by language among these alone.
    assert [m.autoselect for m in audio] == ["YES", "YES", "NO", "YES"]


def test_subtitles_in_another_language_than_the_sound(tracks: list[PackageTrack], tmp_path: Path) -> None:
    translated = [replace(tracks[0], subtitles_language=tag, subtitles_name=tag.upper()) for tag in ("de", "ja")]
    package, playlist = packed(tmp_path, translated)
    texts = [(m.language, m.name, m.autoselect, m.uri) for m in playlist.media if m.type == "SUBTITLES"]
    assert texts == [
        ("de", "DE", "YES", "subtitles-de/playlist.m3u8"),
        ("ja", "JA", "YES", "subtitles-ja/playlist.m3u8"),
    ]
    assert "subtitles-ja/subtitles.vtt" in package.files
    path = write_package("mp4", tmp_path, translated, METADATA).files[""]
    with av.open(str(path)) as container:
        assert [stream.language for stream in container.streams.subtitles] == ["deu", "jpn"]


def test_one_film_without_sound(tmp_path: Path) -> None:
    silent = write_picture(tmp_path / "silent.mp4", 25)
    _, playlist = packed(tmp_path, [PackageTrack(silent, "und", "Unknown language", default=True)])
    assert (playlist.media, playlist.playlists[0].stream_info.audio) == ([], None)


def test_the_same_films_give_the_same_bytes(tracks: list[PackageTrack], tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        package, _ = packed(tmp_path / name, tracks)
        found.append({uri: path.read_bytes() for uri, path in package.files.items()})
    assert found[0] == found[1]


@given(st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 10**7)), min_size=1, max_size=8))
def test_peak_bandwidth(sizes: list[tuple[float, int]]) -> None:
    segments = [Segment("", seconds, size) for seconds, size in sizes]
    target = max(math.ceil(max(seconds for seconds, _ in sizes)), 1)
    peak = peak_bandwidth(segments, target)
    ends = range(len(sizes) + 1)
    for first, last in [(a, b) for a in ends for b in ends if a < b]:
        seconds = sum(s.seconds for s in segments[first:last])
        if target / 2 <= seconds <= 1.5 * target:
            assert peak >= 8 * sum(s.bytes for s in segments[first:last]) / seconds
    assert peak >= 0
    assert all(a <= b for a, b in pairwise([0, peak]))


@pytest.mark.parametrize("frames", [25, 150, 300])
def test_no_sound_begins_after_the_end_of_the_picture(tmp_path: Path, frames: int) -> None:
    film = write_film(tmp_path / "film.mp4", write_picture(tmp_path / "picture.mp4", frames))
    package, _ = packed(tmp_path, [PackageTrack(film, "en", "English", default=True)])
    media = m3u8.load(str(package.files["audio-en/playlist.m3u8"]))
    assert sum(segment.duration for segment in media.segments[:-1]) < frames / 25 - 0.5
