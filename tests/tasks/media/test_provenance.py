"""Metadata of written videos: run, job, language, and that the video is AI-generated."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av

from tasks.media import (
    AudioSource,
    VideoMetadata,
    decode,
    encode,
)
from tests.clips import (
    HEIGHT,
    WIDTH,
    beep,
    make_clip,
    numbered,
)

SIZE = (WIDTH, HEIGHT)
RATE = Fraction(25)


def test_metadata_names_run_and_job_and_says_ai_generated(tmp_path: Path) -> None:
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


def test_xmp_marks_the_video_as_ai_generated(tmp_path: Path) -> None:
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
