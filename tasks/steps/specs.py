"""What is asked of a worker and what it answers: small values that travel between processes.

An order's `key` is a hash of everything its result depends on; a result that lies in the store under that key
needs no work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from troupe import FaceChoice, Job, SamplerSettings

__all__ = ["Done", "MotionSpec", "PortraitSpec", "RenderSpec", "Rendered", "TrackSpec"]


@dataclass(frozen=True, slots=True)
class PortraitSpec:
    """Encode the identity of one face in a picture."""

    key: str
    uri: str
    face: FaceChoice

    @property
    def place(self) -> str:
        """Where the encoded appearance lies in the store."""
        return f"cache/appearance/{self.key}.safetensors"


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """Follow one face through a part of a clip, or take the ready-made track at `tracks`.

    `gaps` is as a job has it. `frames` is how many it probably has; it orders the work and is no part of the key.
    """

    key: str
    uri: str
    start: float
    end: float | None
    face: FaceChoice
    tracks: str = ""
    fps: Fraction | None = None
    gaps: str = "hold"
    frames: int = 250

    @property
    def place(self) -> str:
        """Where the track lies in the store."""
        return f"cache/tracks/{self.key}.parquet"


@dataclass(frozen=True, slots=True)
class MotionSpec:
    """Encode the performance in the tracked part of a clip; `crop` as a job has it."""

    key: str
    track: TrackSpec
    crop: str = "first"

    @property
    def place(self) -> str:
        """Where the encoded motion lies in the store."""
        return f"cache/motion/{self.key}.safetensors"


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """Let a portrait act a clip and publish the video."""

    key: str
    run_id: str
    job: Job
    portrait: PortraitSpec
    motion: MotionSpec
    settings: SamplerSettings

    @property
    def folder(self) -> str:
        """Where the finished files lie in the store."""
        return f"renders/{self.key}"

    @property
    def record(self) -> str:
        """The file whose existence makes the render exist."""
        return f"{self.folder}/render.json"


@dataclass(frozen=True, slots=True)
class Done:
    """What a step cost.

    Attributes:
        reused: it lay in the store already.
        seconds: by stage.
        puts: files put into the store.
    """

    reused: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
    puts: int = 0


@dataclass(frozen=True, slots=True)
class Rendered(Done):
    """A finished render.

    Attributes:
        facts: the content of its `render.json`.
        evaluations: frames that went through the denoiser, counting every branch and step.
        worker: which process did it.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 0
    worker: str = ""
