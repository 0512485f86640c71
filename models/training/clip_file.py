"""Training clips of the denoiser, encoded once by the networks that are not trained with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.animator import Animator
from models.faces import Box, crop_head, head_box
from models.faces.portrait import build_portrait
from models.motion import Motion
from models.tensorfile import write_tensors
from troupe import Picture, Track
from troupe.errors import SettingsError

__all__ = ["ClipFile", "ClipWindow", "PortraitFrame", "encode_clip"]

VERSION = "troupe training clip 2"
EYES, MOUTH = slice(0, 2), slice(3, 5)
"""Among the keypoints of a face."""
FEATURE_RADIUS = 0.3
"""Standard deviation of the Gaussians around eyes and mouth, in distances between the eyes."""


@dataclass(frozen=True, eq=False)
class ClipWindow:
    """Consecutive frames of a clip.

    Attributes:
        latents: (W, 4, h, w) float32, the autoencoder's means of the head crops, unscaled.
        expression: (W, E) float32.
        rotation: (W, 3) float32, degrees.
        intensity: (W, 2) int64, of each frame's chunk.
        features: (W, h, w) float32, 1 on eyes and mouth, towards 0 elsewhere.
    """

    latents: Tensor
    expression: Tensor
    rotation: Tensor
    intensity: Tensor
    features: Tensor


@dataclass(frozen=True, eq=False)
class PortraitFrame:
    """A frame of a clip that serves as the portrait.

    Attributes:
        crop: (3, S, S) float32 in [0, 1], the head crop.
        identity: (I,) float32, of unit norm.
        latents: (4, h, w) float32, the autoencoder's mean, unscaled.
    """

    crop: Tensor
    identity: Tensor
    latents: Tensor


def encode_clip(animator: Animator, frames: Iterable[Picture], track: Track, portrait_frames: int, path: Path) -> None:
    """Encode one scene of one person and write it as safetensors; about 40 kB per frame at full size.

    The first frame's box crops the head in every frame, as for the driving frames of a render, so that the denoiser
    learns to move the face as the performance does.

    Args:
        frames: (H, W, 3) each, as many as the track has.
        track: track of the face, seen in every frame, without cuts.
        portrait_frames: number of frames that may serve as the portrait, evenly spread from the first one on.

    Raises:
        InputError: clip and track differ in length, or the face is outside of its frame.
    """
    shown = np.unique(np.linspace(0, len(track) - 1, portrait_frames).round().astype(int))
    size = animator.config.image_size
    latents: list[Tensor] = []
    features: list[Tensor] = []
    crops: list[Tensor] = []
    identities: list[Tensor] = []

    def seen() -> Iterator[Picture]:
        box = None
        for number, frame in enumerate(frames):
            if box is None:
                box = head_box(track.boxes[0], frame.shape[1], frame.shape[0])
            crop = crop_head(frame, box, size)
            latents.append(animator.encode_crop(crop))
            features.append(_feature_map(track.keypoints[number], box, latents[-1].shape[-1]))
            if number in shown:
                crops.append(torch.from_numpy(crop.copy()))
                identities.append(animator.identify(build_portrait(frame, track.face(number), box, size).aligned)[0])
            yield frame

    motion = animator.encode_motion(seen(), track)
    write_tensors(
        path,
        VERSION,
        {
            "latents": torch.stack(latents).half(),
            "features": torch.stack(features).half(),
            "expression": motion.expression,
            "rotation": motion.rotation,
            "intensity": motion.intensity,
            "shown": torch.from_numpy(shown),
            "crops": torch.stack(crops),
            "identities": torch.stack(identities),
        },
    )


def _feature_map(keypoints: NDArray[Any], box: Box, size: int) -> Tensor:
    """Return (size, size), the largest of the Gaussians around both eyes and the mouth in a crop by the box."""
    left, top, right, bottom = box
    points = np.concatenate([keypoints[EYES], keypoints[MOUTH].mean(0, keepdims=True)]).astype(np.float64)
    cells = (points - (left, top)) / (right - left, bottom - top) * size - 0.5
    radius = FEATURE_RADIUS * max(float(np.linalg.norm(cells[0] - cells[1])), 1.0)
    rows, columns = np.mgrid[:size, :size]
    squares = (columns - cells[:, 0, None, None]) ** 2 + (rows - cells[:, 1, None, None]) ** 2
    return torch.from_numpy(np.exp(-squares / (2 * radius**2)).max(0))


class ClipFile:
    """A prepared clip, read lazily.

    Args:
        path: path of the file.
        window: frames per chunk of intensities, the model's.

    Raises:
        SettingsError: the file is damaged or is not a prepared clip.
    """

    def __init__(self, path: Path, window: int) -> None:
        self._path, self._window = path, window
        try:
            with safe_open(path, framework="pt") as file:
                found = (file.metadata() or {}).get("version")
                self.frames = int(file.get_slice("expression").get_shape()[0])
                self.portrait_frames = int(file.get_slice("shown").get_shape()[0])
        except (SafetensorError, OSError) as error:
            raise SettingsError(f"{path} cannot be read as a prepared clip: {error}; delete it") from error
        if found != VERSION:
            raise SettingsError(f"{path} holds {found}, not {VERSION}; delete it to prepare it again")

    def read_window(self, first: int, frames: int) -> ClipWindow:
        """Read frames `first` to `first + frames` - 1."""
        with safe_open(self._path, framework="pt") as file:
            part = slice(first, first + frames)
            motion = Motion(*(file.get_tensor(name) for name in ("expression", "rotation", "intensity")))
            return ClipWindow(
                latents=file.get_slice("latents")[part].float(),
                expression=motion.expression[part],
                rotation=motion.rotation[part],
                intensity=motion.frame_intensity(self._window)[part],
                features=file.get_slice("features")[part].float(),
            )

    def read_portrait_frame(self, number: int) -> PortraitFrame:
        """Read the `number`-th frame that may serve as the portrait."""
        with safe_open(self._path, framework="pt") as file:
            at = int(file.get_slice("shown")[number : number + 1])
            return PortraitFrame(
                crop=file.get_slice("crops")[number : number + 1][0].permute(2, 0, 1).float() / 255,
                identity=file.get_slice("identities")[number : number + 1][0],
                latents=file.get_slice("latents")[at : at + 1][0].float(),
            )
