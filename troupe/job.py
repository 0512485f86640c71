"""A job: one row of the jobs file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from troupe.faces import LARGEST, FaceChoice

__all__ = ["BLENDS", "CROPS", "FITS", "GAPS", "MASTERS", "Job"]

GAPS = ("hold", "cut", "fail")
CROPS = ("first", "follow")
BLENDS = ("seamless", "reference")
MASTERS = ("none", "lossless", "prores")
FITS = ("strict", "cut", "hold", "bounce", "stretch", "stretch+bounce")
"""What is done where sound and picture differ in length; see `tasks.media.fit`."""


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
