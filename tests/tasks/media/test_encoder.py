"""Writing videos: rate, size, colour, length of sound, and the picture and its sound staying together."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest

from tasks.media import (
    LOSSLESS,
    PRORES,
    AudioSource,
    Timing,
    VideoEncoder,
    VideoFormat,
    VideoMetadata,
    decode,
    encode,
    h264,
    output_formats,
    probe,
    timing_of,
)
from tests.tasks.media.samples import (
    HEIGHT,
    SAMPLE_RATE,
    WIDTH,
    beep,
    beep_time,
    children,
    colour_patches,
    counted_by_pyav,
    flash,
    flash_time,
    make,
    make_clip,
    numbered,
    numbers,
    sound_of,
    write_wave,
)
from troupe import Picture
from troupe.errors import FfmpegError, InputError, SettingsError, UnreadableMedia

SIZE = (WIDTH, HEIGHT)
RATE = Fraction(25)
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
SYNC_SECONDS = 0.02


class TestPicture:
    @pytest.mark.parametrize(
        "rate",
        [FILM, RATE, NTSC, Fraction(50), Fraction(60000, 1001), Fraction(1000, 49), Fraction(2037, 100)],
        ids=str,
    )
    def test_rate_and_number_are_exact(self, tmp_path: Path, rate: Fraction) -> None:
        path = tmp_path / "out.mp4"
        info = encode(numbered(50), path, rate=rate, size=SIZE)
        assert info == probe(path)
        assert (info.frames, info.rate, info.width, info.height) == (50, rate, *SIZE)
        assert (info.codec, info.audio) == ("h264", False)
        assert numbers(decode(path)) == list(range(50))
        assert counted_by_pyav(path) == 50
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == rate
            assert not container.streams.audio

    def test_one_frame(self, tmp_path: Path) -> None:
        info = encode(numbered(1), tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert (info.frames, info.rate) == (1, RATE)

    @pytest.mark.parametrize("size", [(65, 49), (64, 49), (65, 48)])
    def test_odd_sides_repeat_their_edge(self, tmp_path: Path, size: tuple[int, int]) -> None:
        width, height = size
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, -8:] = 255
        frame[-8:] = 255
        path = tmp_path / "out.mp4"
        info = encode([frame] * 5, path, rate=RATE, size=size)
        assert (info.width, info.height) == (width + width % 2, height + height % 2)
        decoded = next(decode(path))
        assert np.abs(decoded[:height, :width].astype(int) - frame).mean() < 3
        assert decoded[:, -1].min() > 240
        assert decoded[-1].min() > 240

    def test_colours_come_back_and_are_tagged(self, tmp_path: Path) -> None:
        patches = colour_patches()
        path = tmp_path / "out.mp4"
        encode([patches] * 3, path, rate=RATE, size=SIZE)
        # The middle of each patch: 4:2:0 blurs the borders.
        inside = (slice(4, None, 16), slice(6, None, 16))
        assert np.abs(next(decode(path))[inside].astype(int) - patches[inside]).max() <= 4
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            assert context.pix_fmt == "yuv420p"
            # BT.709 thrice, limited range, as ITU-T H.273 numbers them.
            assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)

    def test_index_comes_first(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        encode(numbered(10), path, rate=RATE, size=SIZE)
        content = path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")

    def test_same_frames_same_bytes(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(30), sound=beep(1.2, 0.5))
        for name in ("a.mp4", "b.mp4"):
            encode(
                decode(clip),
                tmp_path / name,
                rate=RATE,
                size=SIZE,
                audio=AudioSource(clip),
                metadata=VideoMetadata("r", "j"),
            )
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    def test_what_it_says_of_itself(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(10), RATE, "-metadata", "title=secret", sound=beep(0.4, 0.1))
        path = tmp_path / "out.mp4"
        metadata = VideoMetadata(run_id="run-7", job_id="anna", language="de-CH")
        encode(decode(clip), path, rate=RATE, size=SIZE, audio=AudioSource(clip), metadata=metadata)
        with av.open(str(path)) as container:
            comment = container.metadata["comment"]
            assert "AI-generated" in comment
            assert "digitalsourcetype/trainedAlgorithmicMedia" in comment
            assert "run run-7" in comment
            assert "job anna" in comment
            assert "title" not in container.metadata
            assert container.streams.audio[0].language == "deu"

    def test_programs_read_that_it_is_generated(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        encode(numbered(10), path, rate=RATE, size=SIZE, metadata=VideoMetadata(run_id="r", job_id='<&"'))
        content = path.read_bytes()
        packet = content[content.index(b"<x:xmpmeta") : content.index(b"</x:xmpmeta>") + 12]
        (description,) = ElementTree.fromstring(packet).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
        name = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
        assert description.attrib[name].endswith("/digitalsourcetype/trainedAlgorithmicMedia")
        assert 'job <&"' in description.attrib["{http://ns.adobe.com/xap/1.0/}Label"]
        # The box that holds it is the file's last, and as long as it says.
        begin = content.index(bytes.fromhex("be7acfcb97a942e89c71999491e3afac")) - 8
        assert struct.unpack(">I4s", content[begin : begin + 8]) == (len(content) - begin, b"uuid")

    def test_quality(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
        sizes = []
        for quality in (5, 18, 40):
            encode(noise, tmp_path / f"{quality}.mp4", rate=RATE, size=SIZE, video_format=h264(quality))
            sizes.append((tmp_path / f"{quality}.mp4").stat().st_size)
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > 3 * sizes[2]

    @pytest.mark.parametrize(("video_format", "off"), [(LOSSLESS, 0), (PRORES, 3)], ids=["lossless", "prores"])
    def test_masters(self, tmp_path: Path, video_format: VideoFormat, off: int) -> None:
        patches = colour_patches()
        clip = make_clip(tmp_path / "clip.mp4", numbered(10), sound=beep(0.4, 0.2))
        path = tmp_path / f"master{video_format.suffix}"
        info = encode(
            [patches] * 10,
            path,
            rate=NTSC,
            size=SIZE,
            audio=AudioSource(clip),
            video_format=video_format,
            metadata=VideoMetadata("r"),
        )
        assert (info.frames, info.rate, info.audio) == (10, NTSC, True)
        inside = (slice(4, None, 16), slice(6, None, 16))
        assert np.abs(next(decode(path))[inside].astype(int) - patches[inside]).max() <= off
        with av.open(str(path)) as container:
            assert container.streams.audio[0].codec_context.name == "pcm_s16le"
            assert "trainedAlgorithmicMedia" in str({key.lower(): value for key, value in container.metadata.items()})

    def test_a_lossless_master_of_odd_size(self, tmp_path: Path) -> None:
        frame = np.random.default_rng(0).integers(0, 256, (47, 63, 3), dtype=np.uint8)
        path = tmp_path / "master.mkv"
        encode([frame] * 3, path, rate=RATE, size=(63, 47), video_format=LOSSLESS)
        np.testing.assert_array_equal(next(decode(path)), frame)

    def test_the_encoder_is_chosen_by_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(output_formats, "has_nvenc", lambda: False)
        monkeypatch.setenv("TROUPE_ENCODER", "auto")
        assert h264(size=(512, 512)).video_options["vcodec"] == "libx264"
        monkeypatch.setenv("TROUPE_ENCODER", "nvenc")
        with pytest.raises(FfmpegError, match="use auto or x264"):
            h264(size=(512, 512))
        monkeypatch.setattr(output_formats, "has_nvenc", lambda: True)
        assert h264(size=(512, 512)).video_options["vcodec"] == "h264_nvenc"
        assert h264(size=(64, 64)).video_options["vcodec"] == h264(0, (512, 512)).video_options["vcodec"] == "libx264"
        monkeypatch.setenv("TROUPE_ENCODER", "x265")
        with pytest.raises(SettingsError, match="x264, nvenc, auto"):
            h264()

    def test_nvenc_is_not_where_there_is_no_gpu(self) -> None:
        # The other way round it need not hold: GPUs made for computing alone, as the H100, have no encoder.
        assert Path("/dev/nvidia0").exists() or not output_formats.has_nvenc()

    @pytest.mark.parametrize("video_format", [None, LOSSLESS, PRORES], ids=["h264", "lossless", "prores"])
    def test_uneven_times_are_kept(self, tmp_path: Path, video_format: VideoFormat | None) -> None:
        times = np.cumsum([0, 40, 40, 120, 33, 33, 200, 10, 40]) / 1000
        timing = Timing(times, Fraction(15), 0.6, even=False)
        path = tmp_path / f"out{(video_format or h264()).suffix}"
        info = encode(numbered(9), path, rate=timing.rate, size=SIZE, timing=timing, video_format=video_format)
        written = timing_of(path)
        np.testing.assert_allclose(written.times, times, atol=1e-3)
        # Matroska does not say how long the last one is shown.
        assert info.seconds == pytest.approx(0.6, abs=0.1 if video_format is LOSSLESS else 2e-3)
        assert numbers(decode(path)) == list(range(9))

    def test_times_of_other_frames_are_refused(self, tmp_path: Path) -> None:
        timing = Timing(np.array([0, 0.1]), Fraction(10), 0.3, even=False)
        with pytest.raises(ValueError, match="3 frames were written, but timing has 2"):
            encode(numbered(3), tmp_path / "out.mp4", rate=Fraction(10), size=SIZE, timing=timing)
        assert not list(tmp_path.iterdir())

    def test_not_contiguous_frames(self, tmp_path: Path) -> None:
        turned = [np.rot90(frame, 2) for frame in numbered(5)]
        encode(turned, tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert numbers(np.rot90(frame, 2) for frame in decode(tmp_path / "out.mp4")) == list(range(5))

    def test_wrong_frames_are_refused(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ValueError, match=r"\(48, 64, 3\) uint8"),
            VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE) as encoder,
        ):
            encoder.write(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
        assert not list(tmp_path.iterdir())


class TestSound:
    @pytest.mark.parametrize("rate", [FILM, RATE, NTSC, Fraction(2037, 100)], ids=str)
    @pytest.mark.parametrize("sound_seconds", [0.5, 2.0, 9.0])
    def test_as_long_as_the_picture(self, tmp_path: Path, rate: Fraction, sound_seconds: float) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(50), rate, sound=beep(sound_seconds, 0.2))
        path = tmp_path / "out.mp4"
        info = encode(decode(clip), path, rate=rate, size=SIZE, audio=AudioSource(clip))
        assert info.audio
        # Sound that goes on is copied, with its last packet whole; sound that ends earlier is continued by silence.
        assert info.audio_seconds == pytest.approx(50 / rate, abs=0.024 if sound_seconds > 50 / rate else 1e-3)
        samples, begin, sample_rate = sound_of(path)
        assert begin == pytest.approx(0, abs=1e-3)
        assert 50 / rate <= len(samples) / sample_rate + 1e-3 < 50 / rate + 0.03

    def test_none_in_the_source_none_in_the_video(self, tmp_path: Path) -> None:
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


class TestFailure:
    def test_an_error_inside_leaves_nothing(self, tmp_path: Path) -> None:
        def broken() -> Iterator[Picture]:
            yield from numbered(20)
            raise RuntimeError("the network failed")

        before = children()
        with pytest.raises(RuntimeError, match="the network failed"):
            encode(broken(), tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert not list(tmp_path.iterdir())
        assert not children() - before

    def test_an_earlier_file_survives_an_error(self, tmp_path: Path) -> None:
        def interrupted() -> Iterator[Picture]:
            yield from numbered(3)
            raise KeyboardInterrupt

        path = tmp_path / "out.mp4"
        encode(numbered(5), path, rate=RATE, size=SIZE)
        content = path.read_bytes()
        with pytest.raises(KeyboardInterrupt):
            encode(interrupted(), path, rate=RATE, size=SIZE)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]

    def test_no_frames(self, tmp_path: Path) -> None:
        with pytest.raises(FfmpegError, match=r"out\.mp4"):
            encode([], tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert not list(tmp_path.iterdir())

    def test_ffmpeg_killed_midway(self, tmp_path: Path) -> None:
        before = children()

        def killing() -> Iterator[Picture]:
            yield from numbered(10, 320, 240)
            (ffmpeg,) = children() - before
            os.kill(ffmpeg, signal.SIGKILL)
            yield from numbered(100, 320, 240)

        with pytest.raises(FfmpegError):
            encode(killing(), tmp_path / "out.mp4", rate=RATE, size=(320, 240))
        assert not list(tmp_path.iterdir())
        assert not children() - before

    def test_two_from_one_source(self, tmp_path: Path) -> None:
        paths = [tmp_path / "full.mp4", tmp_path / "crop.mp4"]
        with (
            VideoEncoder(paths[0], rate=RATE, size=SIZE) as full,
            VideoEncoder(paths[1], rate=RATE, size=(32, 48)) as crop,
        ):
            for frame in numbered(20):
                full.write(frame)
                crop.write(frame[:, :32])
            assert full.finish().frames == crop.finish().frames == 20
        assert sorted(tmp_path.iterdir()) == sorted(paths)

    def test_finishing_happens_once(self, tmp_path: Path) -> None:
        with VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE) as encoder:
            for frame in numbered(5):
                encoder.write(frame)
            assert encoder.finish() is encoder.finish()
            with pytest.raises(ValueError, match="finished"):
                encoder.write(next(numbered(1)))
        assert probe(tmp_path / "out.mp4").frames == 5

    def test_the_file_is_private_while_it_grows(self, tmp_path: Path) -> None:
        with VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE) as encoder:
            encoder.write(next(numbered(1)))
            (folder,) = tmp_path.iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["d0", "d9", "d19", "driving_video"])
def test_real_clips_through_decode_and_encode(shared: Path, tmp_path: Path, name: str) -> None:
    clip = shared / "media" / f"{name}.mp4"
    source = probe(clip)
    # Half the frames' sides: this is about numbers and sound.
    small = (frame[::2, ::2] for frame in decode(clip))
    size = (-(-source.width // 2), -(-source.height // 2))
    info = encode(small, tmp_path / "out.mp4", rate=source.rate, size=size, audio=AudioSource(clip))
    assert (info.frames, info.rate, info.audio) == (source.frames, source.rate, source.audio)
    if info.audio:
        assert info.audio_seconds == pytest.approx(info.seconds, abs=float(1 / info.rate))
