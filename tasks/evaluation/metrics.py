"""Evaluation measures of the field, per render and over all renders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn
from torchmetrics.aggregation import MeanMetric
from torchmetrics.image.fid import FrechetInceptionDistance

from models.animator import Animator
from models.faces import FaceDetector, align_face, crop_head, head_box
from models.motion import Motion
from tasks.evaluation.networks import CLIP_FRAMES, Embedder, Networks, batch
from tasks.quality.distances import (
    Flicker,
    expression_distance,
    landmark_distance,
    pose_distance,
    shape_distance,
    similarity,
)
from tasks.quality.meter import aligned_portrait, track_of
from tasks.quality.torchscript import TorchScript
from troupe import FaceChoice, Picture, Track
from troupe.errors import InputError
from troupe.faces import LARGEST, Face

__all__ = ["CROSS", "OVERALL", "SELF", "Evaluator", "Subject", "means", "psnr", "ssim"]

SELF = ("psnr", "ssim", "lpips", "temporal_lpips", "landmarks", "identity", "flicker")
"""Measures of self-reenactment, where a clip drives its own first frame: against the clip itself."""
CROSS = ("identity", "expression", "pose", "landmarks", "flicker")
"""Measures of cross-reenactment, where a clip drives a portrait: against the portrait and against the clip."""
OVERALL = ("fid", "fvd")
"""Measures over all self-reenactments."""

MAX_PSNR = 100.0
"""Decibels reported for identical frames, whose PSNR is infinite."""
_LANDMARK_SIDE = 512
"""Side in pixels of the picture in which landmark distances of self-reenactment are given, whatever the model's."""
_LPIPS_BATCH = 16


@dataclass(frozen=True)
class Subject:
    """A render and its inputs.

    Attributes:
        render: frames of the animated square.
        portrait, face: file of the picture, and the choice of the face in it.
        frames: frames of the driving clip, all that were rendered.
        shots, track: motion of the driving clip, one per shot, and its track.
        is_self: whether the clip drives its own first frame.
    """

    render: Iterable[Picture]
    portrait: Path
    face: FaceChoice
    frames: Iterable[Picture]
    shots: Sequence[Motion]
    track: Track
    is_self: bool


class Evaluator:
    """Measures of each render, and accumulated measures over all of them.

    Args:
        animator: model whose motion encoders compare expressions and head poses.
        detector: face detector.
        embedder: network that compares identities.
        networks: further networks to measure with.
    """

    def __init__(self, animator: Animator, detector: FaceDetector, embedder: Embedder, networks: Networks) -> None:
        self._animator, self._detector, self._embedder, self._networks = animator, detector, embedder, networks
        self._fid, self._fvd = FrechetDistance(networks.inception), FrechetDistance(networks.video)

    def measure(self, subject: Subject) -> dict[str, float | None]:
        """Return the measures of one render by name; None where a network is missing or no face was found.

        Raises:
            InputError: the render and its clip differ in their number of frames.
        """
        return self._measure_self(subject) if subject.is_self else self._measure_cross(subject)

    def compute_overall(self) -> dict[str, float | None]:
        """Return the measures over all self-reenactments; None where a network is missing or there are too few."""
        return {"fid": self._fid.compute(), "fvd": self._fvd.compute()}

    def _measure_self(self, subject: Subject) -> dict[str, float | None]:
        psnrs, ssims, distances, identities = _mean(), _mean(), _mean(), _mean()
        flicker, lpips = Flicker(), LpipsMeter(self._networks.lpips)
        clip: list[tuple[Picture, Picture]] = []
        for made, real in self._pairs(subject):
            flicker.update(made)
            psnrs.update(psnr(made, real))
            ssims.update(ssim(made, real))
            lpips.update(made, real)
            faces = self._face(made), self._face(real)
            if faces[0] is not None and faces[1] is not None:
                scale = _LANDMARK_SIDE / made.shape[0]
                distances.update(landmark_distance(faces[0].keypoints * scale, faces[1].keypoints * scale))
                identities.update(similarity(self._embed(made, faces[0]), self._embed(real, faces[1])))
            clip.append((made, real))
            if len(clip) == CLIP_FRAMES:
                self._update_overall(clip)
                clip = []
        self._update_overall(clip)
        return {
            "psnr": _value(psnrs),
            "ssim": _value(ssims),
            **lpips.compute(),
            "landmarks": _value(distances),
            "identity": _value(identities),
            "flicker": flicker.compute(),
        }

    def _measure_cross(self, subject: Subject) -> dict[str, float | None]:
        identities, shapes, flicker = _mean(), _mean(), Flicker()
        expression_error: float | None = None
        pose_error: float | None = None
        identity = self._embed_portrait(subject)
        found: list[tuple[int, Picture, Face]] = []
        for index, made in enumerate(subject.render):
            if index >= len(subject.track):
                raise InputError(f"the render has more frames than its driving clip, which has {len(subject.track)}")
            flicker.update(made)
            if (face := self._face(made)) is None:
                continue
            identities.update(similarity(identity, self._embed(made, face)))
            shapes.update(shape_distance(face.keypoints, subject.track.keypoints[index]))
            found.append((index, made, face))
        if found:
            indices = [index for index, *_ in found]
            motion = self._animator.encode_motion((f for _, f, _ in found), track_of([face for *_, face in found]))
            expression = torch.cat([shot.expression for shot in subject.shots])
            rotation = torch.cat([shot.rotation for shot in subject.shots])
            expression_error = expression_distance(motion.expression, expression[indices])
            pose_error = pose_distance(motion.rotation, rotation[indices])
        return {
            "identity": _value(identities),
            "expression": expression_error,
            "pose": pose_error,
            "landmarks": _value(shapes),
            "flicker": flicker.compute(),
        }

    def _pairs(self, subject: Subject) -> Iterator[tuple[Picture, Picture]]:
        """Yield each frame of the render with its target, the clip's head crop, which is as fixed as the render's."""
        for index, (made, frame) in enumerate(zip_longest(subject.render, subject.frames)):
            if made is None or frame is None:
                raise InputError(f"render and driving clip differ in length: one of them ends after {index} frames")
            box = head_box(subject.track.boxes[0], frame.shape[1], frame.shape[0])
            yield made, crop_head(frame, box, made.shape[0])

    def _update_overall(self, clip: list[tuple[Picture, Picture]]) -> None:
        if not clip:
            return
        for real in (False, True):
            frames = batch([pair[real] for pair in clip])
            self._fid.update(frames, real=real)
            if len(clip) == CLIP_FRAMES:
                self._fvd.update(frames.float().permute(1, 0, 2, 3)[None], real=real)

    def _face(self, frame: Picture) -> Face | None:
        faces = self._detector.detect(frame)
        return LARGEST.pick(faces, "the frame") if faces else None

    def _embed(self, frame: Picture, face: Face) -> Tensor:
        return self._embedder(align_face(frame, face.keypoints))

    def _embed_portrait(self, subject: Subject) -> Tensor:
        size = self._animator.config.image_size
        return self._embedder(aligned_portrait(self._detector, size, subject.portrait, subject.face))


