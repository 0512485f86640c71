"""Digests of encoded streams, which show whether a stream was copied bit by bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av

from tasks.media.input_formats import CLIP_FORMATS, open_container

__all__ = ["StreamDigest", "packets_digest", "stream_digests"]


@dataclass(frozen=True)
class StreamDigest:
    """What is encoded in a stream.

    Attributes:
        codec: ffmpeg's name of the codec.
        sha256: SHA-256 of its packets, hex.
    """

    codec: str
    sha256: str


def packets_digest(packets: Iterable[av.Packet[Any]]) -> str:
    """Return the SHA-256 of packets, hex."""
    digest = hashlib.sha256()
    for packet in packets:
        digest.update(packet)
    return digest.hexdigest()


def stream_digests(path: Path, kind: Literal["video", "audio"]) -> list[StreamDigest]:
    """Return the digests of all streams of a kind, in their order.

    Raises:
        UnreadableMedia: the file cannot be opened.
    """
    digests: list[StreamDigest] = []
    with open_container(path, CLIP_FORMATS) as container:
        streams = container.streams.video if kind == "video" else container.streams.audio
        hashes = {stream.index: hashlib.sha256() for stream in streams}
        for packet in container.demux(*streams) if streams else ():
            if packet.size:  # the empty ones at the end are of no stream
                hashes[packet.stream_index].update(packet)
        digests += [StreamDigest(s.codec_context.codec.canonical_name, hashes[s.index].hexdigest()) for s in streams]
    return digests
