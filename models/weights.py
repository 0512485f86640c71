"""The files of a weights directory: which there are, whether they fit, and how they get into the networks.

A directory has the layout of the release (`FILES`). A network's tensors may lie in a `.pth` or, converted, in a
`.safetensors` file beside it, which is preferred: it is mapped into memory, so that processes share its pages.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.appearance import AppearanceProjector, VisionTransformer
from models.autoencoder import autoencoder_for, channels_last
from models.config import ModelConfig
from models.denoiser import Denoiser, PoseGuider
from models.motion import MotionRefiner, expression_encoder_for, head_pose_encoder_for
from models.tensorfile import write_safetensors
from troupe.errors import WeightsError
from troupe.files import file_sha256, replacing

__all__ = [
    "Networks",
    "PartReport",
    "convert",
    "detector_file",
    "files",
    "inspect",
    "load_networks",
    "load_part",
    "recogniser_file",
    "replace_values",
    "source_hash",
]

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Part:
    """One network of the directory.

    Attributes:
        name: of the network.
        stems: paths without suffix, the first that exists counts.
        build: makes the network, without values, for a configuration and the tensors that are to fill it.
    """

    name: str
    stems: tuple[str, ...]
    build: Callable[[ModelConfig, Mapping[str, Tensor]], nn.Module]


PARTS = (
    Part("expression", ("hyportrait/expression",), lambda _, state: expression_encoder_for(state)),
    Part("headpose", ("hyportrait/headpose",), lambda _, state: head_pose_encoder_for(state)),
    Part(
        "motion_proj",
        ("hyportrait/motion_proj",),
        lambda config, _: MotionRefiner(config.refiner, config.unet.cross_attention_dim),
    ),
    Part("dino", ("hyportrait/dino",), lambda config, _: VisionTransformer(config.appearance)),
    Part("image_proj", ("hyportrait/image_proj",), lambda config, _: AppearanceProjector(config.appearance)),
    Part(
        "pose_guider",
        ("hyportrait/pose_guider",),
        lambda config, _: PoseGuider(config.unet.block_out_channels[0]),
    ),
    Part("unet", ("hyportrait/unet",), lambda config, _: Denoiser(config.unet)),
    Part(
        "vae",
        ("vae/diffusion_pytorch_model.fp16", "vae/diffusion_pytorch_model"),
        lambda config, _: cast("nn.Module", autoencoder_for(config.vae)),
    ),
)
CONFIGS = ("troupe.json", "unet/config.json", "vae/config.json", "scheduler/scheduler_config.json")
IDENTITY = "arcface.onnx"
DETECTORS = ("detector.onnx", "yoloface_v5m.pt")


@dataclass(frozen=True)
class PartReport:
    """How one file of a directory looks.

    Attributes:
        name: the network, or the file's own name.
        file: relative to the directory; what was looked for if it is missing.
        tensors, parameters: how many there are; 0 for files that are not read as tensors.
        dtype: of most of its tensors.
        bytes: the file's size.
        problems: one line for everything absent, extra or mis-shaped; empty if it fits.
    """

    name: str
    file: str
    tensors: int
    parameters: int
    dtype: str
    bytes: int
    problems: tuple[str, ...]


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
        """Every one of them."""
        return [getattr(self, f.name) for f in fields(self)]


def files(directory: Path) -> list[Path]:
    """The files that define the model in this directory, those that exist: what a fingerprint is made of."""
    found = [directory / name for name in CONFIGS]
    found += [path for part in PARTS if (path := _find(directory, part)) is not None]
    found.append(directory / IDENTITY)
    return [path for path in found if path.is_file()]


def recogniser_file(directory: Path) -> Path:
    """The face recognition network of the directory."""
    return directory / IDENTITY


def detector_file(directory: Path) -> Path:
    """The detector that belongs to the directory: its `detector.onnx`, else the release's.

    Raises:
        WeightsError: there is neither.
    """
    for name in DETECTORS:
        if (directory / name).is_file():
            return directory / name
    raise WeightsError(f"{directory} has no detector ({' or '.join(DETECTORS)}); name one with --detector")


def source_hash(path: Path) -> str | None:
    """The sha256 of the file that a converted one was made from, so that converting keeps the fingerprint."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("source_sha256")
    except (SafetensorError, OSError):
        return None