def _mean() -> MeanMetric:
    """Return a mean over frames in float64, which keeps NaN."""
    mean = MeanMetric(nan_strategy="disable")
    mean.set_dtype(torch.float64)
    return mean


def _value(mean: MeanMetric) -> float | None:
    """Return the mean; None if it was never updated."""
    return float(mean.compute()) if mean.update_called else None


class LpipsMeter:
    """LPIPS (Zhang et al., 2018) between pairs of frames, and temporal LPIPS.

    Temporal LPIPS compares the change from each frame to the next: the mean of
    |LPIPS(g[t], g[t+1]) - LPIPS(r[t], r[t+1])| (tLP of Chu et al., 2020).
    """

    def __init__(self, network: TorchScript | None) -> None:
        self._network = network
        self._lpips, self._temporal = _mean(), _mean()
        self._pairs: list[tuple[Picture, Picture]] = []

    def update(self, made: Picture, real: Picture) -> None:
        """Add the next pair of frames."""
        if self._network is None:
            return
        self._pairs.append((made, real))
        if len(self._pairs) > _LPIPS_BATCH:
            self._measure(self._network)

    def compute(self) -> dict[str, float | None]:
        """Return both measures by name."""
        if self._network is not None and self._pairs:
            self._measure(self._network)
            if self._pairs:  # the last frame, which has no next one
                made, real = (_signed(batch([pair[n] for pair in self._pairs])) for n in (0, 1))
                self._lpips.update(float(self._network(made, real).mean()))
        return {"lpips": _value(self._lpips), "temporal_lpips": _value(self._temporal)}

    def _measure(self, network: TorchScript) -> None:
        """Measure all but the last pair, which is kept as the predecessor of the next one."""
        if len(self._pairs) < 2:
            return
        made, real = (_signed(batch([pair[n] for pair in self._pairs])) for n in (0, 1))
        self._lpips.update(network(made[:-1], real[:-1]).mean(dim=1))
        steps = network(made[:-1], made[1:]) - network(real[:-1], real[1:])
        self._temporal.update(steps.abs().mean(dim=1))
        self._pairs = self._pairs[-1:]


class _Identity(nn.Module):
    """Stand-in for the network that torchmetrics expects: the inputs are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


@dataclass
class FrechetDistance:
    """Frechet distance between the features of two sets (Heusel et al., 2017), by torchmetrics."""

    network: TorchScript | None
    metric: FrechetInceptionDistance | None = field(default=None, init=False)

    def update(self, inputs: Tensor, *, real: bool) -> None:
        """Add inputs to one of the sets."""
        if self.network is None:
            return
        features = self.network(inputs)
        if self.metric is None:
            self.metric = FrechetInceptionDistance(_Identity(features.shape[1]))
        self.metric.update(features, real=real)

    def compute(self) -> float | None:
        """Return the distance between the sets; None if either has fewer than two entries."""
        if self.metric is None or min(self.metric.real_features_num_samples, self.metric.fake_features_num_samples) < 2:
            return None
        # Rounding may push a distance of 0 below it.
        return max(float(self.metric.compute()), 0.0)


def psnr(made: Picture, real: Picture) -> float:
    """Return the PSNR in decibels, at most `MAX_PSNR`, by scikit-image."""
    if np.array_equal(made, real):
        return MAX_PSNR
    value = peak_signal_noise_ratio(real, made, data_range=255)  # type: ignore[no-untyped-call]
    return min(float(value), MAX_PSNR)


def ssim(made: Picture, real: Picture) -> float:
    """Return the SSIM (Wang et al., 2004), by scikit-image: Gaussian window, sigma 1.5, mean over colours."""
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    value = structural_similarity(real, made, channel_axis=2, data_range=255, **window)  # type: ignore[no-untyped-call]
    return float(value)


def _signed(frames: Tensor) -> Tensor:
    """Scale uint8 to [-1, 1]."""
    return frames.float() / 127.5 - 1


def means(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, float | None]:
    """Return each measure's mean over the rows that have it, by name."""
    rows = list(rows)
    return {
        name: float(np.mean(values)) if (values := [row[name] for row in rows if row[name] is not None]) else None
        for name in names
    }
