"""Still images, video and audio: the only package that runs ffmpeg.

`ffmpeg_process` runs the child process, `decoder` reads clips, `encoder` and `mux` write videos, `stills` reads and
writes single images. Reading never follows references: only local files in the listed formats are opened, playlists
and scripts are refused.
"""

from tasks.media.audio import AudioSource, AudioStream, find_audio, sound_of
from tasks.media.decoder import decode, probe, timing_of, verify
from tasks.media.encoder import VideoEncoder, encode
from tasks.media.ffmpeg_process import ffmpeg_binary
from tasks.media.input_formats import clip_notes, clip_traits, sound_notes
from tasks.media.limits import Limits, limits
from tasks.media.mux import add_sound, fit_audio
from tasks.media.output_formats import LOSSLESS, PRORES, VideoFormat, h264, master_format
from tasks.media.pictures.stills import picture_notes, picture_traits, read_picture, resized, write_poster
from tasks.media.provenance import AI_GENERATED, VideoMetadata
from tasks.media.timing import Timing
from tasks.media.tracks import TrackList, list_tracks, read_last_time, read_length, sound_problems, track_error

__all__ = [
    "AI_GENERATED",
    "LOSSLESS",
    "PRORES",
    "AudioSource",
    "AudioStream",
    "Limits",
    "Timing",
    "TrackList",
    "VideoEncoder",
    "VideoFormat",
    "VideoMetadata",
    "add_sound",
    "clip_notes",
    "clip_traits",
    "decode",
    "encode",
    "ffmpeg_binary",
    "find_audio",
    "fit_audio",
    "h264",
    "limits",
    "list_tracks",
    "master_format",
    "picture_notes",
    "picture_traits",
    "probe",
    "read_last_time",
    "read_length",
    "read_picture",
    "resized",
    "sound_notes",
    "sound_of",
    "sound_problems",
    "timing_of",
    "track_error",
    "verify",
    "write_poster",
]
