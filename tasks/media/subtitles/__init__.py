"""Subtitles: SRT and WebVTT files, text tracks of videos, and text drawn into pictures."""

from tasks.media.subtitles.burn import burn, burn_problem
from tasks.media.subtitles.cues import Cue, Subtitles, at_frames, cut_subtitles
from tasks.media.subtitles.reader import read_subtitles
from tasks.media.subtitles.track import SubtitleTrack, subtitle_track
from tasks.media.subtitles.writer import write_srt, write_vtt

__all__ = [
    "Cue",
    "SubtitleTrack",
    "Subtitles",
    "at_frames",
    "burn",
    "burn_problem",
    "cut_subtitles",
    "read_subtitles",
    "subtitle_track",
    "write_srt",
    "write_vtt",
]
