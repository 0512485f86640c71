"""Settings of the sampler, and their presets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from troupe.errors import SettingsError

__all__ = ["PRESETS", "RELEASED_STEPS", "SamplerSettings", "preset"]

RELEASED_STEPS = 25
"""Number of sampler steps of the release, of which a distilled denoiser takes some."""


@dataclass(frozen=True)
class SamplerSettings:
    """Everything that a render depends on apart from its inputs and weights.

    Attributes:
        steps: number of sampler steps.
        appearance_guidance, motion_guidance: (first, last) guidance strength, linear over the steps.
        overlap: number of frames shared by neighbouring windows.
        shift: number of frames by which the windows move from step to step.
        padding: number of frames faded in before the clip and out after it, removed at the end.
        decode_chunk: number of frames decoded together; chunk borders change the result.
        fps: frames per second passed to the denoiser, whatever the clip's rate.
        seed: seed of the noise, drawn on the CPU in float32 so that it is the same everywhere.
        guidance_interval: (lowest, highest) noise level with guidance; None for all (Kynkäänniemi et al. 2024).
        guidance_every: steps for which one evaluation of the guidance serves; 1 evaluates it in every step.
        deep_every: steps for which one evaluation of the denoiser's inner stages serves; 1 evaluates them in every step
            (Ma et al. 2024, here by frame, as windows move).
        distilled: whether the distilled denoiser of the weights directory is used, which was trained for these steps.
    """

    steps: int = RELEASED_STEPS
    appearance_guidance: tuple[float, float] = (2.0, 2.0)
    motion_guidance: tuple[float, float] = (2.0, 2.0)
    overlap: int = 3
    shift: int = 3
    padding: int = 15
    decode_chunk: int = 8
    fps: float = 12.5
    seed: int = 0
    guidance_interval: tuple[float, float] | None = None
    guidance_every: int = 1
    deep_every: int = 1
    distilled: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.decode_chunk < 1:
            raise SettingsError("steps and decode_chunk must be at least 1")
        if self.overlap < 0 or self.shift < 0 or self.padding < 0:
            raise SettingsError("overlap, shift and padding must not be negative")
        if self.guidance_every < 1 or self.deep_every < 1:
            raise SettingsError("guidance_every and deep_every must be at least 1")
        if self.guidance_interval is not None and not 0 <= self.guidance_interval[0] <= self.guidance_interval[1]:
            raise SettingsError("guidance_interval must be (lowest, highest) noise level, neither negative")
        if self.distilled and self.steps > RELEASED_STEPS:
            raise SettingsError(f"a distilled denoiser takes at most {RELEASED_STEPS} steps")

    @property
    def values(self) -> dict[str, Any]:
        """All fields by name, without the savings that are off: settings of before they existed keep their keys."""
        everything = {field.name: getattr(self, field.name) for field in fields(self)}
        off = {field.name: field.default for field in fields(self) if field.name in _SAVINGS}
        return {name: value for name, value in everything.items() if name not in off or value != off[name]}


_SAVINGS = ("guidance_interval", "guidance_every", "deep_every", "distilled")

PRESETS = {
    "exact": SamplerSettings(),
    "draft": SamplerSettings(steps=10),
    "fast": SamplerSettings(steps=4, appearance_guidance=(1.0, 1.0), motion_guidance=(1.0, 1.0), distilled=True),
    "sketch": SamplerSettings(steps=5, appearance_guidance=(1.0, 1.0), motion_guidance=(1.0, 1.0), padding=0),
}
"""`exact`: the released settings. `draft`: fewer steps. `fast`: a denoiser distilled to four steps without guidance, a
file of the weights. `sketch`: few steps of the denoiser itself, without guidance and padding, at most a fifth of the
work of `draft`."""


def preset(name: str) -> SamplerSettings:
    """Return the settings of a preset.

    Raises:
        SettingsError: the preset is unknown.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise SettingsError(f"unknown preset {name!r}; use one of {', '.join(PRESETS)}") from None
