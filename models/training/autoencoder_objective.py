"""The autoencoder's training objective, on synthetic heads.

The loss is a smooth absolute error of pixels and of their gradients, with a small KL divergence of the latents from a
normal distribution (Kingma and Welling, arXiv 1312.6114; Rombach et al., arXiv 2112.10752, appendix G).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from torch import Tensor, nn

from models.autoencoder import autoencoder_for, channels_last, decode_stream, encode_portrait
from models.config import ModelConfig
from models.faces import crop_head, head_box
from models.miniature import FIRST_HELD_OUT_SEED, Identity, Performance, draw_portrait, render
from models.runtime.device import pick_dtype
from models.training.initialisation import init_mean_colours
from models.training.objective import Batch, Objective
from models.weights import assign_tensors, load_part, replace_values
from troupe import Face, Picture

__all__ = ["AutoencoderObjective"]

RATE = 25
SIDES = (112, 224)
"""Range of the pictures' sides in pixels, from which heads are cropped."""
LATEST = 100
"""Last frame of a performance with which an example may start."""
FACE = 3.0
"""Loss weight of the region between eyes and mouth; the rest has a weight of 1."""
AROUND = 0.45
"""Margin of that region around the keypoints, as a share of their extent."""
SOFT = 1e-2
"""Error below which the absolute error becomes quadratic."""
PULL = 2e-4
"""Weight of the latents' KL divergence from a normal distribution, in nats per value."""
SCALED_BY, CHUNK = 64, 8


class AutoencoderObjective(Objective):
    """Reconstruction of head crops by the autoencoder.

    Args:
        weights: weights directory to start from and to write to.
        frames: number of consecutive frames per example. With 1 the decoder is trained on single frames; more are for
            a second training that starts from the first one's weights.
        patch: side in pixels of the square patch of the head crops that is trained on; 0 for all of the crop. Smaller
            patches make cheaper steps, which helps in the beginning.
        anew: whether to start from the initial weights of `models.training.initialisation`, which reproduce mean
            colours, instead of the weights directory's.
    """

    def __init__(self, weights: Path, frames: int = 4, patch: int = 0, anew: bool = False) -> None:
        config = ModelConfig.read(weights)
        self.weights, self.config, self.size = weights, config.vae, config.image_size
        self.frames, self.patch, self.anew = frames, patch or config.image_size, anew

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        network = load_part(self.weights, "vae")
        for value in network.parameters():
            value.data = value.data.clone()  # values mapped from a file are read-only
            value.requires_grad_()
        if self.anew:
            init_mean_colours(cast("AutoencoderKLTemporalDecoder", network))
        _flatten_time(network)
        if self.frames == 1:
            _forget_time(network)
        return network

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw consecutive head crops, the loss weights of their pixels, and the latents' noise."""
        first = int(rng.integers(LATEST))
        performance = Performance.from_seed(int(rng.integers(FIRST_HELD_OUT_SEED)), first + self.frames, RATE)
        identity, side = Identity.from_seed(int(rng.integers(FIRST_HELD_OUT_SEED))), int(rng.integers(*SIDES))
        shots = [render(identity, moment, (side, side)) for moment in performance.moments[first:]]
        crops, weights = zip(*_heads(shots, self.size), strict=True)
        x, y = (int(v) for v in rng.integers(self.size - self.patch + 1, size=2))
        part = (..., slice(y, y + self.patch), slice(x, x + self.patch))
        cells = self.patch // self.config.scale
        noise = rng.standard_normal((self.frames, self.config.latent_channels, cells, cells), dtype=np.float32)
        return {
            "pictures": torch.stack(crops)[part],
            "weights": torch.stack(weights)[part],
            "noise": torch.from_numpy(noise),
        }

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and its parts: error of `pixels`, of `edges`, the latents' `divergence`."""
        vae = cast("AutoencoderKLTemporalDecoder", network)
        pictures, weights = batch["pictures"].flatten(0, 1), batch["weights"].flatten(0, 1)
        latents = vae.encode(pictures).latent_dist
        mean, spread = latents.mean.float(), latents.logvar.float()
        drawn = mean + (spread / 2).exp() * batch["noise"].flatten(0, 1)
        painted = vae.decode(drawn, num_frames=batch["pictures"].shape[1]).sample
        error = painted.float() - pictures
        weights = weights / weights.mean()
        pixels = (weights * ((error.square() + SOFT**2).sqrt() - SOFT)).mean()
        steps = (error[..., 1:] - error[..., :-1]).abs(), (error[..., 1:, :] - error[..., :-1, :]).abs()
        edges = (weights[..., 1:] * steps[0]).mean() + (weights[..., 1:, :] * steps[1]).mean()
        divergence = (mean.square() + spread.exp() - 1 - spread).mean() / 2
        loss = pixels + edges + PULL * divergence
        return {"loss": loss, "pixels": pixels, "edges": edges, "divergence": divergence}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the weights and, in the config, the factor that scales latents to a standard deviation of 1."""
        replace_values(directory, "vae", {name: value.detach() for name, value in network.state_dict().items()})
        path = directory / "vae" / "config.json"
        config = json.loads(path.read_text())
        config["scaling_factor"] = self._scaling_factor(network)
        path.write_text(json.dumps(config, indent=2) + "\n")

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return the mean PSNR in dB of portraits and of clips, in a render's precision.

        `face` is the PSNR of the region between eyes and mouth, `deviation` the standard deviation of unscaled latents.
        """
        vae = self._shipped(network)
        scale = vae.config["scaling_factor"]
        found: dict[str, list[float]] = {"portraits": [], "clips": [], "face": []}
        deviations = []
        for number in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + 2 * CHUNK):
            identity, performance = Identity.from_seed(number), Performance.from_seed(number, LATEST + CHUNK, RATE)
            clip = [render(identity, moment, (192, 192)) for moment in performance.moments[LATEST:]]
            for name, shots in (("portraits", [draw_portrait(number)]), ("clips", clip)):
                pictures, weights = (torch.stack(part) for part in zip(*_heads(shots, self.size), strict=True))
                latents = torch.stack([encode_portrait(vae, picture) for picture in pictures])
                painted = torch.cat(list(decode_stream(vae, latents * scale, CHUNK)))
                errors = (painted - (pictures / 2 + 0.5)).square()
                found[name] += _decibels(errors.mean((1, 2, 3)))
                face = (weights > 1).float()
                found["face"] += _decibels((errors * face).sum((1, 2, 3)) / face.sum((1, 2, 3)) / 3)
                deviations.append(float(latents.std()))
        values = {f"{name} PSNR": float(np.mean(values)) for name, values in found.items()}
        return values | {"deviation": float(np.mean(deviations))}

    def _scaling_factor(self, network: nn.Module) -> float:
        vae = self._shipped(network)
        pictures = (
            self.example(np.random.default_rng((number, 0x5CA1E)))["pictures"][0] for number in range(SCALED_BY)
        )
        latents = torch.stack([encode_portrait(vae, picture) for picture in pictures])
        return round(1 / float(latents.std()), 5)

    def _shipped(self, network: nn.Module) -> AutoencoderKLTemporalDecoder:
        """Return a copy as loaded from its file."""
        vae, device = autoencoder_for(self.config), next(network.parameters()).device
        state = {name: value.detach().half() for name, value in network.state_dict().items()}
        assign_tensors(vae, state, device, torch.float32)
        vae.decoder.to(pick_dtype("auto", device))
        channels_last(vae.decoder)
        return vae


