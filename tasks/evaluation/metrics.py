"""What the field measures, of one render at a time and of all together."""

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
from torchmetrics.image.fid import FrechetInceptionDistance

from models.animator import Animator
from models.faces import FaceDetector, align_face, crop_head, head_box
from models.motion import Motion
from tasks.evaluation.networks import Embedder, Networks, TorchScript, batch
from tasks.quality.distances import (
    Flicker,
    expression_distance,
    landmark_distance,
    pose_distance,
    shape_distance,
    similarity,
)
from tasks.quality.meter import aligned_portrait, track_of
from troupe import FaceChoice, Picture, Track
from troupe.errors import InputError
from troupe.faces import LARGEST, Face

__all__ = ["CROSS", "SELF", "TOGETHER", "Evaluator", "Subject", "means", "psnr", "ssim"]

SELF = ("psnr", "ssim", "lpips", "temporal_lpips", "landmarks", "identity", "flicker")
"""Measures of a clip that drives its own first frame: against the clip itself."""
CROSS = ("identity", "expression", "pose", "landmarks", "flicker")
"""Measures of a portrait that acts another's clip: against the portrait, and against the clip."""
TOGETHER = ("fid", "fvd")
"""Measures of all self-reenactments together."""

MOST_PSNR = 100.0
"""Decibels; identical frames have no finite ratio and are given this one."""
CLIP_FRAMES = 16
"""Of the clips that FVD looks at, without overlap."""
_LMD_SIDE = 512
"""Landmark distances of self-reenactment are in pixels of a picture of this side, whatever the model's."""
_AT_ONCE = 16


@dataclass(frozen=True)
class Subject:
    """A render and what it was made of.

    Attributes:
        render: frames of the animated square.
        portrait, face: file of the picture, and which face in it.
        frames: of the driving clip, all that were acted.
        shots, track: of the driving clip; its motion, in the parts in which it was encoded.
        own: whether the clip drives its own first frame.
    """

    render: Iterable[Picture]
    portrait: Path
    face: FaceChoice
    frames: Iterable[Picture]
    shots: Sequence[Motion]
    track: Track
    own: bool


class Evaluator:
    """Measures renders one by one, and keeps what the measures of all together need.

    Args:
        animator: whose motion encoders tell expressions and poses.
        detector: finds the faces.
        embedder: tells identities.
        networks: what else there is to measure with.
    """

    def __init__(self, animator: Animator, detector: FaceDetector, embedder: Embedder, networks: Networks) -> None:
        self._animator, self._detector, self._embedder, self._networks = animator, detector, embedder, networks
        self._fid, self._fvd = FrechetDistance(networks.inception), FrechetDistance(networks.video)

    def measure(self, subject: Subject) -> dict[str, float | None]:
        """Of one render, by name; None where a network is not given or no face was seen.

        Raises:
            InputError: the render has not as many frames as its clip.
        """
        return self._own(subject) if subject.own else self._cross(subject)

    def together(self) -> dict[str, float | None]:
        """Of all self-reenactments that were measured; None where a network is not given or there is too little."""
        return {"fid": self._fid.distance(), "fvd": self._fvd.distance()}

    def _own(self, subject: Subject) -> dict[str, float | None]:
        signal, structure, distances, identities = Mean(), Mean(), Mean(), Mean()
        flicker, perceived = Flicker(), LpipsMeter(self._networks.lpips)
        clip: list[tuple[Picture, Picture]] = []
        for made, real in self._pairs(subject):
            flicker.see(made)
            signal.add(psnr(made, real))
            structure.add(ssim(made, real))
            perceived.see(made, real)
            faces = self._face(made), self._face(real)
            if faces[0] is not None and faces[1] is not None:
                scale = _LMD_SIDE / made.shape[0]
                distances.add(landmark_distance(faces[0].keypoints * scale, faces[1].keypoints * scale))
                identities.add(similarity(*(self._vector(*seen) for seen in ((made, faces[0]), (real, faces[1])))))
            clip.append((made, real))
            if len(clip) == CLIP_FRAMES:
                self._collect(clip)
                clip = []
        self._collect(clip)
        return {
            "psnr": signal.value,
            "ssim": structure.value,
            **perceived.values(),
            "landmarks": distances.value,
            "identity": identities.value,
            "flicker": flicker.value,
        }

    def _cross(self, subject: Subject) -> dict[str, float | None]:
        identities, shapes, flicker = Mean(), Mean(), Flicker()
        expressions, poses = Mean(), Mean()
        identity = self._portrait(subject)
        seen: list[tuple[int, Picture, Face]] = []
        for index, made in enumerate(subject.render):
            if index >= len(subject.track):
                raise InputError(f"the render has more frames than the {len(subject.track)} of its clip")
            flicker.see(made)
            if (face := self._face(made)) is None:
                continue
            identities.add(similarity(identity, self._vector(made, face)))
            shapes.add(shape_distance(face.keypoints, subject.track.keypoints[index]))
            seen.append((index, made, face))
        if seen:
            at = [index for index, *_ in seen]
            own = self._animator.encode_motion((f for _, f, _ in seen), track_of([face for *_, face in seen]))
            expression = torch.cat([shot.expression for shot in subject.shots])
            rotation = torch.cat([shot.rotation for shot in subject.shots])
            expressions.add(expression_distance(own.expression, expression[at]))
            poses.add(pose_distance(own.rotation, rotation[at]))
        return {
            "identity": identities.value,
            "expression": expressions.value,
            "pose": poses.value,
            "landmarks": shapes.value,
            "flicker": flicker.value,
        }

    def _pairs(self, subject: Subject) -> Iterator[tuple[Picture, Picture]]:
        """Frames of the render with what they should be: the head crop of the clip, which stands still as theirs."""
        for index, (made, frame) in enumerate(zip_longest(subject.render, subject.frames)):
            if made is None or frame is None:
                raise InputError(f"render and clip differ in length: one of them ends after {index} frames")
            box = head_box(subject.track.boxes[0], frame.shape[1], frame.shape[0])
            yield made, crop_head(frame, box, made.shape[0])

    def _collect(self, clip: list[tuple[Picture, Picture]]) -> None:
        if not clip:
            return
        for real in (False, True):
            frames = batch([pair[real] for pair in clip])
            self._fid.see(frames, real=real)
            if len(clip) == CLIP_FRAMES:
                self._fvd.see(frames.float().permute(1, 0, 2, 3)[None], real=real)

    def _face(self, frame: Picture) -> Face | None:
        faces = self._detector.detect(frame)
        return LARGEST.pick(faces, "the frame") if faces else None

    def _vector(self, frame: Picture, face: Face) -> Tensor:
        return self._embedder(align_face(frame, face.keypoints))

    def _portrait(self, subject: Subject) -> Tensor:
        size = self._animator.config.image_size
        return self._embedder(aligned_portrait(self._detector, size, subject.portrait, subject.face))


