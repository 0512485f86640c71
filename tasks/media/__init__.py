"""Pictures, clips and sound: the only place that runs ffmpeg.

`process` owns the child process; `clips` reads, `encoder` writes, `pictures` is for stills. Reading never follows
what a file points at: only local files of listed formats are opened, playlists and scripts are refused.
"""

from tasks.media.clips import decode, probe, timing_of, verify
from tasks.media.encoder import Encoder, Note, encode
from tasks.media.limits import Limits, limits
from tasks.media.output_formats import LOSSLESS, PRORES, Form, h264, master
from tasks.media.pictures import read_picture, write_poster
from tasks.media.process import ffmpeg_binary
from tasks.media.provenance import AI_GENERATED
from tasks.media.sound import AudioSource, find_sound
from tasks.media.timing import Timing

__all__ = [
    "AI_GENERATED",
    "LOSSLESS",
    "PRORES",
    "AudioSource",
    "Encoder",
    "Form",
    "Limits",
    "Note",
    "Timing",
    "decode",
    "encode",
    "ffmpeg_binary",
    "find_sound",
    "h264",
    "limits",
    "master",
    "probe",
    "read_picture",
    "timing_of",
    "verify",
    "write_poster",
]
