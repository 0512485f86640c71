"""Codecs as RFC 6381 names them, for players that decide by it whether they can play a stream."""

from __future__ import annotations

import av

from troupe.errors import FfmpegError

__all__ = ["rfc_6381"]


def rfc_6381(stream: av.video.stream.VideoStream | av.audio.stream.AudioStream) -> str:
    """Return the codec of a stream of an MP4 file: `avc1.64001f` for H.264, `mp4a.40.2` for AAC.

    Raises:
        FfmpegError: it is another codec.
    """
    context = stream.codec_context
    data = bytes(context.extradata or b"")
    if context.name == "h264" and len(data) >= 4 and data[0] == 1:
        return f"avc1.{data[1:4].hex()}"  # profile, constraints and level, of the AVCDecoderConfigurationRecord
    if context.name == "aac" and len(data) >= 2:
        kind = data[0] >> 3  # of the AudioSpecificConfig
        if kind == 31:
            kind = 32 + (int.from_bytes(data[:2], "big") >> 5 & 0x3F)
        return f"mp4a.40.{kind}"
    raise FfmpegError(f"a stream of {context.name} cannot be named for HLS")
