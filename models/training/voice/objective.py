"""The training objective of the voice: coordinates of the expression features by sound, and their subspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import ModelConfig
from models.training.objective import Batch, Objective
from models.training.voice.clip_file import SpokenClip, VoiceClipFile
from models.voice.lips import interpolated
from models.voice.log_mel import BANDS, MEL_RATE, SpeechLevel, normalise
from models.voice.network import VoiceConfig, VoiceNetwork
from models.weights import save_voice
from troupe.errors import SettingsError

__all__ = ["VoiceObjective"]

STATISTICS_CLIPS = 64
"""Number of clips of which the mean and the spread of the features are taken."""
NOISE = (-6.0, -1.5)
"""Range of the level of added noise relative to the speech's, as a power of ten: -60 to -15 dB."""
TILT = 0.6
"""Largest change of the spectrum's balance, as a power of ten from the lowest to the highest band."""
UNCHANGED = 0.3
"""Share of the sounds without augmentation."""


class VoiceObjective(Objective):
    """The voice learns from pairs of a driver's features d and a target's t, which speaks the sound.

    What the voice makes of d is e = d - (d Q) Q' + c Q', with coordinates c by the sound in a subspace Q. Its error
    |e - t|² is |c - t Q|² + |(d - t) (1 - Q Q')|²: the sound's error in the subspace, and what outside of it should
    have changed. In the synthetic world, d and t are one driver who speaks two things. Footage has d = t only; there,
    the mean feature takes the place of d, which makes it a reduced-rank regression of t on the sound, and directions of
    which the sound explains less than `least_explained` of the variance are dropped in the end.

    Args:
        weights: weights directory, whose expression encoder encoded the clips.
        clips: folder of prepared clips, as `models.training.voice.clip_file` writes them.
        rank: number of directions that may be exchanged.
        width: channels of the network.
        seconds: length of the sounds in the examples.
        frames: number of frames per example.
        least_explained: see above.
    """

    def __init__(
        self,
        weights: Path,
        clips: Path,
        rank: int = 16,
        width: int = 96,
        seconds: float = 2.56,
        frames: int = 24,
        least_explained: float = 0.3,
    ) -> None:
        if not 0 <= least_explained < 1:
            raise SettingsError(f"voice.options: least_explained is {least_explained}; use a share below 1")
        self.config = VoiceConfig(ModelConfig.read(weights).refiner.expression, rank, width)
        self._spectra, self._frames = round(seconds * MEL_RATE), frames
        self._least_explained = least_explained
        self._learning, self._held_out = (sorted((clips / name).glob("*.safetensors")) for name in FOLDERS)

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        voice = VoiceNetwork(self.config)
        drivers = torch.cat([VoiceClipFile(path).driver() for path in self._learning[:STATISTICS_CLIPS]])
        voice.mean.copy_(drivers.mean(dim=0))
        voice.scale.copy_(drivers.std(dim=0).square().mean().sqrt().clamp_min(1e-6))
        nn.init.zeros_(voice.conv_out.weight)
        return voice

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Cut a part of a sound, with frames of its driver and of its target."""
        clip = VoiceClipFile(self._learning[int(rng.integers(len(self._learning)))])
        number = int(rng.integers(len(clip.lengths)))
        spoken, driver = clip.spoken(number), clip.driver()
        first = int(rng.integers(max(len(spoken.spectra) - self._spectra, 0) + 1))
        places = clip.times.numpy() * MEL_RATE
        inside = np.flatnonzero((places >= first) & (places <= first + self._spectra - 1))
        if not len(inside):
            inside = np.array([np.abs(places - first).argmin()])
        chosen = rng.choice(inside, self._frames)
        heard = _augmented(spoken.spectra, rng)
        reach = self.config.reach
        padded = F.pad(heard, (0, 0, reach, reach + self._spectra))
        return {
            "spectra": padded[first : first + self._spectra + 2 * reach],
            "places": torch.from_numpy(np.clip(places[chosen] - first, 0, self._spectra - 1)),
            "target": spoken.target[chosen],
            "driver": driver[chosen],
            "footage": torch.tensor(float(len(clip.lengths) == 1)),
        }

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute `loss` and its parts: `sound`, the error in the subspace, and `rest`, what outside of it differs."""
        assert isinstance(network, VoiceNetwork)
        predicted = interpolated(network(batch["spectra"]).float(), batch["places"])
        subspace = network.subspace
        own = (batch["target"] - network.mean) / network.scale @ subspace
        driver = torch.where(batch["footage"][:, None, None] > 0, network.mean, batch["driver"])
        others = (driver - batch["target"]) / network.scale
        sound = (predicted - own).square().sum(dim=-1).mean()
        rest = (others - others @ subspace @ subspace.T).square().sum(dim=-1).mean()
        return {"loss": (sound + rest) / self.config.rank, "sound": sound, "rest": rest}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the voice."""
        save_voice(directory, self._final(network))

    @torch.inference_mode()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return how well held-out clips are spoken.

        `explained` is the share of the change from driver to target that the voice makes; of clips that have their own
        sound only, the share of the variance in the subspace. `correlation` is that of predicted and true coordinates
        in the direction that changes most.
        """
        network = self._final(network)
        subspace, wrong, change, pairs = network.subspace, 0.0, 0.0, []
        for clip, number in self._held_out_sounds():
            spoken, driver = clip.spoken(number), clip.driver()
            predicted = _predicted(network, spoken, clip.times)
            own = (spoken.target - network.mean) / network.scale @ subspace
            if len(clip.lengths) == 1:
                wrong += float((predicted - own).square().sum())
                change += float((own - own.mean(dim=0)).square().sum())
            else:
                wrong += float((network.exchange(driver, predicted) - spoken.target).square().sum())
                change += float((driver - spoken.target).square().sum())
            pairs.append((predicted, own))
        predicted, own = (torch.cat(values) for values in zip(*pairs, strict=True))
        axis = torch.linalg.svd(predicted - predicted.mean(dim=0), full_matrices=False)[2][0]
        correlation = float(torch.corrcoef(torch.stack([predicted @ axis, own @ axis]))[0, 1])
        return {"explained": 1 - wrong / max(change, 1e-9), "correlation": correlation}

    @torch.no_grad()
    def _final(self, network: nn.Module) -> VoiceNetwork:
        """Return the voice without the directions that the sound does not explain, if it learned from footage."""
        assert isinstance(network, VoiceNetwork)
        clips = [VoiceClipFile(path) for path in self._learning[:STATISTICS_CLIPS]]
        if any(len(clip.lengths) > 1 for clip in clips):
            return network
        sounds = [(clip.spoken(0), clip.times) for clip in clips]
        predicted = torch.cat([_predicted(network, *sound) for sound in sounds])
        target = torch.cat([spoken.target for spoken, _ in sounds])
        own = (target - network.mean) / network.scale @ network.subspace
        axes = torch.linalg.svd(predicted - predicted.mean(dim=0), full_matrices=False)[2].T
        wrong = ((predicted - own) @ axes).square().mean(dim=0)
        explained = 1 - wrong / ((own - own.mean(dim=0)) @ axes).square().mean(dim=0).clamp_min(1e-9)
        kept = axes[:, explained >= min(self._least_explained, float(explained.max()))]
        voice = VoiceNetwork(replace(network.config, rank=kept.shape[1]))
        values = network.state_dict() | {
            "directions": network.subspace @ kept,
            "conv_out.weight": torch.einsum("rk,rwt->kwt", kept, network.conv_out.weight),
            "conv_out.bias": network.conv_out.bias @ kept,
        }
        voice.load_state_dict(values)
        return voice.eval()

    def _held_out_sounds(self) -> Iterator[tuple[VoiceClipFile, int]]:
        for path in self._held_out:
            clip = VoiceClipFile(path)
            for number in range(min(1, len(clip.lengths) - 1), len(clip.lengths)):
                yield clip, number