@dataclass
class Mean:
    """Of the numbers added; None of none."""

    sum: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Another number."""
        self.sum += value
        self.count += 1

    @property
    def value(self) -> float | None:
        """The mean."""
        return self.sum / self.count if self.count else None


class LpipsMeter:
    """LPIPS (Zhang et al., 2018) between pairs of frames, and how much more or less a frame differs from the next.

    The temporal one is the mean of |LPIPS(g[t], g[t+1]) - LPIPS(r[t], r[t+1])| (tLP of Chu et al., 2020).
    """

    def __init__(self, network: TorchScript | None) -> None:
        self._network = network
        self._between, self._over = Mean(), Mean()
        self._pairs: list[tuple[Picture, Picture]] = []

    def see(self, made: Picture, real: Picture) -> None:
        """The next pair."""
        if self._network is None:
            return
        self._pairs.append((made, real))
        if len(self._pairs) > _AT_ONCE:
            self._measure(self._network)

    def values(self) -> dict[str, float | None]:
        """Both, by name."""
        if self._network is not None and self._pairs:
            self._measure(self._network)
            if self._pairs:  # the last frame, which has no next one
                made, real = (_signed(batch([pair[n] for pair in self._pairs])) for n in (0, 1))
                self._between.add(float(self._network(made, real).mean()))
        return {"lpips": self._between.value, "temporal_lpips": self._over.value}

    def _measure(self, network: TorchScript) -> None:
        """All but the last pair, which stays as the next one's neighbour."""
        if len(self._pairs) < 2:
            return
        made, real = (_signed(batch([pair[n] for pair in self._pairs])) for n in (0, 1))
        for value in network(made[:-1], real[:-1]).mean(dim=1):
            self._between.add(float(value))
        steps = network(made[:-1], made[1:]) - network(real[:-1], real[1:])
        for value in steps.abs().mean(dim=1):
            self._over.add(float(value))
        self._pairs = self._pairs[-1:]


class _Features(nn.Module):
    """What torchmetrics takes for a network where the features are there already."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.num_features = length

    def forward(self, features: Tensor) -> Tensor:
        return features


@dataclass
class FrechetDistance:
    """The Frechet distance between the features of two sets (Heusel et al., 2017), by torchmetrics."""

    network: TorchScript | None
    metric: FrechetInceptionDistance | None = field(default=None, init=False)

    def see(self, inputs: Tensor, *, real: bool) -> None:
        """More of one of the sets."""
        if self.network is None:
            return
        features = self.network(inputs)
        if self.metric is None:
            self.metric = FrechetInceptionDistance(_Features(features.shape[1]))
        self.metric.update(features, real=real)

    def distance(self) -> float | None:
        """Between the sets; None of fewer than two entries each."""
        if self.metric is None or min(self.metric.real_features_num_samples, self.metric.fake_features_num_samples) < 2:
            return None
        # Rounding may take what is nothing below it.
        return max(float(self.metric.compute()), 0.0)


def psnr(made: Picture, real: Picture) -> float:
    """Decibels, MOST_PSNR at most, by scikit-image."""
    if np.array_equal(made, real):
        return MOST_PSNR
    value = peak_signal_noise_ratio(real, made, data_range=255)  # type: ignore[no-untyped-call]
    return min(float(value), MOST_PSNR)


def ssim(made: Picture, real: Picture) -> float:
    """Wang et al. (2004), by scikit-image: a Gaussian window of 11 pixels, deviation 1.5; the mean over the colours."""
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    value = structural_similarity(real, made, channel_axis=2, data_range=255, **window)  # type: ignore[no-untyped-call]
    return float(value)


def _signed(frames: Tensor) -> Tensor:
    """uint8 to [-1, 1]."""
    return frames.float() / 127.5 - 1


def means(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, float | None]:
    """Over the rows in which it was measured, by name."""
    every = list(rows)
    return {
        name: float(np.mean(values)) if (values := [row[name] for row in every if row[name] is not None]) else None
        for name in names
    }
