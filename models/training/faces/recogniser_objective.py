"""The recogniser: its network and its training objective, ArcFace (Deng et al., arXiv 1801.07698)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from models.faces.alignment import ALIGNED_SIZE, align_face
from models.faces.detection.detector import FaceDetector, open_detector
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, Identity, draw_portrait, render
from models.training.augmentation import augment
from models.training.convolution import Convolution, Residual, plain
from models.training.objective import Batch, Objective
from models.training.onnx_export import export_onnx
from models.training.sampling import sample_identity, sample_moment, swap_outfit
from troupe import Face, Floats, Picture

__all__ = ["RecogniserNetwork", "RecogniserObjective"]

PEOPLE = 2000
LENGTH = 512
MARGIN, SCALE = 0.3, 24.0
"""Margin in radians and scale of the softmax."""
JITTER = 0.025
"""Largest standard deviation of keypoints, in face widths."""
LIGHT = 0.7
NARROWEST, WIDEST = 30.0, 200.0
"""Range of face widths in pixels."""
MOVED = 0.5
"""Share of the pictures with other clothes and another backdrop, so that identity does not depend on them."""
GALLERY, PROBES = 100, 3
"""Number of held-out people, and of probe pictures of each."""


class RecogniserNetwork(nn.Module):
    """Convolutions that downsample by 16, one depthwise filter over the remaining positions, one linear layer."""

    def __init__(self, length: int = LENGTH) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Convolution(3, 24, stride=2), nn.ReLU(), Convolution(24, 48, stride=2), nn.ReLU(), Residual(48),
            Convolution(48, 80, stride=2), nn.ReLU(), Residual(80),
            Convolution(80, 112, stride=2), nn.ReLU(), Residual(112),
        )  # fmt: skip
        side = ALIGNED_SIZE // 16
        self.places = nn.Conv2d(112, 112, side, groups=112)
        nn.init.normal_(self.places.weight, std=1 / side)
        self.direction = nn.Linear(112, length)

    def forward(self, aligned: Tensor) -> Tensor:
        """
        Args:
            aligned: (B, 3, 112, 112), RGB in [0, 1].

        Returns:
            (B, length), of any norm.
        """
        found = self.places(self.features(aligned * 4 - 2)).flatten(1)
        with torch.autocast(found.device.type, enabled=False):
            embedding: Tensor = self.direction(found.float())
        return embedding


class _Classes(nn.Module):
    """The network with the class weights of the people it is trained on."""

    def __init__(self, people: int) -> None:
        super().__init__()
        self.network = RecogniserNetwork()
        self.people = nn.Parameter(torch.randn(people, LENGTH) / math.sqrt(LENGTH))

    def forward(self, aligned: Tensor) -> Tensor:
        """See `RecogniserNetwork`."""
        found: Tensor = self.network(aligned)
        return found


class RecogniserObjective(Objective):
    """Classification of synthetic people; the embedding generalises to new ones.

    Args:
        weights: weights directory, whose detector is used in the evaluation.
        people: number of classes.
    """

    def __init__(self, weights: Path | None = None, people: int = PEOPLE) -> None:
        self._weights = weights
        self._people = people

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return _Classes(self._people).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a random person: `aligned` (112, 112, 3) uint8, and the class, `person`."""
        seed = int(rng.integers(self._people))
        person = Identity.from_seed(seed)
        if rng.random() < MOVED:
            person = swap_outfit(person, sample_identity(rng))
        return {"aligned": torch.from_numpy(_seen(person, rng)), "person": torch.tensor(seed)}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the additive angular margin softmax, and the accuracy without the margin."""
        assert isinstance(network, _Classes)
        person = batch["person"]
        seen = batch["aligned"].permute(0, 3, 1, 2).float() / 255  # the channels stay innermost
        embedding = normalize(network(seen).float())
        with torch.autocast(embedding.device.type, enabled=False):
            cosines = linear(embedding, normalize(network.people.float()))
        loss = cross_entropy(with_margin(cosines, person, MARGIN) * SCALE, person)
        right = (cosines.argmax(1) == person).float().mean()
        return {"loss": loss, "right": right}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write `arcface.onnx`, without the class weights."""
        assert isinstance(network, _Classes)
        directory.mkdir(parents=True, exist_ok=True)
        export_onnx(
            plain(network.network).eval(),
            torch.zeros(1, 3, ALIGNED_SIZE, ALIGNED_SIZE),
            directory / "arcface.onnx",
            "data",
            ["embedding"],
        )

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Evaluate identification of 100 held-out people: the shares of their pictures nearest to their own portrait.

        `found`: unchanged pictures; `found_detected`: aligned by the keypoints of the weights directory's detector;
        `found_elsewhere`: with other clothes and another backdrop; `found_worn`: augmented, small and with imprecise
        keypoints. `apart`: mean cosine of two people's portraits; `together`: mean cosine of a person's pictures with
        their portrait.
        """
        assert isinstance(network, _Classes)

        def embed(aligned: list[Floats]) -> Tensor:
            seen = torch.from_numpy(np.stack(aligned)).permute(0, 3, 1, 2).contiguous()
            return normalize(network(seen).float())

        seeds = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + GALLERY)
        rng = np.random.default_rng(0x1D)
        portraits = [draw_portrait(seed) for seed in seeds]
        probes, moved = [], []
        worn: list[Floats] = []
        for person in map(Identity.from_seed, seeds):
            for _ in range(PROBES):
                moment = sample_moment(rng, held_out=True)
                probes.append(render(person, moment, CLIP_SIZE))
                moved.append(render(swap_outfit(person, sample_identity(rng, held_out=True)), moment, CLIP_SIZE))
                worn.append(_seen(person, rng, held_out=True).astype(np.float32) / np.float32(255))
        gallery = embed([_aligned(*shown) for shown in portraits])
        cosines = {
            "found": embed([_aligned(*shown) for shown in probes]) @ gallery.T,
            "found_elsewhere": embed([_aligned(*shown) for shown in moved]) @ gallery.T,
            "found_worn": embed(worn) @ gallery.T,
        }
        if self._weights is not None and (path := self._weights / "detector.onnx").is_file():
            detector = open_detector(path, "cpu")
            seen, sought = ([_detected(detector, *shown) for shown in list_] for list_ in (portraits, probes))
            cosines["found_detected"] = embed(sought) @ embed(seen).T
        own = torch.arange(GALLERY).repeat_interleave(PROBES)
        others = ~torch.eye(GALLERY, dtype=torch.bool)
        return {
            **{name: float((found.argmax(1) == own).float().mean()) for name, found in cosines.items()},
            "apart": float((gallery @ gallery.T)[others].mean()),
            "together": float(cosines["found"].gather(1, own[:, None]).mean()),
        }


def with_margin(cosines: Tensor, person: Tensor, margin: float) -> Tensor:
    """Add a margin in radians to the angle to each example's own class in cosines (B, N).

    Beyond pi, where the cosine would rise again, it continues linearly.
    """
    own = cosines.gather(1, person[:, None])
    angle = torch.acos(own.clamp(-1 + 1e-6, 1 - 1e-6))
    wider = torch.where(angle + margin < math.pi, torch.cos(angle + margin), own - margin * math.sin(margin))
    return cosines.scatter(1, person[:, None], wider)


def _seen(person: Identity, rng: np.random.Generator, held_out: bool = False) -> Picture:
    """Draw a person at a random moment and size, augmented and aligned, (112, 112, 3)."""
    # An average face is 0.43 of the picture's side wide.
    side = max(round(float(np.exp(rng.uniform(np.log(NARROWEST), np.log(WIDEST)))) / 0.43), 64)
    picture, face = render(person, sample_moment(rng, held_out), (side, side))
    if rng.random() < 0.8:
        picture = augment(picture, rng, LIGHT)
    size = float(face.box[2] - face.box[0])
    jitter = rng.normal(0, 1, (5, 2)) * size * JITTER * rng.random()
    aligned = align_face(picture, (face.keypoints + jitter).astype(np.float32))
    return np.rint(aligned * 255).astype(np.uint8)


def _aligned(picture: Picture, face: Face) -> Floats:
    return align_face(picture, face.keypoints)


def _detected(detector: FaceDetector, picture: Picture, face: Face) -> Floats:
    """Align by the detector's keypoints; black if it finds no face."""
    found = detector.detect_near(picture, face.box) or detector.detect(picture)
    return align_face(picture, found[0].keypoints) if found else np.zeros((ALIGNED_SIZE, ALIGNED_SIZE, 3), np.float32)
