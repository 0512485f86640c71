"""Sound of written videos: its length, and the picture and its sound staying together."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.media import (
    AudioSource,
    VideoEncoder,
    decode,
    encode,
    probe,
)
from tests.clips import (
    HEIGHT,
    SAMPLE_RATE,
    WIDTH,
    beep,
    beep_time,
    flash,
    flash_time,
    make,
    make_clip,
    numbered,
    sound_of,
    write_wave,
)
from troupe.errors import InputError, UnreadableMedia

SIZE = (WIDTH, HEIGHT)
RATE = Fraction(25)
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
SYNC_SECONDS = 0.02


class TestSound:
    @pytest.mark.parametrize("rate", [FILM, RATE, NTSC, Fraction(2037, 100)], ids=str)
    @pytest.mark.parametrize("sound_seconds", [0.5, 2.0, 9.0])
    def test_as_long_as_the_picture(self, tmp_path: Path, rate: Fraction, sound_seconds: float) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(50), rate, sound=beep(sound_seconds, 0.2))
        path = tmp_path / "out.mp4"
        info = encode(decode(clip), path, rate=rate, size=SIZE, audio=AudioSource(clip))
        assert info.audio
        # Longer sound is copied up to its last packet; shorter sound is padded with silence.
        assert info.audio_seconds == pytest.approx(50 / rate, abs=0.024 if sound_seconds > 50 / rate else 1e-3)
        samples, begin, sample_rate = sound_of(path)
        assert begin == pytest.approx(0, abs=1e-3)
        assert 50 / rate <= len(samples) / sample_rate + 1e-3 < 50 / rate + 0.03

    def test_a_silent_source_makes_a_silent_video(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(10))
        info = encode(decode(clip), tmp_path / "out.mp4", rate=RATE, size=SIZE, audio=AudioSource(clip))
        assert not info.audio

    @pytest.mark.parametrize(
        ("suffix", "offset", "rate"),
        [
            ("mp4", 0.0, FILM),
            ("mp4", 0.0, Fraction(24)),
            ("mp4", 0.0, RATE),
            ("mp4", 0.0, NTSC),
            ("mp4", 0.0, Fraction(60000, 1001)),
            ("mp4", 0.35, NTSC),
            ("mov", 0.1, FILM),
            ("mkv", 0.0, FILM),
            ("mkv", 0.35, NTSC),
            ("mkv", -0.25, RATE),
            ("ts", 0.0, RATE),
            ("ts", 0.35, NTSC),
            ("ts", -0.25, FILM),
        ],
    )
    def test_flash_and_beep_stay_together(self, tmp_path: Path, suffix: str, offset: float, rate: Fraction) -> None:
        # Two seconds, and the moment is near the end, where drift would show.
        count, at = round(2 * rate), round(1.6 * rate)
        clip = make_clip(
            tmp_path / f"clip.{suffix}",
            flash(count, at),
            rate,
            sound=beep(2.5, float(at / rate) - offset),
            sound_offset=offset,
        )
        assert beep_time(clip) - flash_time(clip) == pytest.approx(0, abs=0.005)
        path = tmp_path / "out.mp4"
        encode(decode(clip), path, rate=probe(clip).rate, size=SIZE, audio=AudioSource(clip))
        assert flash_time(path) == pytest.approx(float(at / rate), abs=1e-3)
        assert beep_time(path) == pytest.approx(flash_time(path), abs=0.005)

    def test_sound_that_the_source_has_late_stays_late(self, tmp_path: Path) -> None:
        """The encoder keeps what the source has, it does not mend it."""
        clip = make_clip(tmp_path / "clip.mp4", flash(50, 25), sound=beep(2, 1.2))
        path = tmp_path / "out.mp4"
        encode(decode(clip), path, rate=RATE, size=SIZE, audio=AudioSource(clip))
        assert beep_time(path) - flash_time(path) == pytest.approx(0.2, abs=0.005)

    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
    @pytest.mark.parametrize(("start", "end"), [(0.5, None), (0.51, None), (0.5, 1.5), (0.77, 1.43)])
    def test_cuts_stay_together(self, tmp_path: Path, suffix: str, start: float, end: float | None) -> None:
        at = 36
        clip = make_clip(tmp_path / f"clip.{suffix}", flash(60, at), NTSC, sound=beep(2, float(at / NTSC)))
        path = tmp_path / "out.mp4"
        audio = AudioSource(clip, start, end)
        info = encode(decode(clip, start, end), path, rate=NTSC, size=SIZE, audio=audio)
        assert info.audio_seconds == pytest.approx(info.seconds, abs=1e-3)
        assert beep_time(path) == pytest.approx(flash_time(path), abs=0.005)

    def test_variable_rate_keeps_sound_within_limits(self, tmp_path: Path) -> None:
        at = 30
        steady = make_clip(tmp_path / "steady.mp4", flash(60, at))
        write_wave(tmp_path / "beep.wav", beep(2.4, at / 25))
        timing = ("-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000")
        jitter = ("-filter_complex", "[0:v]setpts='(N+0.4*mod(N,2))/25/TB'[v]", "-map", "[v]", "-map", "1:a")
        clip = make(tmp_path / "vfr.mp4", "-i", str(steady), "-i", str(tmp_path / "beep.wav"), *jitter, *timing)
        path = tmp_path / "out.mp4"
        info = encode(decode(clip), path, rate=probe(clip).rate, size=SIZE, audio=AudioSource(clip))
        assert info.frames == 60
        assert beep_time(path) == pytest.approx(flash_time(path), abs=SYNC_SECONDS)

    def test_a_hole_in_the_sound_is_silence(self, tmp_path: Path) -> None:
        write_wave(tmp_path / "beep.wav", beep(2, 1.6))
        hole = "[1:a]aselect='not(between(t,0.5,1.0))'[a]"
        steady = make_clip(tmp_path / "steady.mp4", flash(50, 40))
        clip = make(
            *(tmp_path / "clip.mkv", "-i", str(steady), "-i", str(tmp_path / "beep.wav")),
            *("-filter_complex", hole, "-map", "0:v", "-map", "[a]", "-c:v", "copy", "-c:a", "pcm_s16le"),
        )
        path = tmp_path / "out.mp4"
        encode(decode(clip), path, rate=RATE, size=SIZE, audio=AudioSource(clip))
        assert beep_time(path) == pytest.approx(flash_time(path), abs=SYNC_SECONDS)

    def test_no_sound_in_the_cut_is_silence(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(50), sound=beep(0.5, 0.1))
        path = tmp_path / "out.mp4"
        info = encode(decode(clip, 1.0), path, rate=RATE, size=SIZE, audio=AudioSource(clip, 1.0))
        assert info.audio
        assert np.abs(sound_of(path)[0]).max() < 0.01

    def test_another_file_of_sound(self, tmp_path: Path) -> None:
        write_wave(tmp_path / "voice.wav", beep(3, 1.5))
        path = tmp_path / "out.mp4"
        encode(flash(50, 12), path, rate=RATE, size=SIZE, audio=AudioSource(tmp_path / "voice.wav", 1.02, 2.5))
        assert beep_time(path) == pytest.approx(flash_time(path), abs=0.005)
        samples, _, rate = sound_of(path)
        assert rate == SAMPLE_RATE
        assert len(samples) / rate == pytest.approx(2, abs=0.03)

    @pytest.mark.parametrize("codec", [("-c:a", "libmp3lame"), ("-c:a", "aac"), ("-c:a", "flac"), ("-c:a", "libopus")])
    def test_sound_codecs(self, tmp_path: Path, codec: tuple[str, str]) -> None:
        clip = make_clip(tmp_path / "clip.mkv", flash(50, 40), RATE, *codec, sound=beep(2, 1.6))
        path = tmp_path / "out.mp4"
        encode(decode(clip), path, rate=RATE, size=SIZE, audio=AudioSource(clip))
        assert beep_time(path) == pytest.approx(flash_time(path), abs=SYNC_SECONDS)

    @pytest.mark.parametrize(
        ("suffix", "codec", "start", "copied"),
        [
            ("mp4", "aac", 0.0, True),
            ("mkv", "aac", 0.0, True),
            ("mkv", "libmp3lame", 0.0, True),
            ("mkv", "libopus", 0.0, False),
            ("mov", "pcm_s16le", 0.0, False),
            ("mp4", "aac", 0.4, False),
        ],
    )
    def test_sound_is_copied_where_it_can_be(
        self, tmp_path: Path, suffix: str, codec: str, start: float, copied: bool
    ) -> None:
        clip = make_clip(tmp_path / f"clip.{suffix}", flash(50, 40), RATE, "-c:a", codec, sound=beep(2.1, 1.6))
        path = tmp_path / "out.mp4"
        encode(decode(clip, start), path, rate=RATE, size=SIZE, audio=AudioSource(clip, start))

        def packets(file: Path) -> list[bytes]:
            with av.open(str(file)) as container:
                return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

        before, after = packets(clip), packets(path)
        assert (after == before[: len(after)]) == copied
        assert beep_time(path) == pytest.approx(flash_time(path), abs=SYNC_SECONDS)

    def test_damaged_sound_of_a_whole_picture_is_none(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mkv", numbered(10), RATE, "-c:a", "libvorbis", sound=beep(0.4, 0.1))
        content = bytearray(clip.read_bytes())
        setup = content.index(b"vorbis")
        content[setup : setup + 200] = bytes(200)
        clip.write_bytes(content)
        path = tmp_path / "out.mp4"
        assert not encode(decode(clip), path, rate=RATE, size=SIZE, audio=AudioSource(clip)).audio

    def test_unusable_sound_is_reported_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "voice.mp3").write_bytes(b"no sound")
        with pytest.raises(UnreadableMedia, match=r"voice\.mp3"):
            VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE, audio=AudioSource(tmp_path / "voice.mp3"))
        clip = make_clip(tmp_path / "clip.mp4", numbered(10), sound=beep(0.4, 0.1))
        with pytest.raises(InputError, match="no frame from 5 s"):
            VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE, audio=AudioSource(clip, 5.0))
