"""Pictures, clips and sound: the only place that runs ffmpeg.

`process` owns the child process; `clips` reads, `encoder` writes, `pictures` is for stills. Reading never follows
what a file points at: only local files of listed formats are opened, playlists and scripts are refused.
"""

from tasks.media.audio import AudioSource, find_audio
from tasks.media.decoder import decode, probe, timing_of, verify
from tasks.media.encoder import VideoEncoder, VideoMetadata, encode
from tasks.media.ffmpeg_process import ffmpeg_binary
from tasks.media.limits import Limits, limits
from tasks.media.output_formats import LOSSLESS, PRORES, VideoFormat, h264, master
from tasks.media.provenance import AI_GENERATED
from tasks.media.stills import read_picture, write_poster
from tasks.media.timing import Timing

__all__ = [
    "AI_GENERATED",
    "LOSSLESS",
    "PRORES",
    "AudioSource",
    "Limits",
    "Timing",
    "VideoEncoder",
    "VideoFormat",
    "VideoMetadata",
    "decode",
    "encode",
    "ffmpeg_binary",
    "find_audio",
    "h264",
    "limits",
    "master",
    "probe",
    "read_picture",
    "timing_of",
    "verify",
    "write_poster",
]
