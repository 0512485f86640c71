"""One row of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from troupe.faces import LARGEST, FaceChoice

__all__ = ["Job"]


@dataclass(frozen=True)
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
    preset: str = "exact"
    seed: int = 0
    consent: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