def inspect(directory: Path) -> list[PartReport]:
    """Look at every file; no network gets values.

    Raises:
        WeightsError: there is no such directory, or its configs cannot be used.
    """
    config = _configuration(directory)
    reports = [_look(directory, part, config)[0] for part in PARTS]
    return [*reports, _plain_file(directory, IDENTITY), _plain_file(directory, *DETECTORS)]


def load_networks(directory: Path, device: torch.device, dtype: torch.dtype) -> tuple[ModelConfig, Networks]:
    """Every network of the directory with its values, on `device`.

    Denoiser, pose guider and the autoencoder's decoder compute in `dtype`; the networks that run once per identity
    or clip stay in float32, where angles and identities keep their precision at no cost that matters. So does the
    autoencoder's encoder where its config says `force_upcast`.

    Raises:
        WeightsError: anything absent, extra or mis-shaped in any file, all listed at once.
    """
    config = _configuration(directory)
    modules: dict[str, nn.Module] = {}
    problems: list[str] = []
    for part in PARTS:
        report, module, state = _look(directory, part, config)
        problems += [f"{report.file}: {line}" for line in report.problems]
        if module is None or problems:
            continue
        fill(module, state, device, dtype if part.name in ("pose_guider", "unet", "vae") else torch.float32)
        modules[part.name] = module
    if not (directory / IDENTITY).is_file():
        problems.append(f"{IDENTITY}: missing")
    if problems:
        raise WeightsError(f"the weights in {directory} do not fit their configuration", problems)
    if config.vae.force_upcast:
        # From the file again: a value that went through 16 bits would not come back.
        vae = modules["vae"]
        state = dict(_tensors(_existing(directory, PARTS[-1])))
        for name in ("encoder", "quant_conv"):
            own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            if own:
                fill(vae.get_submodule(name), own, device, torch.float32)
    channels_last(modules["vae"].get_submodule("decoder"))
    if device.type != "cpu":  # there it is no faster, and would keep processes from sharing a mapped file's pages
        channels_last(modules["unet"])
    return config, Networks(
        expression=modules["expression"],
        headpose=modules["headpose"],
        refiner=_of(MotionRefiner, modules["motion_proj"]),
        transformer=_of(VisionTransformer, modules["dino"]),
        projector=_of(AppearanceProjector, modules["image_proj"]),
        pose_guider=_of(PoseGuider, modules["pose_guider"]),
        denoiser=_of(Denoiser, modules["unet"]),
        vae=cast("AutoencoderKLTemporalDecoder", modules["vae"]),
    )


def convert(directory: Path) -> Iterator[Path]:
    """Write a `.safetensors` file beside every `.pth` that has none, and yield each when it is there.

    Raises:
        WeightsError: a `.pth` file cannot be read.
    """
    for part in PARTS:
        for stem in part.stems:
            source, target = directory / f"{stem}.pth", directory / f"{stem}.safetensors"
            if not source.is_file() or target.exists():
                continue
            tensors = {name: value.contiguous().clone() for name, value in _tensors(source)}
            with replacing(target, sole_writer=True) as written:
                write_safetensors(written, tensors, {"source_sha256": file_sha256(source)})
            yield target


def load_part(directory: Path, name: str) -> nn.Module:
    """One network of the directory with its values, in float32, on the CPU.

    Args:
        name: of the network.

    Raises:
        WeightsError: anything absent, extra or mis-shaped in its file.
    """
    part = _part(name)
    report, module, state = _look(directory, part, _configuration(directory))
    if module is None or report.problems:
        raise WeightsError(f"{report.file} does not fit its configuration", list(report.problems))
    fill(module, state, torch.device("cpu"), torch.float32)
    return module


def replace_values(directory: Path, name: str, values: Mapping[str, Tensor]) -> None:
    """Write some tensors of a network's file anew, in the types they have there; the others stay, to the bit.

    A converted file is replaced likewise, and not taken for a copy of the original any more.

    Args:
        name: of the network.
        values: by the tensors' names.

    Raises:
        WeightsError: there is no such file, or it has no such tensors of such shapes.
    """
    _replace(_existing(directory, _part(name)), values)