def _heads(shots: list[tuple[Picture, Face]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each frame's head crop (3, S, S) in [-1, 1] and loss weights (1, S, S), by the first frame's box."""
    picture, face = shots[0]
    box = head_box(face.box, picture.shape[1], picture.shape[0])
    corner = np.array(box[:2])
    scale = size / (np.array(box[2:]) - corner)
    for picture, face in shots:
        points = (face.keypoints - corner) * scale
        low, high = points.min(axis=0), points.max(axis=0)
        low, high = low - AROUND * (high - low), high + AROUND * (high - low)
        (x1, y1), (x2, y2) = (np.clip(side.round().astype(int), 0, size) for side in (low, high))
        weight = torch.ones(1, size, size)
        weight[:, y1:y2, x1:x2] = FACE
        yield torch.from_numpy(crop_head(picture, box, size).copy()).permute(2, 0, 1).float() / 127.5 - 1, weight


def _decibels(errors: Tensor) -> list[float]:
    values: list[float] = (-10 * errors.log10()).tolist()
    return values


@torch.no_grad()
def _forget_time(network: nn.Module) -> None:
    """Zero the temporal kernels' outer taps: single frames give no gradient for their neighbours."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and module.kernel_size[0] == 3:
            module.weight[:, :, ::2] = 0


def _flatten_time(network: nn.Module) -> None:
    """Compute convolutions along time only as two-dimensional ones.

    torch 2.13 writes out of bounds in the backward pass of the 3D ones, in bfloat16 on a CPU, for large feature maps.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and module.kernel_size[1:] == (1, 1):
            # A forward of the module's own: the parameters keep their names.
            module.forward = partial(_along_time, module)  # type: ignore[method-assign]


def _along_time(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """(B, C, F, h, w) -> (B, D, F, h, w)."""
    padding = (int(conv.padding[0]), 0)
    y = F.conv2d(x.flatten(3), conv.weight[..., 0], conv.bias, padding=padding)
    return y.view(*y.shape[:3], *x.shape[3:])
