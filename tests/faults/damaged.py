"""Hundreds of damaged and hostile inputs: each must end in a clear error or a correct video.

`python -m tests.faults.damaged` makes the corpus from a seed, puts every input through what a job does with it
(a clip: scan, decode, encode with its sound, verify; a picture: read), each in a separate process under limits of
time and memory, and counts the outcomes. Wrong are: anything but an `InputError` or a right result; an input that
plain ffmpeg or Pillow reads and we refuse without naming a limit; a request to the loopback server, or bytes of the
local file, that playlists point at. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from bench.support.machine import peak_memory, resident
from tasks import media
from tests.clips import beep, make_clip, numbered
from troupe.errors import InputError, TooLarge
from troupe.process.scratch import scratch_folder

__all__ = ["Case", "Outcome", "corpus", "main", "run_case"]

SECONDS = 60.0
MEMORY = 2 * 10**9
"""Bytes that an input may take, in our process and in ffmpeg's, each."""
CLIPS: dict[str, tuple[str, ...]] = {
    "mp4": ("-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart", "-g", "10"),
    "mkv": ("-c:v", "libx264", "-preset", "ultrafast"),
    "webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-b:v", "1M", "-c:a", "libopus"),
    "ts": ("-c:v", "mpeg2video", "-q:v", "2"),
    "avi": ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"),
    "mov": ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
    "gif": ("-c:v", "gif", "-pix_fmt", "rgb8", "-an"),
    "webp": ("-c:v", "libwebp_anim", "-lossless", "1", "-pix_fmt", "bgra", "-an"),
}
PICTURES = ("png", "jpg", "webp", "tiff", "bmp", "gif", "avif")


@dataclass(frozen=True)
class Case:
    """An input.

    Attributes:
        name: says how it was made.
        path: the file.
        picture: whether it is meant as a portrait.
        refused: whether nothing in it may be read, whatever other programs do with it.
    """

    name: str
    path: Path
    picture: bool = False
    refused: bool = False


@dataclass(frozen=True)
class Outcome:
    """Result of a case.

    Attributes:
        kind: `rendered`, the `kind` of an `InputError`, or what is wrong.
        detail: the message.
        seconds, memory: that it took.
    """

    kind: str
    detail: str
    seconds: float = 0.0
    memory: int = 0


def corpus(folder: Path, seed: int, damaged: int, server: int) -> Iterator[Case]:
    """Yield the damaged files, then the hostile ones.

    Args:
        server: port of a loopback server that must not receive requests.
    """
    choose = random.Random(seed)
    originals = list(_originals(folder))
    for number in range(damaged):
        source, picture = originals[number % len(originals)]
        whole = source.read_bytes()
        how, data = _damage(whole, choose, number)
        path = folder / f"{number:04}{source.suffix}"
        path.write_bytes(data)
        yield Case(f"{source.name} {how}", path, picture)
    yield from _hostile(folder, server)


