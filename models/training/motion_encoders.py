"""The training objectives of the two motion encoders, on synthetic faces with exact ground truth.

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
from models.picture import unit
from models.training.augmentation import augment
from models.training.objective import Batch, Objective
from models.training.sampling import sample_identity
from models.weights import PartName, detector_file, load_part, replace_values
from troupe import LARGEST, Face, Picture, Track
from troupe.faces import Floats

__all__ = ["EXPRESSION_TARGETS", "ExpressionObjective", "HeadPoseObjective", "basis"]

RATE = 25
SIDES = (96, 320)
"""Range of a picture's sides in pixels."""
LATEST, LONGEST = 100, 75
"""Last frame of a performance with which a clip may start, and most frames from there to the example."""
JITTER = 0.025
"""Largest standard deviation of a track's coordinates, as a share of the face's width."""
UNCHANGED = 0.3
"""Share of the pictures without augmentation."""

ANGLES = ("yaw", "pitch", "roll")
MIRRORED = np.array([-1, 1, -1, -1, 1, 1], np.float32)
"""Signs of angles and place (see `_place`) in a mirrored picture."""
DEGREES = 10.0
"""Error of an angle that weighs as much as an error of 1 elsewhere."""

EXPRESSION_TARGETS = {
    "left": (0.80, 0.25),
    "right": (0.80, 0.25),
    "gaze_x": (0.0, 0.45),
    "gaze_y": (0.0, 0.30),
    "brows": (0.06, 0.40),
    "mouth": (0.22, 0.22),
    "width": (0.0, 0.28),
    "smile": (0.40, 0.27),
    "x": (0.0, 0.15),
    "y": (0.0, 0.11),
    "size": (0.0, 0.06),
    "yaw": (0.0, 17.0),
    "pitch": (0.7, 7.0),
    "roll": (0.0, 6.0),
}
"""What an expression feature says, with the middle and the deviation of each in the world. x, y and size are those of
the face's box: how far its centre is from the one that frames the clip, in sides of that, and the logarithm to the base
2 of its size over that one's. All else is the world's `Moment`."""
EYES = ("left", "right")
GAZE = ("gaze_x", "gaze_y")
TARGET_WEIGHTS = {"gaze_y": 3.0, "width": 3.0, "smile": 1.5, "pitch": 1.5}
"""Loss weights above 1, of targets that show in less than a pixel or depend on all of the mouth."""
SEEN = 0.5
"""Openness of an eye from which its gaze has its full weight."""
MEASURED, FRAMES, SLOW = 24, 16, 8
"""Evaluation: number of clips, frames per clip, and frame rate, low so that the frames differ."""
REST_WEIGHT = 0.1
"""Loss weight of the rest of the feature, which would encode identity."""


@dataclass(frozen=True, eq=False)
class _Frame:
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


class HeadPoseObjective(Objective):
    """Regression of angles in degrees, and of the face's position in the head crop, by the head-pose encoder.

    Args:
        weights: weights directory to start from and to write to.
        pictures: number of pictures that every process draws once and keeps, mirrored at random, because drawing one
            takes ten times as long as a training step on it. 0 for new ones always.
    """

    def __init__(self, weights: Path, pictures: int = 0) -> None:
        self.weights, self.config = weights, ModelConfig.read(weights)
        self.pictures = pictures
        self._kept: dict[int, tuple[Picture, Floats]] = {}

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return _trainable(self.weights, "headpose")

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a head crop with its targets."""
        if not self.pictures:
            return _as_tensors(self._picture(rng))
        number = int(rng.integers(self.pictures))
        if number not in self._kept:
            self._kept[number] = self._picture(np.random.default_rng((number, 0x4EAD)))
        crop, truth = self._kept[number]
        return _as_tensors((crop[:, ::-1], truth * MIRRORED) if rng.random() < 0.5 else (crop, truth))

    def _picture(self, rng: np.random.Generator) -> tuple[Picture, Floats]:
        frame = _frame(rng, self.config)
        return frame.crops.head, np.array([*_angles(frame), *_place(frame)], np.float32)

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute `loss`, and the mean error of the angles in `degrees`."""
        rotation, translation = network(batch["crop"])
        turned, placed = rotation - batch["truth"][:, :3], translation - batch["truth"][:, 3:]
        loss = _smooth(turned / DEGREES).mean() + _smooth(placed * 4).mean()
        return {"loss": loss, "degrees": turned.abs().mean()}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the weights."""
        replace_values(directory, "headpose", network.state_dict())

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return each angle's correlation with the truth, on true tracks and on the miniature's detector's."""

        def read(frames: Sequence[_Frame]) -> Tensor:
            rotation: Tensor = network(torch.stack([unit(frame.crops.head) for frame in frames]))[0]
            return rotation

        return _correlations(network, self.weights, read, lambda frame: dict(zip(ANGLES, _angles(frame), strict=True)))


