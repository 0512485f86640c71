"""Training clips of the voice: expression features with sounds, and the features that each sound would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.tensorfile import write_tensors
from troupe.errors import SettingsError

__all__ = ["SpokenClip", "VoiceClipFile", "write_voice_clip"]

VERSION = "troupe voice clip 1"


@dataclass(frozen=True, eq=False)
class SpokenClip:
    """A driver with one sound.

    Attributes:
        spectra: (T, 80) log10, as `models.voice.LogMel` computes them.
        target: (F, E) features of the driver speaking this.
    """

    spectra: Tensor
    target: Tensor


def write_voice_clip(path: Path, times: Tensor, driver: Tensor, sounds: Sequence[SpokenClip]) -> None:
    """Write a clip as safetensors.

    Args:
        times: (F,) seconds of the frames, in the sounds' time.
        driver: (F, E) the features of the clip itself.
        sounds: the clip's own sound first; others where it is known what the driver would look like.
    """
    write_tensors(
        path,
        VERSION,
        {
            "times": times.double(),
            "driver": driver.float(),
            "targets": torch.stack([sound.target for sound in sounds]).half(),
            "spectra": torch.cat([sound.spectra for sound in sounds]).half(),
            "lengths": torch.tensor([len(sound.spectra) for sound in sounds]),
        },
    )


class VoiceClipFile:
    """A prepared clip, read lazily.

    Raises:
        SettingsError: the file is damaged or is not a prepared clip.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with safe_open(path, framework="pt") as file:
                found = (file.metadata() or {}).get("version")
                if found == VERSION:
                    self.times = file.get_tensor("times")
                    self.lengths: list[int] = file.get_tensor("lengths").tolist()
        except (SafetensorError, OSError) as error:
            raise SettingsError(f"{path} cannot be read as a prepared clip: {error}; delete it") from error
        if found != VERSION:
            raise SettingsError(f"{path} holds {found}, not {VERSION}; delete it to prepare it again")

    def driver(self) -> Tensor:
        """Read the features of the clip itself, (F, E)."""
        with safe_open(self._path, framework="pt") as file:
            driver: Tensor = file.get_tensor("driver")
        return driver

    def spoken(self, number: int) -> SpokenClip:
        """Read one of the sounds, 0 for the clip's own."""
        first = sum(self.lengths[:number])
        with safe_open(self._path, framework="pt") as file:
            return SpokenClip(
                spectra=file.get_slice("spectra")[first : first + self.lengths[number]].float(),
                target=file.get_slice("targets")[number : number + 1][0].float(),
            )