def _originals(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Whole files to damage: generated ones, and real ones where there are any."""
    for suffix, options in CLIPS.items():
        clip = folder / f"whole.{suffix}"
        sound = None if "-an" in options else beep(1.2, 0.5)
        yield make_clip(clip, numbered(30), Fraction(25), *options, sound=sound), False
    y, x = np.mgrid[0:90, 0:120]
    picture = Image.fromarray(np.stack([x * 2, y * 2, 255 - x], -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in PICTURES:
        path = folder / f"picture.{suffix}"
        picture.save(path, exif=exif)
        yield path, True
    shared = os.environ.get("TROUPE_SHARED")
    for name in ("d19.mp4", "driving_video.mp4", "s12.jpg", "source_image.png") if shared else ():
        yield Path(str(shared), "media", name), not name.endswith(".mp4")


def _damage(whole: bytes, choose: random.Random, number: int) -> tuple[str, bytes]:
    """Cut off, or with bits, bytes or stretches changed, or both."""
    ways = ("cut", "bits", "bytes", "stretch", "head", "cut and bits")
    how = ways[number // 3 % len(ways)]
    data = bytearray(whole)
    if "cut" in how:
        data = data[: choose.randrange(1, len(data))]
    if "bits" in how or how == "bytes":
        for _ in range(choose.choice([1, 10, 100])):
            place = choose.randrange(len(data))
            data[place] = data[place] ^ (1 << choose.randrange(8)) if "bits" in how else choose.randrange(256)
    if how == "stretch":
        begin = choose.randrange(len(data))
        data[begin : begin + 500] = choose.randbytes(min(500, len(data) - begin))
    if how == "head":
        for _ in range(8):
            data[choose.randrange(min(256, len(data)))] = choose.randrange(256)
    return how, bytes(data)


def _hostile(folder: Path, server: int) -> Iterator[Case]:
    def case(name: str, data: bytes, *, picture: bool = False, refused: bool = True) -> Case:
        path = folder / f"hostile-{name}"
        path.write_bytes(data)
        return Case(name, path, picture, refused)

    target = make_clip(folder / "target.ts", numbered(10))
    for suffix in ("mp4", "png"):
        yield case(f"empty.{suffix}", b"", picture=suffix == "png")
        yield case(f"text.{suffix}", b"This is a text and no picture.\n" * 99, picture=suffix == "png")
        yield case(f"noise.{suffix}", random.Random(1).randbytes(5000), picture=suffix == "png")
        yield case(f"program.{suffix}", b"\x7fELF" + bytes(500), picture=suffix == "png")
    archive = folder / "archive.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(target, "target.ts")
    yield case("zip.mp4", archive.read_bytes())
    yield case("magic-of-mp4.png", b"\x00\x00\x00\x18ftypisom" + bytes(99), picture=True)
    yield case("magic-of-png.mp4", b"\x89PNG\r\n\x1a\n" + bytes(99))
    for side in (50_000, 2**31 - 1):
        yield case(f"bomb-{side}.png", _png(side, side), picture=True)
        yield case(f"bomb-{side}.mp4", _png(side, side))
    yield case("bomb.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\xf0\0\0" + bytes(20))
    yield case("bomb.y4m", b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(999))
    yield Case("a-million-frames.mp4", _claiming(folder, 10**6), refused=False)
    yield case("eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", picture=True)
    yield case("svg.png", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>', picture=True)
    links = (f"file:{target}", str(target), target.name, f"http://127.0.0.1:{server}/clip.ts")
    for number, link in enumerate((*links, f"tcp://127.0.0.1:{server}", f"concat:{target}|{target}")):
        hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + link + "\n#EXT-X-ENDLIST\n"
        mpd = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
            f'bandwidth="1"><BaseURL>{link}</BaseURL></Representation></AdaptationSet></Period></MPD>'
        )
        for suffix in ("mp4", "m3u8"):
            yield case(f"hls-{number}.{suffix}", hls.encode())
        yield case(f"concat-{number}.mp4", f"ffconcat version 1.0\nfile '{link}'\n".encode())
        yield case(f"dash-{number}.mpd", mpd.encode())
        yield case(f"playlist-{number}.png", hls.encode(), picture=True)
    yield case("session.sdp", f"v=0\nc=IN IP4 127.0.0.1\nm=video {server} RTP/AVP 96\n".encode())


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _claiming(folder: Path, frames: int) -> Path:
    """A clip of ten frames whose index says that there are more."""
    path = make_clip(folder / "hostile-million.mp4", numbered(10))
    data = bytearray(path.read_bytes())
    sizes = data.index(b"stsz")
    data[sizes + 12 : sizes + 16] = struct.pack(">I", frames)
    times = data.index(b"stts")
    data[times + 12 : times + 16] = struct.pack(">I", frames)
    path.write_bytes(data)
    return path


def run_case(case: Case, folder: Path) -> Outcome:
    """Process an input in a separate process.

    It is forked from a server that has done nothing: the peak memory of a program that it starts is at least its own.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__spec__.name])
    receiver, sender = context.Pipe(duplex=False)
    started = time.monotonic()
    process = context.Process(target=_put_through, args=(case, folder, sender))
    process.start()
    sender.close()
    try:
        answer = receiver.recv() if receiver.poll(SECONDS) else ("WRONG: too slow", "", 0)
    except EOFError:
        process.join()
        answer = (f"WRONG: the process died with {process.exitcode}", "", 0)
    process.kill()
    process.join()
    kind, detail, memory = answer
    if memory > MEMORY:
        kind = "WRONG: too much memory"
    return Outcome(kind, detail, time.monotonic() - started, memory)