class ExpressionObjective(Objective):
    """Regression of `EXPRESSION_TARGETS`, mapped to the expression encoder's feature by `basis`.

    Args:
        weights: weights directory to start from and to write to.
    """

    def __init__(self, weights: Path) -> None:
        self.weights, self.config = weights, ModelConfig.read(weights)
        self.basis = basis(self.config.refiner.expression)

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return _trainable(self.weights, "expression")

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a face crop with its standardised targets and their loss weights."""
        frame = _frame(rng, self.config)
        targets = _targets(frame)
        moment = frame.moment
        open_ = min(max(moment.left, moment.right) / SEEN, 1.0)
        counts = torch.tensor(
            [TARGET_WEIGHTS.get(name, 1.0) * (open_ if name in GAZE else 1) for name in EXPRESSION_TARGETS]
        )
        truth = torch.tensor(
            [(targets[name] - middle) / deviation for name, (middle, deviation) in EXPRESSION_TARGETS.items()]
        )
        return {"crop": unit(frame.crops.face), "truth": truth, "counts": counts}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute `loss` and its parts: `wrong`, the targets' error, and `besides`, the rest of the feature."""
        feature = network(batch["crop"]).float()
        read = self._read(feature)
        wrong = (_smooth(read - batch["truth"]) * batch["counts"]).mean()
        besides = (feature - read @ self.basis.to(feature)).square().mean()
        return {"loss": wrong + REST_WEIGHT * besides, "wrong": wrong, "besides": besides}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the weights."""
        replace_values(directory, "expression", network.state_dict())

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return each target's correlation with the truth, on true tracks and on the miniature's detector's."""

        def read(frames: Sequence[_Frame]) -> Tensor:
            return self._read(network(torch.stack([unit(frame.crops.face) for frame in frames])))

        return _correlations(network, self.weights, read, _targets)

    def _read(self, feature: Tensor) -> Tensor:
        """Decode features (F, features) to standardised targets (F, targets)."""
        rows = self.basis.to(feature)
        return feature @ rows.T * (len(rows) / rows.shape[1])


def basis(features: int) -> Tensor:
    """Return the fixed orthogonal directions (targets, features) that encode the targets in a feature.

    With standardised targets, a feature's values have a mean variance of 1.
    """
    drawn = np.random.default_rng(0x5A1D).standard_normal((features, len(EXPRESSION_TARGETS)))
    orthogonal = np.linalg.qr(drawn)[0] * np.sqrt(features / len(EXPRESSION_TARGETS))
    return torch.from_numpy(orthogonal.T.astype(np.float32))


def _frame(rng: np.random.Generator, config: ModelConfig) -> _Frame:
    """Draw a random training frame."""
    start = int(rng.integers(LATEST))
    later = int(rng.integers(LONGEST))
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


def _cut(
    picture: Picture, moment: Moment, face: Face, seen: Face, first: Face, reference: Floats, config: ModelConfig
) -> _Frame:
    """Crop a frame by the face as a detector finds it and the clip's reference box."""
    track = Track(seen.box[None], seen.keypoints[None], np.ones(1, np.float32))
    (crops,) = clip_crops([picture], track, config.image_size, config.face_size, reference[None])
    box = head_box(reference, picture.shape[1], picture.shape[0])
    return _Frame(crops, moment, first, face, np.array(box, np.float32))


