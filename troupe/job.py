"""A job: one row of the jobs file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from troupe.faces import LARGEST, FaceChoice

__all__ = [
    "BLENDS",
    "CROPS",
    "FITS",
    "GAPS",
    "LABELS",
    "LIPS",
    "LOUDNESS",
    "MASTERS",
    "SIZE",
    "WATERMARKS",
    "Job",
    "fitted_size",
    "valid_size",
]

GAPS = ("hold", "cut", "fail")
CROPS = ("first", "follow")
BLENDS = ("seamless", "reference")
MASTERS = ("none", "lossless", "prores")
FITS = ("strict", "cut", "hold", "bounce", "stretch", "stretch+bounce")
"""What is done where sound and picture differ in length; see `tasks.media.fit`."""
LABELS = ("none", "ai-generated", "ai-modified")
"""Labels whose text depends on the language; others are texts."""
LIPS = ("driving", "sound")
WATERMARKS = ("on", "off", "required")
LOUDNESS = (-40.0, -8.0)
"""Lowest and highest loudness that sound is normalised to, in LUFS."""
SIZE = "2160p"
"""Default size: what players of H.264 decode at 60 frames per second (level 5.2)."""
_NAMED = {"1080p": (1920, 1080), "2160p": (3840, 2160)}
_PIXELS = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Job:
    """A portrait, a driving clip, and how to animate the portrait by the clip.

    Attributes:
        job_id: unique in its run: letters and digits of any script, `.`, `_`, `-`, at most 128 bytes.
        portrait, driving: URIs of the portrait and of the driving clip.
        identity: label of the person shown; empty if not set.
        face, driving_face: choice of the face in the portrait and in the clip's first frame.
        tracks: URI of an existing track (Parquet or JSON) that replaces detection in the clip.
        start, end: part of the clip, in seconds; `end` None is the clip's end.
        audio: `driving`, `none` or a URI.
        language: language of the speech, BCP 47; empty if unknown.
        output: `full` (pasted back into the portrait), `crop` or `both`.
        fps: frames per second to resample the clip to; None keeps its frames and their times.
        gaps: action where the face is missing for long, or another scene starts: `hold` the last motion, `cut` the
            render into shots, `fail`.
        crop: framing of the clip's crops: `first` (the released geometry) or `follow` (moving with the driver).
        blend: method to paste the animated crop back: `seamless`, or `reference` (the released linear blend).
        quality: x264's constant rate factor of the videos; 0 is lossless, lower is better.
        master: additional file for editing: `none`, `lossless` or `prores`.
        preset: name of the sampler settings.
        seed: seed of the initial noise.
        consent: reference to the permission to use the likeness.
        tags: free-form labels.
        audio_track, video_track: choice of a track in a file with several: `index:N`, from 0, or `language:TAG`; empty
            for the one that the file marks as default, else the first.
        fit: what is done where the file in `audio` and the picture differ in length; see `tasks.media.fit.policy`.
        stretch_limit: largest change of the motion's length by `stretch`, as a share of it.
        loudness: integrated loudness to normalise the sound to, in LUFS; None leaves the sound as it is.
        subtitles: URI of an SRT or WebVTT file with times of the clip; empty for none.
        subtitles_language: language of the subtitles, BCP 47; empty if it is `language`.
        subtitles_burn: whether subtitles are drawn into the picture, instead of a track that viewers can switch off.
        size: largest size of the full video; see `fitted_size`. Larger portraits are scaled down.
        label: text in the upper right corner of every frame: `none`, `ai-generated` or `ai-modified` in the film's
            language, or any other text as it is.
        watermark: whether an invisible watermark is embedded: `on`, `off`, or `required`, which does not reuse films
            that versions without watermarks made.
        lips: what the mouth follows: `driving`, the driving clip, or `sound`, the sound in `audio`.
        replaces: key of the rejected film that this one is to replace, column `render_key`; empty for none.
    """

    job_id: str
    portrait: str
    driving: str
    identity: str = ""
    face: FaceChoice = LARGEST
    driving_face: FaceChoice = LARGEST
    tracks: str = ""
    start: float = 0.0
    end: float | None = None
    audio: str = "driving"
    language: str = ""
    output: str = "full"
    fps: Fraction | None = None
    gaps: str = "hold"
    crop: str = "first"
    blend: str = "seamless"
    quality: int = 18
    master: str = "none"
    preset: str = "exact"
    seed: int = 0
    consent: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    audio_track: str = ""
    video_track: str = ""
    size: str = SIZE
    fit: str = "strict"
    stretch_limit: float = 0.15
    loudness: float | None = None
    subtitles: str = ""
    subtitles_language: str = ""
    subtitles_burn: bool = False
    label: str = "none"
    watermark: str = "on"
    lips: str = "driving"
    replaces: str = ""


def valid_size(text: str) -> bool:
    """Whether the text is `source`, `1080p`, `2160p` or `WxH`, in pixels."""
    return text == "source" or text in _NAMED or _PIXELS.fullmatch(text) is not None


def fitted_size(text: str, width: int, height: int) -> tuple[int, int]:
    """Return the width and height of a picture within a size; pictures are never enlarged.

    Args:
        text: `source` for any; `1080p` and `2160p` for the longer and the shorter side, whichever is the width; `WxH`
            for width and height.
    """
    if text == "source":
        return width, height
    if (pixels := _PIXELS.fullmatch(text)) is not None:
        limits = int(pixels[1]), int(pixels[2])
    else:
        limits = _NAMED[text] if width >= height else (_NAMED[text][1], _NAMED[text][0])
    scale = min(limits[0] / width, limits[1] / height, 1.0)
    return max(round(width * scale), 2), max(round(height * scale), 2)
