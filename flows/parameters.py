"""Types of the flows' parameters: a server rejects other values before a run starts, and its form offers choices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from troupe.sampler_settings import PRESETS

__all__ = [
    "Cells",
    "Count",
    "Device",
    "Dtype",
    "Gibibytes",
    "Limits",
    "Number",
    "Preset",
    "Seconds",
    "Seed",
    "Similarity",
]


def _offer_presets(schema: dict[str, Any]) -> None:
    seed = [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+$"}]
    schema["properties"] = {"preset": {"enum": list(PRESETS)}, "seed": {"anyOf": seed}}


Device = Annotated[str, Field(pattern="^(auto|cpu|cuda(:[0-9]+)?)$", examples=["auto", "cpu", "cuda", "cuda:0"])]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Preset = Literal["exact", "draft", "fast", "sketch"]
Count = Annotated[int, Field(ge=1)]
Number = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Gibibytes = Annotated[float, Field(ge=1)]
Similarity = Annotated[float, Field(ge=-1, le=1)]
Limits = dict[Literal["landmarks", "expression", "pose", "flicker", "sync_offset_frames", "sync_lse_d"], Number]
Cells = Annotated[dict[str, str | int | float | bool], Field(json_schema_extra=_offer_presets)]
