"""Loading the networks of a weights directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from torch import Tensor, nn

from models.appearance import AppearanceProjector, VisionTransformer
from models.autoencoder import channels_last
from models.config import ModelConfig
from models.denoiser import Denoiser, PoseGuider
from models.face_files import RECOGNISER_FILE, recogniser_file
from models.motion import MotionRefiner
from models.weight_files import PartName
from models.weights.checkpoint import iter_tensors
from models.weights.inspection import compare_part, read_config
from models.weights.layout import PARTS, existing_part_file, find_part
from troupe.errors import WeightsError

__all__ = ["Networks", "assign_tensors", "load_networks", "load_part"]

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Networks:
    """Every network of a directory, in evaluation mode, without gradients."""

    expression: nn.Module
    headpose: nn.Module
    refiner: MotionRefiner
    transformer: VisionTransformer
    projector: AppearanceProjector
    pose_guider: PoseGuider
    denoiser: Denoiser
    vae: AutoencoderKLTemporalDecoder

    @property
    def all(self) -> list[nn.Module]:
        """All networks, as a list."""
        return [getattr(self, f.name) for f in fields(self)]


def load_networks(directory: Path, device: torch.device, dtype: torch.dtype) -> tuple[ModelConfig, Networks]:
    """Load every network of the directory onto `device`.

    Denoiser, pose guider and the autoencoder's decoder compute in `dtype`; the networks that run once per identity
    or clip stay in float32, where angles and identities keep their precision at no cost that matters. So does the
    autoencoder's encoder where its config says `force_upcast`.

    Raises:
        WeightsError: a tensor or file is absent, extra or mis-shaped; all of them are reported together.
    """
    config = read_config(directory)
    modules: dict[str, nn.Module] = {}
    problems: list[str] = []
    for part in PARTS:
        report, module, state = compare_part(directory, part, config)
        problems += [f"{report.file}: {line}" for line in report.problems]
        if module is None or problems:
            continue
        assign_tensors(module, state, device, dtype if part.name in ("pose_guider", "unet", "vae") else torch.float32)
        modules[part.name] = module
    if not recogniser_file(directory).is_file():
        problems.append(f"{RECOGNISER_FILE}: missing")
    if problems:
        raise WeightsError(f"the weights in {directory} do not fit their configuration", problems)
    if config.vae.force_upcast:
        _upcast_encoder(modules["vae"], directory, device)
    channels_last(modules["vae"].get_submodule("decoder"))
    if device.type != "cpu":  # there it is no faster, and would keep processes from sharing a mapped file's pages
        channels_last(modules["unet"])
    return config, Networks(
        expression=modules["expression"],
        headpose=modules["headpose"],
        refiner=_checked(MotionRefiner, modules["motion_proj"]),
        transformer=_checked(VisionTransformer, modules["dino"]),
        projector=_checked(AppearanceProjector, modules["image_proj"]),
        pose_guider=_checked(PoseGuider, modules["pose_guider"]),
        denoiser=_checked(Denoiser, modules["unet"]),
        vae=cast("AutoencoderKLTemporalDecoder", modules["vae"]),
    )


def load_part(directory: Path, name: PartName) -> nn.Module:
    """Load one network of the directory, in float32, on the CPU.

    Args:
        name: name of the network.

    Raises:
        WeightsError: a tensor in its file is absent, extra or mis-shaped.
    """
    report, module, state = compare_part(directory, find_part(name), read_config(directory))
    if module is None or report.problems:
        raise WeightsError(f"{report.file} does not fit its configuration", list(report.problems))
    assign_tensors(module, state, torch.device("cpu"), torch.float32)
    return module


def assign_tensors(module: nn.Module, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
    """Assign `state` to a module built without values, one tensor at a time, straight to the device.

    A tensor that already has the device and dtype is used as it is, so that a mapped file's pages stay shared.
    """
    placed = {
        name: value.to(device, dtype if value.is_floating_point() else value.dtype) for name, value in state.items()
    }
    module.load_state_dict(placed, strict=True, assign=True)
    module.requires_grad_(False).eval()


def _upcast_encoder(vae: nn.Module, directory: Path, device: torch.device) -> None:
    """Load the autoencoder's encoder again, in float32: a value that went through 16 bits would not come back."""
    state = dict(iter_tensors(existing_part_file(directory, find_part("vae"))))
    for name in ("encoder", "quant_conv"):
        own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        if own:
            assign_tensors(vae.get_submodule(name), own, device, torch.float32)


def _checked(kind: type[M], module: nn.Module) -> M:
    assert isinstance(module, kind)
    return module
