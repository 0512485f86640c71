"""The face detector: a small SCRFD (Guo et al., ICLR 2022) and its training objective."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, smooth_l1_loss

from models.faces.detection.boxes import iou
from models.faces.detection.detector import open_detector
from models.training.augmentation import augment
from models.training.convolution import Convolution, Residual, plain
from models.training.faces.anchors import ANCHORS, STRIDES, anchors, assign, boxes_at, overlaps, points_at
from models.training.faces.scenes import MOST_PEOPLE, Augment, scene
from models.training.objective import Batch, Objective
from models.training.onnx_export import export_onnx
from troupe import Face
from troupe.process.scratch import scratch_folder

__all__ = ["DetectorNetwork", "DetectorObjective"]

SIDE = 320
"""Side in pixels of the training pictures; the network accepts any multiple of 32."""
FOCUS = 2.0
BOX, POINTS = 2.0, 30.0
"""Weights of the losses of boxes and keypoints, beside the score's of 1."""
POSITIVES = 16.0
"""Typical number of positive anchors per picture, which normalises the score loss."""
SHARP = 0.02
"""Distance in face widths below which the keypoint loss is quadratic."""
PRIOR = 0.01
"""Initial score of all anchors (Lin et al., ICCV 2017)."""
MEASURED = 300
"""Number of pictures in the evaluation."""


class DetectorNetwork(nn.Module):
    """Features at three strides, each mixed with those of the coarser ones, and one head for all.

    Example:
        >>> scores, boxes, points = DetectorNetwork()(torch.zeros(1, 3, 64, 64))
        >>> scores.shape, boxes.shape, points.shape
        (torch.Size([1, 168]), torch.Size([1, 168, 4]), torch.Size([1, 168, 10]))
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Convolution(3, 16, stride=2), nn.ReLU(), Convolution(16, 32, stride=2), nn.ReLU(),
            Convolution(32, 48, stride=2), nn.ReLU(), Residual(48),
        )  # fmt: skip
        self.middle = nn.Sequential(Convolution(48, 64, stride=2), nn.ReLU(), Residual(64), Residual(64))
        self.coarse = nn.Sequential(Convolution(64, 96, stride=2), nn.ReLU(), Residual(96), Residual(96))
        self.lateral = nn.ModuleList(Convolution(channels, 48, kernel=1) for channels in (48, 64, 96))
        self.mixing = nn.ModuleList(Convolution(48, 48) for _ in range(2))
        self.head = Convolution(48, 64)
        self.tell = nn.Conv2d(64, ANCHORS * 15, 1)  # named in checkpoints
        nn.init.normal_(self.tell.weight, std=0.01)
        assert self.tell.bias is not None
        nn.init.zeros_(self.tell.bias)
        with torch.no_grad():
            self.tell.bias.view(ANCHORS, 15)[:, 0] = float(np.log(PRIOR / (1 - PRIOR)))
            self.tell.bias.view(ANCHORS, 15)[:, 1:5] = 2.0

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            picture: (B, 3, H, W), RGB as (x - 127.5) / 128, H and W multiples of 32.

        Returns:
            Of all N anchors, in the order of `anchors`: scores (B, N), as logits; boxes (B, N, 4) and keypoints
            (B, N, 10), as distances in strides.
        """
        outputs = torch.cat([output.flatten(1, 2) for output in self.by_stride(picture)], dim=1)
        return outputs[..., 0], outputs[..., 1:5], outputs[..., 5:]

    def by_stride(self, picture: Tensor) -> list[Tensor]:
        """Return (B, H W / stride^2, 2, 15) per stride: score, box and keypoints of the two anchors."""
        fine = self.stem(picture)
        middle = self.middle(fine)
        fine, middle, coarse = (
            layer(x) for layer, x in zip(self.lateral, (fine, middle, self.coarse(middle)), strict=True)
        )
        middle = torch.relu(self.mixing[1](torch.relu(middle + interpolate(coarse, scale_factor=2.0))))
        fine = torch.relu(self.mixing[0](torch.relu(fine + interpolate(middle, scale_factor=2.0))))
        return [self._head_outputs(x) for x in (fine, middle, torch.relu(coarse))]

    def _head_outputs(self, features: Tensor) -> Tensor:
        seen = torch.relu(self.head(features))
        with torch.autocast(seen.device.type, enabled=False):  # distances need full precision
            outputs: Tensor = self.tell(seen.float())
        return outputs.permute(0, 2, 3, 1).reshape(outputs.shape[0], -1, ANCHORS, 15)


