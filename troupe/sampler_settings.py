"""Settings of the sampler, and their presets."""

from __future__ import annotations

from dataclasses import dataclass

from troupe.errors import SettingsError

__all__ = ["PRESETS", "SamplerSettings", "preset"]


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
    """

    steps: int = 25
    appearance_guidance: tuple[float, float] = (2.0, 2.0)
    motion_guidance: tuple[float, float] = (2.0, 2.0)
    overlap: int = 3
    shift: int = 3
    padding: int = 15
    decode_chunk: int = 8
    fps: float = 12.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.decode_chunk < 1:
            raise SettingsError("steps and decode_chunk must be at least 1")
        if self.overlap < 0 or self.shift < 0 or self.padding < 0:
            raise SettingsError("overlap, shift and padding must not be negative")


PRESETS = {
    "exact": SamplerSettings(),
    "draft": SamplerSettings(steps=10),
    "sketch": SamplerSettings(steps=5, appearance_guidance=(1.0, 1.0), motion_guidance=(1.0, 1.0), padding=0),
}
"""`exact`: the released settings. `draft`: fewer steps. `sketch`: fewer still, without guidance and padding, at most a
fifth of the work of `draft`."""


def preset(name: str) -> SamplerSettings:
    """Return the settings of a preset.

    Raises:
        SettingsError: the preset is unknown.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise SettingsError(f"unknown preset {name!r}; use one of {', '.join(PRESETS)}") from None
