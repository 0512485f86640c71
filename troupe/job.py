"""One row of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from troupe.faces import LARGEST, FaceChoice

__all__ = ["BLENDS", "CROPS", "GAPS", "MASTERS", "Job"]

GAPS = ("hold", "cut", "fail")
CROPS = ("first", "follow")
BLENDS = ("seamless", "reference")
MASTERS = ("none", "lossless", "prores")


@dataclass(frozen=True, slots=True)
class Job:
    """A portrait, a driving clip and how one shall act the other.

    Attributes:
        job_id: unique in its run, `[A-Za-z0-9._-]{1,128}`.
        portrait, driving: URIs of the picture and of the clip.
        identity: a label of the person shown; empty if none was given.
        face, driving_face: which face is meant, in the portrait and in the clip's first frame.
        tracks: URI of a ready-made track (Parquet or JSON) that replaces detection in the clip.
        start, end: the part of the clip, in seconds; `end` None is the clip's end.
        audio: `driving`, `none` or a URI.
        language: of the speech, BCP 47; empty if unknown.
        output: `full` (pasted back into the portrait), `crop` or `both`.
        fps: frames a second that the clip is resampled to; None renders its own frames, each at its own time.
        gaps: what follows where the face is long unseen, or another scene begins: `hold` the last motion, `cut` the
            render into shots, `fail`.
        crop: how the clip's crops are framed: `first` (the released geometry) or `follow` (moving with the driver).
        blend: how the animated crop is pasted back: `seamless`, or `reference` (the released linear blend).
        quality: of the videos, x264's constant rate factor; 0 is lossless, lower is better.
        master: a further file for editing: `none`, `lossless` or `prores`.
        preset: name of the sampling settings.
        seed: of the starting noise.
        consent: reference to the permission to use the likeness.
        tags: free-form.
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