def _put_through(case: Case, folder: Path, sender: multiprocessing.connection.Connection) -> None:
    before = resident()  # what the process that was forked had
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            kind, detail = "rendered", (_read if case.picture else _render)(case.path, Path(scratch))
        except InputError as error:
            kind, detail = error.kind, error.message
            if "\n" in detail or not detail:
                kind = "WRONG: an unclear message"
        except BaseException as error:
            kind, detail = f"WRONG: {type(error).__name__}", str(error)[:500]
        left = [path for path in Path(scratch).iterdir() if path.name != "out.mp4"]
        if left:
            kind = "WRONG: something is left behind"
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    sender.send((kind, detail, max(peak_memory() - before, children)))


def _render(path: Path, scratch: Path) -> str:
    info, timing = media.probe(path), media.timing_of(path)
    small = (min(info.width, 512), min(info.height, 512))
    frames = (frame[: small[1], : small[0]] for frame in media.decode(path))
    made = media.encode(
        frames,
        scratch / "out.mp4",
        rate=timing.rate,
        size=small,
        audio=media.AudioSource(path),
        timing=timing,
    )
    return f"{made.frames} frames"


def _read(path: Path, _scratch: Path) -> str:
    return "x".join(str(side) for side in media.read_picture(path).shape)


def others_read(case: Case) -> bool:
    """Whether plain ffmpeg decodes a frame of it, or Pillow the picture."""
    if case.picture:
        try:
            with warnings.catch_warnings(), Image.open(case.path) as image:
                warnings.simplefilter("ignore")
                image.load()
        except Exception:
            return False
        return True
    plain = ["-nostdin", "-loglevel", "quiet", "-i", f"file:{case.path}", "-frames:v", "1", "-an", "-f", "framecrc"]
    try:
        ran = subprocess.run([media.ffmpeg_binary(), *plain, "-"], capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return any(not line.startswith(b"#") for line in ran.stdout.splitlines())


def judge(case: Case, outcome: Outcome, read: Callable[[Case], bool] = others_read) -> Outcome:
    """The outcome, or what is wrong with it."""
    wrong = ""
    if case.refused and outcome.kind == "rendered":
        wrong = "WRONG: it should have been refused"
    elif outcome.kind not in ("rendered", TooLarge.kind) and not case.refused and not outcome.kind.startswith("WRONG"):
        wrong = "WRONG: others read it" if read(case) else ""
    return Outcome(wrong, outcome.detail, outcome.seconds, outcome.memory) if wrong else outcome


def run(folder: Path, seed: int, damaged: int, only_every: int = 1) -> list[tuple[Case, Outcome]]:
    """Try every damaged input, and every hostile one or, with `only_every`, every n-th."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        cases = list(corpus(folder, seed, damaged, server.getsockname()[1]))
        chosen = [*cases[:damaged], *cases[damaged::only_every]]
        results = [(case, judge(case, run_case(case, folder))) for case in chosen]
        try:
            server.accept()
        except TimeoutError:
            return results
    return [*results, (Case("the loopback server", folder), Outcome("WRONG: it received a request", ""))]


def main() -> None:
    """Run all cases and count their outcomes."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--damaged", type=int, default=200, metavar="N", help="files, beside the hostile ones")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--verbose", action="store_true", help="a line an input")
    chosen = options.parse_args()
    with scratch_folder() as name:
        results = run(Path(name), chosen.seed, chosen.damaged)
    for case, outcome in results:
        if chosen.verbose or outcome.kind.startswith("WRONG"):
            cost = f"{outcome.seconds:5.1f} s {outcome.memory / 1e6:6.0f} MB"
            print(f"{outcome.kind:20} {cost}  {case.name}: {outcome.detail}")
    counts = Counter(outcome.kind for _, outcome in results)
    print(f"{len(results)} inputs: {', '.join(f'{count} {kind}' for kind, count in counts.most_common())}")
    print(
        f"slowest {max(outcome.seconds for _, outcome in results):.1f} s, "
        f"most memory {max(outcome.memory for _, outcome in results) / 1e6:.0f} MB"
    )
    sys.exit(any(outcome.kind.startswith("WRONG") for _, outcome in results))


if __name__ == "__main__":
    main()