def _jittered(face: Face, share: float, rng: np.random.Generator) -> Face:
    deviation = np.float32(share * (face.box[2] - face.box[0]))
    box = face.box + deviation * rng.standard_normal(4, dtype=np.float32)
    return Face(box, face.keypoints + deviation / 2 * rng.standard_normal((5, 2), dtype=np.float32), 1.0)


def _as_tensors(picture: tuple[Picture, Floats]) -> dict[str, Tensor]:
    return {"crop": unit(picture[0]), "truth": torch.from_numpy(picture[1])}


def _angles(frame: _Frame) -> list[float]:
    return [float(getattr(frame.moment, name)) for name in ANGLES]


def _place(frame: _Frame) -> list[float]:
    """Return the face's centre in the head crop, -2..2 from side to side, and twice the binary logarithm of its size, 0
    for half of the crop's."""
    centre, size = _centre_and_size(frame.face.box)
    middle, side = _centre_and_size(frame.head)
    x, y = (centre - middle) / side * 4
    return [float(x), float(y), float(2 * np.log2(2 * size / side))]


def _targets(frame: _Frame) -> dict[str, float]:
    centre, size = _centre_and_size(frame.face.box)
    middle, side = _centre_and_size(frame.first.box)
    x, y = (centre - middle) / side
    moment = frame.moment
    # Lids do not go beyond wide open.
    eyes = {name: min(max(getattr(moment, name), 0.0), 1.0) for name in EYES}
    targets = vars(moment) | eyes | {"x": float(x), "y": float(y), "size": float(np.log2(size / side))}
    return {name: targets[name] for name in EXPRESSION_TARGETS}


def _centre_and_size(box: Floats) -> tuple[Floats, float]:
    """Return a box's centre (2,) and its size, the square root of its area."""
    centre = np.asarray((box[:2] + box[2:]) / 2, dtype=np.float32)
    return centre, float(np.sqrt(np.prod(box[2:] - box[:2])))


def _smooth(error: Tensor) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


def _trainable(weights: Path, name: PartName) -> nn.Module:
    network = load_part(weights, name)
    for value in network.parameters():
        value.data = value.data.clone()  # values mapped from a file are read-only
        value.requires_grad_()
    return network


def _held_out_frames(config: ModelConfig, detector: FaceDetector | None) -> Iterator[_Frame]:
    """Yield frames of held-out clips, on the detector's tracks or, without a detector, on true ones."""
    for number in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + MEASURED):
        identity, moments = Identity.from_seed(number), Performance.from_seed(number, FRAMES, SLOW).moments
        width, height = (int(side) for side in np.random.default_rng((number, 0x512E)).integers(128, 257, size=2))
        shots = [render(identity, moment, (width, height)) for moment in moments]
        pictures, faces = [picture for picture, _ in shots], [face for _, face in shots]
        seen = faces
        if detector is not None:
            track = track_face(pictures, detector, LARGEST, f"clip {number}")
            seen = [track.face(index) for index in range(FRAMES)]
        for index, (picture, moment, face) in enumerate(zip(pictures, moments, faces, strict=True)):
            yield _cut(picture, moment, face, seen[index], faces[0], seen[0].box, config)


@torch.inference_mode()
def _correlations(
    network: nn.Module,
    weights: Path,
    read: Callable[[Sequence[_Frame]], Tensor],
    truth: Callable[[_Frame], dict[str, float]],
) -> dict[str, float]:
    """Return correlations with the truth; names of those on the detector's tracks end in `, detected`."""
    config = ModelConfig.read(weights)
    found: dict[str, float] = {}
    was = network.training
    network.eval()
    for suffix, detector in (("", None), (", detected", open_detector(detector_file(weights), "cpu"))):
        frames = list(_held_out_frames(config, detector))
        values = torch.cat([read(frames[at : at + 64]) for at in range(0, len(frames), 64)]).float().numpy()
        truths = [truth(frame) for frame in frames]
        for column, name in enumerate(truths[0]):
            wanted = [one[name] for one in truths]
            found[name + suffix] = float(np.corrcoef(values[:, column], wanted)[0, 1])
    network.train(was)
    return found