class DetectorObjective(Objective):
    """Detection of faces and keypoints in synthetic scenes.

    Args:
        weights: weights directory; nothing is read from it.
        side: side of the pictures in pixels.
    """

    def __init__(self, weights: Path | None = None, side: int = SIDE) -> None:
        del weights
        self._side = side

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return DetectorNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a scene: `picture` (H, W, 3) uint8, `boxes` (M, 4), `points` (M, 5, 2) and the mask `face` (M,).

        Rows without a face are zero.
        """
        picture, faces = scene(rng, self._side)
        return {"picture": torch.from_numpy(picture), **_table(faces)}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the quality focal loss of the scores (Li et al., NeurIPS 2020), the distance-IoU loss of the boxes
        (Zheng et al., AAAI 2020), and the distance of the keypoints in face widths."""
        height, width = batch["picture"].shape[1:3]
        logits, distances, away = network(normalised(batch["picture"]))
        logits, distances, away = logits.float(), distances.float(), away.float()
        places = anchors(height, width).to(logits.device)
        face = assign(places, batch["boxes"], batch["face"])
        (which, where) = torch.nonzero(face >= 0, as_tuple=True)
        assigned = face[which, where]
        boxes, points = batch["boxes"][which, assigned], batch["points"][which, assigned]
        found = boxes_at(places[where], distances[which, where])
        quality = overlaps(found, boxes)
        target = torch.zeros_like(logits)
        target[which, where] = quality.detach()
        doubt = (logits.sigmoid() - target).abs() ** FOCUS
        score = (doubt * binary_cross_entropy_with_logits(logits, target, reduction="none")).sum(1) / POSITIVES
        box = 1 - quality + _apart(found, boxes)
        sizes = (boxes[:, 2] - boxes[:, 0])[:, None, None]
        off = (points_at(places[where], away[which, where]) - points) / sizes
        point = smooth_l1_loss(off, torch.zeros_like(off), beta=SHARP, reduction="none").mean((1, 2))
        # Every picture counts the same, however many positive anchors it has.
        count = (face >= 0).sum(1).clamp(min=1).float()
        share = 1 / count[which] / len(face)
        box, point = (box * share).sum(), (point * share).sum()
        return {
            "loss": score.mean() + BOX * box + POINTS * point,
            "score": score.mean(),
            "box": box,
            "points": point,
        }

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write `detector.onnx`, with SCRFD's nine outputs."""
        directory.mkdir(parents=True, exist_ok=True)
        outputs = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES]
        free = {name: {0: f"n_{name.rpartition('_')[2]}"} for name in outputs}
        export_onnx(
            _Released(plain(network)).eval(),
            torch.zeros(1, 3, 64, 64),
            directory / "detector.onnx",
            "input.1",
            outputs,
            {"input.1": {2: "height", 3: "width"}, **free},
        )

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Evaluate on scenes of 640 x 640 with held-out people, through the file and troupe's own detector.

        `found`: share of the faces found; `keypoints`, `keypoints_95`: mean and 95th percentile of the keypoint error
        in face widths; `keypoints_drawn`: the mean without augmentation; `overlap`: mean IoU; `false`: false positives
        per picture; `false_empty`: false positives per picture without people.
        """
        with scratch_folder() as folder:
            self.write(network, folder)
            file = folder / "detector.onnx"
            return measured(file) | {"keypoints_drawn": measured(file, augment=lambda picture, _: picture)["keypoints"]}


class _Released(nn.Module):
    """The network with SCRFD's nine outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        outputs = [output.reshape(-1, 15) for output in self.network.by_stride(picture)]  # type: ignore[operator]
        return (
            *(rows[:, :1].sigmoid() for rows in outputs),
            *(rows[:, 1:5] for rows in outputs),
            *(rows[:, 5:] for rows in outputs),
        )


def normalised(picture: Tensor) -> Tensor:
    """Normalise (B, H, W, 3) uint8 to the network's input, (B, 3, H, W)."""
    return (picture.permute(0, 3, 1, 2).float() - 127.5) / 128  # the channels stay innermost


def measured(path: Path, pictures: int = MEASURED, side: int = 640, augment: Augment = augment) -> dict[str, float]:
    """Evaluate the detector of a file on held-out scenes; see `DetectorObjective.measure`."""
    detector = open_detector(path, "cpu")
    faces, off, shared, wrong, wrong_empty, empty = 0, [], [], 0, 0, 0
    for number in range(pictures):
        picture, true_faces = scene(np.random.default_rng((number, 0x5CE4E)), side, held_out=True, augment=augment)
        found = detector.detect(picture)
        pairs = _pairs(found, true_faces)
        faces += len(true_faces)
        wrong += len(found) - len(pairs)
        empty += not true_faces
        wrong_empty += 0 if true_faces else len(found)
        for detected, true in pairs:
            size = float(true.box[2] - true.box[0])
            off.append(np.linalg.norm(detected.keypoints - true.keypoints, axis=1) / size)
            shared.append(_overlap(detected, true))
    return {
        "found": len(off) / faces,
        "keypoints": float(np.mean(off)) if off else 1.0,
        "keypoints_95": float(np.percentile(off, 95)) if off else 1.0,
        "overlap": float(np.mean(shared)) if shared else 0.0,
        "false": wrong / pictures,
        "false_empty": wrong_empty / max(empty, 1),
    }


def _pairs(found: list[Face], true_faces: list[Face]) -> list[tuple[Face, Face]]:
    """Match each true face to the detection with the largest IoU of at least 0.5, each detection at most once."""
    pairs, left = [], list(found)
    for true in true_faces:
        best = max(left, key=lambda face: _overlap(face, true), default=None)
        if best is not None and _overlap(best, true) >= 0.5:
            left.remove(best)
            pairs.append((best, true))
    return pairs


def _overlap(a: Face, b: Face) -> float:
    return float(iou(a.box, b.box[None])[0])


def _table(faces: list[Face]) -> dict[str, Tensor]:
    boxes, points = torch.zeros(MOST_PEOPLE, 4), torch.zeros(MOST_PEOPLE, 5, 2)
    for row, face in enumerate(faces):
        boxes[row], points[row] = torch.from_numpy(face.box), torch.from_numpy(face.keypoints)
    return {"boxes": boxes, "points": points, "face": torch.arange(MOST_PEOPLE) < len(faces)}


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of the boxes' centres, as a share of the squared diagonal of the box around both."""
    between = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(-1)
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    return between / around.square().sum(-1).clamp(min=1e-6)
