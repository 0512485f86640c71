"""Learning to read a performance: the two motion encoders, on faces of the miniature world, which knows the truth.

They see crops as a render's driving frames give them, from tracks that jitter as a detector's do.
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
"""Pixels of a picture's sides, from and to."""
LATEST, LONGEST = 100, 75
"""Frame of a performance with which a clip begins, at the latest, and how much later a frame is seen, at most."""
JITTER = 0.025
"""The most that a track's coordinates deviate, as a share of the face's width."""
PLAIN = 0.3
"""Share of the pictures that are as they were drawn."""

ANGLES = ("yaw", "pitch", "roll")
MIRRORED = np.array([-1, 1, -1, -1, 1, 1], np.float32)
"""What becomes of angles and place, see `_place`, in a mirror."""
DEGREES = 10.0
"""Error of an angle that counts as much as an error of 1 elsewhere."""

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
HARD = {"gaze_y": 3.0, "width": 3.0, "smile": 1.5, "pitch": 1.5}
"""What counts more than the rest: it shows in less than a pixel, or needs all of the mouth."""
SEEN = 0.5
"""How open an eye is for its gaze to count in full."""
MEASURED, FRAMES, SLOW = 24, 16, 8
"""Clips that are measured, frames of each, and how many of these a second has: slow, so that they differ."""
SILENT = 0.1
"""Weight of whatever a feature says beyond that: it would be about who it is."""


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame of a clip, as a motion encoder sees it.

    Attributes:
        crops: of the frame.
        moment: what the face does.
        first, face: the true faces of the clip's first frame and of this one, in pixels of the picture.
        head: (4,) the box of the head crop, in pixels of the picture.
    """

    crops: FaceCrops
    moment: Moment
    first: Face
    face: Face
    head: Floats


class HeadPoseObjective(Objective):
    """The head-pose encoder: angles in degrees, and where in the head crop the face is.

    Args:
        weights: the weights directory to start from and to write to.
        pictures: learn from so many, mirrored as often as not, that every process draws once and keeps: drawing one
            takes ten times as long as learning from it. 0 for always new ones.
    """

    def __init__(self, weights: Path, pictures: int = 0) -> None:
        self.weights, self.config = weights, ModelConfig.read(weights)
        self.pictures = pictures
        self._kept: dict[int, tuple[Picture, Floats]] = {}

    def network(self) -> nn.Module:
        """With the weights directory's values."""
        return _learning(self.weights, "headpose")

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """A head crop and what is to be read in it."""
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
        """`loss`, and the mean error of the angles in `degrees`."""
        rotation, translation = network(batch["crop"])
        turned, placed = rotation - batch["truth"][:, :3], translation - batch["truth"][:, 3:]
        loss = _smooth(turned / DEGREES).mean() + _smooth(placed * 4).mean()
        return {"loss": loss, "degrees": turned.abs().mean()}

    def write(self, network: nn.Module, directory: Path) -> None:
        """The values."""
        replace_values(directory, "headpose", network.state_dict())

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Correlation of each angle with the truth, on true tracks and on the miniature's detector's."""

        def read(frames: Sequence[_Frame]) -> Tensor:
            rotation: Tensor = network(torch.stack([unit(frame.crops.head) for frame in frames]))[0]
            return rotation

        return _correlations(network, self.weights, read, lambda frame: dict(zip(ANGLES, _angles(frame), strict=True)))


class ExpressionObjective(Objective):
    """The expression encoder: `EXPRESSION_TARGETS`, spread over its feature by `basis`.

    Args:
        weights: the weights directory to start from and to write to.
    """

    def __init__(self, weights: Path) -> None:
        self.weights, self.config = weights, ModelConfig.read(weights)
        self.basis = basis(self.config.refiner.expression)

    def network(self) -> nn.Module:
        """With the weights directory's values."""
        return _learning(self.weights, "expression")

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """A face crop, what is to be read in it, in deviations, and what each of that counts."""
        frame = _frame(rng, self.config)
        said = _said(frame)
        moment = frame.moment
        open_ = min(max(moment.left, moment.right) / SEEN, 1.0)
        counts = torch.tensor([HARD.get(name, 1.0) * (open_ if name in GAZE else 1.0) for name in EXPRESSION_TARGETS])
        truth = torch.tensor(
            [(said[name] - middle) / deviation for name, (middle, deviation) in EXPRESSION_TARGETS.items()]
        )
        return {"crop": unit(frame.crops.face), "truth": truth, "counts": counts}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and its parts: what is read wrongly, and what is said `besides`."""
        feature = network(batch["crop"]).float()
        read = self._read(feature)
        wrong = (_smooth(read - batch["truth"]) * batch["counts"]).mean()
        besides = (feature - read @ self.basis.to(feature)).square().mean()
        return {"loss": wrong + SILENT * besides, "wrong": wrong, "besides": besides}

    def write(self, network: nn.Module, directory: Path) -> None:
        """The values."""
        replace_values(directory, "expression", network.state_dict())

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Correlation of each thing said with the truth, on true tracks and on the miniature's detector's."""

        def read(frames: Sequence[_Frame]) -> Tensor:
            return self._read(network(torch.stack([unit(frame.crops.face) for frame in frames])))

        return _correlations(network, self.weights, read, _said)

    def _read(self, feature: Tensor) -> Tensor:
        """(F, features) -> (F, said), in deviations."""
        rows = self.basis.to(feature)
        return feature @ rows.T * (len(rows) / rows.shape[1])