FOLDERS = ("learning", "measuring")
"""Folders of the clips to train on and of those held out."""


def _predicted(voice: VoiceNetwork, spoken: SpokenClip, times: Tensor) -> Tensor:
    spectra = normalise(spoken.spectra, _level(spoken.spectra))
    coordinates = torch.cat(list(voice.stream([spectra])))
    return interpolated(coordinates[None], times[None] * MEL_RATE)[0]


def _augmented(spectra: Tensor, rng: np.random.Generator) -> Tensor:
    """Return normalised spectra of the sound with another balance and with noise, as rooms and microphones have."""
    level = _level(spectra)
    if rng.random() >= UNCHANGED:
        tilt, curve = TILT * rng.uniform(-0.5, 0.5, size=2)
        band = np.linspace(-1, 1, BANDS)
        spectra = spectra + torch.from_numpy((tilt * band + curve * band**2).astype(np.float32))
        loudness = level + rng.uniform(*NOISE) - np.log10(BANDS)
        noise = loudness + 0.5 * rng.uniform(-1, 1) * band + 0.2 * rng.standard_normal((len(spectra), BANDS))
        spectra = torch.log10(10**spectra + 10 ** torch.from_numpy(noise.astype(np.float32)))
        level = _level(spectra)
    return normalise(spectra, level)


def _level(spectra: Tensor) -> float:
    level = SpeechLevel()
    level.update(spectra)
    return level.value
