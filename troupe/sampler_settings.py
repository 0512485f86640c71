"""How the sampler works, and the named settings that jobs choose from."""

from __future__ import annotations

from dataclasses import dataclass

from troupe.errors import SettingsError

__all__ = ["PRESETS", "SamplerSettings", "preset"]


@dataclass(frozen=True)
class SamplerSettings:
    """What a render depends on beside its inputs and weights.

    Attributes:
        steps: of the sampler.
        appearance_guidance, motion_guidance: (first, last) strength, linear over the steps.
        overlap: frames shared by neighbouring windows.
        shift: frames by which the windows move from step to step.
        padding: frames faded in before the clip and out after it, cut off in the end.
        decode_chunk: frames decoded together; its borders change the result.
        fps: what the denoiser is told, whatever the clip's rate.
        seed: of the noise, drawn on the CPU in float32 so that it is the same everywhere.
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
            raise SettingsError("steps and decode_chunk are at least 1")
        if self.overlap < 0 or self.shift < 0 or self.padding < 0:
            raise SettingsError("overlap, shift and padding are not negative")


PRESETS = {
    "exact": SamplerSettings(),
    "draft": SamplerSettings(steps=10),
    "sketch": SamplerSettings(steps=5, appearance_guidance=(1.0, 1.0), motion_guidance=(1.0, 1.0), padding=0),
}
"""`exact`: the released settings. `draft`: fewer steps. `sketch`: fewer still, no guidance and no padding: a fifth of
`draft`'s work, or less."""


def preset(name: str) -> SamplerSettings:
    """The settings of that name.

    Raises:
        SettingsError: there is none.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise SettingsError(f"no preset {name!r}; there are {', '.join(PRESETS)}") from None