def basis(features: int) -> Tensor:
    """(said, features): the directions along which a feature says what it says, orthogonal, always the same ones.

    With everything at its usual deviation, a feature's values have a variance of 1 in the mean.
    """
    drawn = np.random.default_rng(0x5A1D).standard_normal((features, len(EXPRESSION_TARGETS)))
    orthogonal = np.linalg.qr(drawn)[0] * np.sqrt(features / len(EXPRESSION_TARGETS))
    return torch.from_numpy(orthogonal.T.astype(np.float32))


def _frame(rng: np.random.Generator, config: ModelConfig) -> _Frame:
    """Any frame of any clip to learn from."""
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
    if rng.random() >= PLAIN:
        picture = augment(picture, rng)
    return _cut(picture, moment, face, seen, first, reference.box, config)


def _cut(
    picture: Picture, moment: Moment, face: Face, seen: Face, first: Face, reference: Floats, config: ModelConfig
) -> _Frame:
    """A frame's crops, from the face as a detector sees it and the box that frames the clip."""
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
    """The face's centre in the head crop, -2..2 from side to side, and twice the logarithm of its size, to the base 2,
    0 where it is half as large as the crop."""
    centre, size = _of(frame.face.box)
    middle, side = _of(frame.head)
    x, y = (centre - middle) / side * 4
    return [float(x), float(y), float(2 * np.log2(2 * size / side))]


def _said(frame: _Frame) -> dict[str, float]:
    centre, size = _of(frame.face.box)
    middle, side = _of(frame.first.box)
    x, y = (centre - middle) / side
    moment = frame.moment
    # Lids do not go beyond wide open.
    eyes = {name: min(max(getattr(moment, name), 0.0), 1.0) for name in EYES}
    said = vars(moment) | eyes | {"x": float(x), "y": float(y), "size": float(np.log2(size / side))}
    return {name: said[name] for name in EXPRESSION_TARGETS}


def _of(box: Floats) -> tuple[Floats, float]:
    """A box's centre (2,) and its size, the root of its area."""
    centre = np.asarray((box[:2] + box[2:]) / 2, dtype=np.float32)
    return centre, float(np.sqrt(np.prod(box[2:] - box[:2])))


def _smooth(error: Tensor) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


def _learning(weights: Path, name: PartName) -> nn.Module:
    network = load_part(weights, name)
    for value in network.parameters():
        value.data = value.data.clone()  # what was mapped from a file is not ours to change
        value.requires_grad_()
    return network


def _measuring(config: ModelConfig, detector: FaceDetector | None) -> Iterator[_Frame]:
    """Frames of clips that nothing is learned from, on tracks of the detector or, without one, true ones."""
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
    """Of what is read with the truth, over all clips; names of those on the detector's tracks end in `, detected`."""
    config = ModelConfig.read(weights)
    found: dict[str, float] = {}
    was = network.training
    network.eval()
    for suffix, detector in (("", None), (", detected", open_detector(detector_file(weights), "cpu"))):
        frames = list(_measuring(config, detector))
        values = torch.cat([read(frames[at : at + 64]) for at in range(0, len(frames), 64)]).float().numpy()
        truths = [truth(frame) for frame in frames]
        for column, name in enumerate(truths[0]):
            wanted = [one[name] for one in truths]
            found[name + suffix] = float(np.corrcoef(values[:, column], wanted)[0, 1])
    network.train(was)
    return found