def _replace(path: Path, values: Mapping[str, Tensor]) -> None:
    state = {name: value.clone() for name, value in _tensors(path)}
    wrong = [name for name, value in values.items() if name not in state or state[name].shape != value.shape]
    if wrong:
        raise WeightsError(f"{path} has no such tensors", [f"{name}: absent, or of another shape" for name in wrong])
    state |= {name: value.detach().cpu().to(state[name].dtype).contiguous() for name, value in values.items()}
    # torch writes the file's name into the file: a name that never changes keeps its bytes reproducible.
    with replacing(path, sole_writer=True) as written:
        if path.suffix == ".pth":
            torch.save(state, written)
        else:
            write_safetensors(written, state)


def fill(module: nn.Module, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
    """Give a module built without values those of `state`, one tensor at a time, straight to the device.

    A value that is already as wanted is taken as it is, so that a mapped file's pages stay shared.
    """
    placed = {
        name: value.to(device, dtype if value.is_floating_point() else value.dtype) for name, value in state.items()
    }
    module.load_state_dict(placed, strict=True, assign=True)
    module.requires_grad_(False).eval()


def _configuration(directory: Path) -> ModelConfig:
    if not directory.is_dir():
        raise WeightsError(f"{directory} is not a directory; `troupe weights pull {directory}` would fill one")
    return ModelConfig.read(directory)


def _look(
    directory: Path, part: Part, config: ModelConfig
) -> tuple[PartReport, nn.Module | None, Mapping[str, Tensor]]:
    """Read a part's tensors (mapped, not loaded), build its network without values and hold one against the other."""
    path = _find(directory, part)
    if path is None:
        wanted = f"{part.stems[0]}.safetensors" if part.name == "vae" else f"{part.stems[0]}.pth"
        return PartReport(part.name, wanted, 0, 0, "", 0, ("missing",)), None, {}
    file, size = str(path.relative_to(directory)), path.stat().st_size
    try:
        state = dict(_tensors(path))
        with torch.device("meta"):
            module = part.build(config, state)
    except WeightsError as error:
        lines = error.problems or (error.message,)
        return PartReport(part.name, file, 0, 0, "", size, lines), None, {}
    wanted_state = module.state_dict()
    problems = [f"{name}: absent" for name in wanted_state if name not in state]
    problems += [f"{name}: not a tensor of this network" for name in state if name not in wanted_state]
    problems += [
        f"{name}: is {tuple(value.shape)}, must be {tuple(wanted_state[name].shape)}"
        for name, value in state.items()
        if name in wanted_state and value.shape != wanted_state[name].shape
    ]
    kinds = [str(value.dtype).removeprefix("torch.") for value in state.values()]
    report = PartReport(
        part.name,
        file,
        len(state),
        sum(value.numel() for value in state.values()),
        max(set(kinds), key=kinds.count) if kinds else "",
        size,
        tuple(problems),
    )
    return report, module, state


def _plain_file(directory: Path, *names: str) -> PartReport:
    """A file that is not read as tensors: the first of `names` that exists."""
    for name in names:
        path = directory / name
        if path.is_file():
            empty = ("empty",) if path.stat().st_size == 0 else ()
            return PartReport(path.stem, name, 0, 0, "", path.stat().st_size, empty)
    return PartReport(Path(names[0]).stem, " or ".join(names), 0, 0, "", 0, ("missing",))


def _part(name: str) -> Part:
    return next(part for part in PARTS if part.name == name)


def _find(directory: Path, part: Part) -> Path | None:
    for stem in part.stems:
        for suffix in (".safetensors", ".pth"):
            path = directory / f"{stem}{suffix}"
            if path.is_file():
                return path
    return None


def _existing(directory: Path, part: Part) -> Path:
    path = _find(directory, part)
    if path is None:
        raise WeightsError(f"{directory / part.stems[0]}: missing")
    return path


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a file, mapped into memory rather than read.

    Raises:
        WeightsError: the file is damaged, is no state dict, or would have to run code to load.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping)
                    yield name, file.get_tensor(name)
            return
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path.name} cannot be read as tensors: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path.name} holds no plain dictionary of tensors")
    yield from state.items()


def _of(kind: type[M], module: nn.Module) -> M:
    assert isinstance(module, kind)
    return module
