"""Pictures, clips and sound: the only place that runs ffmpeg.

`process` owns the child process; `clips` reads, `encoder` writes, `pictures` is for stills. Reading never follows
what a file points at: only local files of listed formats are opened, playlists and scripts are refused.
"""

from tasks.media.clips import decode, frames_between, probe, verify
from tasks.media.encoder import AI_GENERATED, Encoder, Note, encode
from tasks.media.pictures import MAX_PICTURE_PIXELS, read_picture, write_poster
from tasks.media.process import ffmpeg_binary
from tasks.media.scan import MAX_CLIP_FRAMES, MAX_CLIP_PIXELS, MAX_CLIP_SECONDS
from tasks.media.sound import AudioSource, find_sound

__all__ = [
    "AI_GENERATED",
    "MAX_CLIP_FRAMES",
    "MAX_CLIP_PIXELS",
    "MAX_CLIP_SECONDS",
    "MAX_PICTURE_PIXELS",
    "AudioSource",
    "Encoder",
    "Note",
    "decode",
    "encode",
    "ffmpeg_binary",
    "find_sound",
    "frames_between",
    "probe",
    "read_picture",
    "verify",
    "write_poster",
]
