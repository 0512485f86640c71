"""Synthetic driving frames with exact ground truth, and the evaluation of motion encoders on them.

The crops are those of a render's driving frames, from tracks with a detector's jitter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import ModelConfig
from models.faces import FaceCrops, FaceDetector, clip_crops, head_box, open_detector, track_face
from models.miniature import FIRST_HELD_OUT_SEED, Identity, Moment, Performance, locate, render
from models.training.augmentation import augment
from models.training.sampling import sample_identity
from models.weights import PartName, detector_file, load_part
from troupe import LARGEST, Face, Picture, Track
from troupe.faces import Floats

__all__ = ["DrivingFrame", "centre_and_size", "correlations", "random_frame", "smooth_l1", "trainable_encoder"]

RATE = 25
SIDES = (96, 320)
"""Range of a picture's sides in pixels."""
LATEST_START, LONGEST_CLIP = 100, 75
"""Upper bounds of the frame of a performance with which a clip starts, and of the frames from there to the example."""
JITTER = 0.025
"""Largest standard deviation of a track's coordinates, as a share of the face's width."""
UNCHANGED = 0.3
"""Share of the pictures without augmentation."""
EVALUATION_CLIPS, EVALUATION_FRAMES, EVALUATION_FPS = 24, 16, 8
"""Number of clips, frames per clip, and a frame rate low enough for the frames to differ."""


@dataclass(frozen=True, eq=False)
class DrivingFrame:
    """A frame of a clip with a motion encoder's inputs and the ground truth.

    Attributes:
        crops: crops of the frame.
        moment: pose and expression of the face.
        first, face: the true faces of the clip's first frame and of this one, in pixels of the picture.
        head: (4,) the box of the head crop, in pixels of the picture.
    """

    crops: FaceCrops
    moment: Moment
    first: Face
    face: Face
    head: Floats


def random_frame(rng: np.random.Generator, config: ModelConfig) -> DrivingFrame:
    """Draw a random training frame."""
    start = int(rng.integers(LATEST_START))
    later = int(rng.integers(LONGEST_CLIP))
    performance = Performance.from_seed(int(rng.integers(FIRST_HELD_OUT_SEED)), start + later + 1, RATE)
    identity = sample_identity(rng)
    # Small pictures as often as large ones of twice their size.
    low, high = np.log(SIDES)
    width, height = (round(float(np.exp(side))) for side in rng.uniform(low, high, size=2).clip(low, high))
    width, height = max(width, height * 3 // 5), max(height, width * 3 // 5)
    moment = performance.moments[-1]
    picture, face = render(identity, moment, (width, height))
    first = locate(identity, performance.moments[start], (width, height))
    jitter = JITTER * rng.random()
    seen, reference = (_jittered(one, jitter, rng) for one in (face, first))
    if rng.random() >= UNCHANGED:
        picture = augment(picture, rng)
    return _cut(picture, moment, face, seen, first, reference.box, config)


def centre_and_size(box: Floats) -> tuple[Floats, float]:
    """Return a box's centre (2,) and its size, the square root of its area."""
    centre = np.asarray((box[:2] + box[2:]) / 2, dtype=np.float32)
    return centre, float(np.sqrt(np.prod(box[2:] - box[:2])))


def trainable_encoder(weights: Path, name: PartName) -> nn.Module:
    """Load a motion encoder with parameters that can be trained."""
    network = load_part(weights, name)
    for value in network.parameters():
        value.data = value.data.clone()  # tensors mapped from a file are read-only
        value.requires_grad_()
    return network


def smooth_l1(error: Tensor) -> Tensor:
    """Return the elementwise smooth L1 loss."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


@torch.inference_mode()
def correlations(
    network: nn.Module,
    weights: Path,
    read: Callable[[Sequence[DrivingFrame]], Tensor],
    truth: Callable[[DrivingFrame], dict[str, float]],
) -> dict[str, float]:
    """Return the correlation of each target with the truth on held-out clips.

    Args:
        read: the encoder's predictions for frames, (F, targets).
        truth: the true targets of a frame, by name.

    Returns:
        One value per target with true tracks and, with `, detected` appended to its name, with tracks of the weights
        directory's detector.
    """
    config = ModelConfig.read(weights)
    found: dict[str, float] = {}
    was_training = network.training
    network.eval()
    for suffix, detector in (("", None), (", detected", open_detector(detector_file(weights), "cpu"))):
        frames = list(_held_out_frames(config, detector))
        values = torch.cat([read(frames[at : at + 64]) for at in range(0, len(frames), 64)]).float().numpy()
        truths = [truth(frame) for frame in frames]
        for column, name in enumerate(truths[0]):
            true = [targets[name] for targets in truths]
            found[name + suffix] = float(np.corrcoef(values[:, column], true)[0, 1])
    network.train(was_training)
    return found


def _cut(
    picture: Picture, moment: Moment, face: Face, seen: Face, first: Face, reference: Floats, config: ModelConfig
) -> DrivingFrame:
    """Crop a frame by the face as a detector finds it and the clip's reference box."""
    track = Track(seen.box[None], seen.keypoints[None], np.ones(1, np.float32))
    (crops,) = clip_crops([picture], track, config.image_size, config.face_size, reference[None])
    box = head_box(reference, picture.shape[1], picture.shape[0])
    return DrivingFrame(crops, moment, first, face, np.array(box, np.float32))


def _jittered(face: Face, share: float, rng: np.random.Generator) -> Face:
    """Add noise to box and keypoints, with a standard deviation as a share of the face's width."""
    deviation = np.float32(share * (face.box[2] - face.box[0]))
    box = face.box + deviation * rng.standard_normal(4, dtype=np.float32)
    return Face(box, face.keypoints + deviation / 2 * rng.standard_normal((5, 2), dtype=np.float32), 1.0)


def _held_out_frames(config: ModelConfig, detector: FaceDetector | None) -> Iterator[DrivingFrame]:
    """Yield frames of held-out clips, on the detector's tracks or, without a detector, on true ones."""
    for number in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + EVALUATION_CLIPS):
        identity, moments = (
            Identity.from_seed(number),
            Performance.from_seed(number, EVALUATION_FRAMES, EVALUATION_FPS).moments,
        )
        width, height = (int(side) for side in np.random.default_rng((number, 0x512E)).integers(128, 257, size=2))
        shots = [render(identity, moment, (width, height)) for moment in moments]
        pictures, faces = [picture for picture, _ in shots], [face for _, face in shots]
        seen = faces
        if detector is not None:
            track = track_face(pictures, detector, LARGEST, f"clip {number}")
            seen = [track.face(index) for index in range(EVALUATION_FRAMES)]
        for index, (picture, moment, face) in enumerate(zip(pictures, moments, faces, strict=True)):
            yield _cut(picture, moment, face, seen[index], faces[0], seen[0].box, config)
