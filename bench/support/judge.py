"""The judge: a network that reads performances and recognises people, independent of the model that it judges.

It is trained on the renderer's ground truth alone. From a head crop it reads how the head is turned and how far mouth
and eyes are open, and returns an embedding that is similar for all pictures of one person. `bench.miniature` judges a
model's outputs with it.

`python -m bench.support.judge FOLDER` trains it, with checkpoints and curves in the folder, and writes
`judge.safetensors` beside this file. It is not trained on the people and performances reserved for measuring.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.faces import Box, crop_head, head_box
from models.miniature import FIRST_HELD_OUT_SEED, Identity, Moment, Performance, locate, render
from models.tensorfile import read_tensors, write_tensors
from models.training import Batch, Objective
from models.training.augmentation import augment
from models.training.sampling import sample_identity, swap_outfit
from tasks.train.config import PartConfig
from tasks.train.loop import train
from tasks.train.results import result
from troupe import Floats, Picture
from troupe.errors import WeightsError

__all__ = ["FILE", "SIDE", "TRAITS", "Judge", "JudgeObjective", "main", "open_judge", "true_traits"]

FILE = Path(__file__).with_name("judge.safetensors")
VERSION = "troupe witness 1"
SIDE, LENGTH = 128, 128
"""Pixels of a head crop's sides; dimensions of the embedding."""
TRAITS = {"yaw": (0.0, 17.0), "pitch": (0.7, 7.0), "roll": (0.0, 6.0), "mouth": (0.22, 0.22), "eyes": (0.80, 0.25)}
"""What the judge reads, with the mean and the standard deviation of each in the synthetic world."""
TRAITS_WEIGHT, TEMPERATURE = 4.0, 0.1
"""Weight of the traits' loss against the identity's; temperature of the latter."""

FRAME_RATE, MAX_FIRST, MAX_DELAY = 25, 75, 50
"""Frames per second; last frame whose face may position the crop, and most frames from it to the picture."""
PICTURE_SIDES, BOX_JITTER, MAX_ZOOM = (128, 224), 0.03, 0.08
"""Pixels of a picture's sides; standard deviation of the box in face widths; largest share of a crop's side that is cut
off: a model does not put every face exactly where it belongs."""
MOVED, AUGMENTED, SOFTENED = 0.5, 0.3, 0.5
"""Shares of the pictures in which people wear others' clothes before others' walls, that are augmented, and that are
blurred as a model's outputs are."""
GALLERY, PROBES = 100, 3
"""Number of candidates; pictures of each that are looked up among them."""
BATCH = 64
RECIPE = PartConfig(
    "judge", steps=1000, batch=16, rate=2e-3, warmup=50, ema=0.99, precision="bf16", optimizer="muon", loaders=2
)


class JudgeNetwork(nn.Module):
    """Convolutions that halve the picture four times, two full-size filters per channel, and two linear heads."""

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 48, 72, 112)
        layers: list[nn.Module] = [_layer(3, widths[0], 2)]
        for before, width in pairwise(widths):
            layers += [_layer(before, width, 2), _Residual(width)]
        self.features = nn.Sequential(*layers)
        self.places = nn.Conv2d(widths[-1], 2 * widths[-1], SIDE // 16, groups=widths[-1])
        self.said = nn.Linear(2 * widths[-1], len(TRAITS))
        self.person = nn.Linear(2 * widths[-1], LENGTH)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            pictures: (B, S, S, 3) uint8.

        Returns:
            (B, traits), in standard deviations, and (B, length), of unit norm.
        """
        seen = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1  # the channels stay innermost
        found = F.silu(self.places(self.features(seen)).flatten(1))
        return self.said(found), F.normalize(self.person(found).float(), dim=1)


class _Residual(nn.Module):
    """Two layers with a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_layer(width, width), _layer(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        out: Tensor = x + self.layers(x)
        return out


def _layer(channels: int, filters: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(8, filters), nn.SiLU())


class Judge:
    """A trained judge.

    Args:
        network: trained network, on any device.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def read(self, pictures: Picture) -> dict[str, Floats]:
        """Return the names of `TRAITS` -> (N,), angles in degrees, openings 0..1.

        Args:
            pictures: (N, S, S, 3) uint8, head crops.
        """
        traits = self._predict(pictures)[0]
        return {name: traits[:, column] * scale + mean for column, (name, (mean, scale)) in enumerate(TRAITS.items())}

    def identify(self, pictures: Picture) -> Floats:
        """Return embeddings (N, length) of unit norm, similar for pictures of one person; see `read`."""
        return self._predict(pictures)[1]

    @torch.inference_mode()
    def _predict(self, pictures: Picture) -> tuple[Floats, Floats]:
        device = next(self._network.parameters()).device
        parts = [self._network(part.to(device)) for part in torch.split(torch.from_numpy(pictures), BATCH)]
        traits, person = (torch.cat(outputs).cpu().numpy() for outputs in zip(*parts, strict=True))
        return traits, person


def open_judge(path: Path = FILE) -> Judge:
    """Load the judge.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    network = JudgeNetwork()
    names = list(network.state_dict())
    try:
        values = read_tensors(path, VERSION, *names)
        network.load_state_dict({name: value.float() for name, value in zip(names, values, strict=True)})
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"cannot load the judge from {path} ({error}); `python -m bench.support.judge FOLDER` trains one"
        ) from error
    return Judge(network.eval())


def true_traits(moment: Moment) -> dict[str, float]:
    """Return the true traits of a moment; the eyes' opening is clipped to 0..1."""
    eyes = sum(min(max(eye, 0.0), 1.0) for eye in (moment.left, moment.right)) / 2
    values = vars(moment) | {"eyes": eyes}
    return {name: values[name] for name in TRAITS}


class JudgeObjective(Objective):
    """Training of the judge: regression of the traits, and InfoNCE (van den Oord et al., arXiv 1807.03748) between two
    pictures of each person in the batch."""

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return JudgeNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return one person in two performances: `pictures` (2, S, S, 3) uint8, `truth` (2, traits) in deviations."""
        person = sample_identity(rng)
        pictures, moments = zip(*(_head_crop(person, rng) for _ in range(2)), strict=True)
        mean, scale = torch.tensor(list(TRAITS.values())).T
        truth = torch.tensor([list(true_traits(moment).values()) for moment in moments])
        return {"pictures": torch.from_numpy(np.stack(pictures)), "truth": (truth - mean) / scale}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return `loss`, its parts `traits` and `identity`, and the identity's `accuracy`."""
        read, person = network(batch["pictures"].flatten(0, 1))
        traits = F.smooth_l1_loss(read, batch["truth"].flatten(0, 1))
        one, other = person.unflatten(0, (-1, 2)).unbind(1)
        cosines, own = one @ other.T, torch.arange(len(one), device=one.device)
        identity = sum(F.cross_entropy(side / TEMPERATURE, own) for side in (cosines, cosines.T)) / 2
        accuracy = (cosines.argmax(1) == own).float().mean()
        return {
            "loss": TRAITS_WEIGHT * traits + identity,
            "traits": traits,
            "identity": torch.as_tensor(identity),
            "accuracy": accuracy,
        }

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write `judge.safetensors`, in float16."""
        directory.mkdir(parents=True, exist_ok=True)
        values = {name: value.half() for name, value in network.state_dict().items()}
        write_tensors(directory / FILE.name, VERSION, values)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Measure the judge on plain pictures of 100 people reserved for measuring.

        Returns:
            The correlation of each trait with the truth; `found`, the share of pictures that are nearest to the first
            one of the same person; and `found_elsewhere`, the same in other clothes before another wall.
        """
        judge, rng = Judge(network.eval()), np.random.default_rng(0x817)
        people = [Identity.from_seed(FIRST_HELD_OUT_SEED + number) for number in range(GALLERY)]
        shots = [_head_crop(person, rng, held_out=True) for person in people for _ in range(1 + PROBES)]
        moved = [
            _head_crop(swap_outfit(person, sample_identity(rng, held_out=True)), rng, held_out=True)[0]
            for person in people
        ]
        pictures = np.stack([picture for picture, _ in shots])
        truths = [true_traits(moment) for _, moment in shots]
        read = judge.read(pictures)
        found = {name: float(np.corrcoef(read[name], [truth[name] for truth in truths])[0, 1]) for name in TRAITS}
        vectors = judge.identify(pictures).reshape(GALLERY, 1 + PROBES, LENGTH)
        gallery, probes, own = vectors[:, 0], vectors[:, 1:], np.arange(GALLERY)
        found["found"] = float(((probes @ gallery.T).argmax(2) == own[:, None]).mean())
        found["found_elsewhere"] = float(((judge.identify(np.stack(moved)) @ gallery.T).argmax(1) == own).mean())
        return found


def _head_crop(person: Identity, rng: np.random.Generator, held_out: bool = False) -> tuple[Picture, Moment]:
    """Draw a head crop (S, S, 3), positioned by the face some frames earlier, and return its moment too."""
    first, delay = int(rng.integers(MAX_FIRST)), int(rng.integers(MAX_DELAY))
    seed = int(rng.integers(FIRST_HELD_OUT_SEED)) + FIRST_HELD_OUT_SEED * held_out
    moments = Performance.from_seed(seed, first + delay + 1, FRAME_RATE).moments
    width, height = (int(side) for side in rng.integers(*PICTURE_SIDES, size=2))
    if not held_out and rng.random() < MOVED:
        person = swap_outfit(person, sample_identity(rng))
    picture = render(person, moments[-1], (width, height))[0]
    if not held_out and rng.random() < AUGMENTED:
        picture = augment(picture, rng)
    box = locate(person, moments[first], (width, height)).box
    box = box + np.float32(BOX_JITTER * (box[2] - box[0])) * rng.standard_normal(4, dtype=np.float32)
    crop = crop_head(picture, _zoomed(head_box(box, width, height), rng), SIDE)
    return crop if held_out else _softened(crop, rng), moments[-1]


def _zoomed(box: Box, rng: np.random.Generator) -> Box:
    """Return a random square that covers most of the box."""
    less = round((box[2] - box[0]) * rng.uniform(0, MAX_ZOOM))
    x, y = (int(v) for v in rng.integers(less + 1, size=2))
    return box[0] + x, box[1] + y, box[2] - less + x, box[3] - less + y


def _softened(picture: Picture, rng: np.random.Generator) -> Picture:
    """Randomly blur the picture and add noise, as a network's outputs may be."""
    if rng.random() >= SOFTENED:
        return picture
    blurred: NDArray[np.float32] = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.1, 1.2)).astype(np.float32)
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0, 6))
    return np.clip(blurred + noise, 0, 255).astype(np.uint8)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, write and measure the judge."""
    parser = ArgumentParser(
        description="Train the judge of bench.miniature; the same command resumes a stopped training."
    )
    parser.add_argument("folder", type=Path, help="folder for checkpoints, curves and measurements")
    parser.add_argument(
        "--into", type=Path, default=FILE.parent, help="folder for judge.safetensors (default %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="training steps (default %(default)s)")
    parser.add_argument("--device", default="auto", help="auto or cpu")
    args = parser.parse_args(argv)
    recipe = PartConfig(**RECIPE.as_dict() | {"steps": args.steps})

    def show(step: int, losses: dict[str, float]) -> None:
        print(step, *(f"{name} {losses[name]:.3f}" for name in ("loss", "traits", "identity", "accuracy")), flush=True)

    train(JudgeObjective(), recipe, args.into, args.folder, on_step=show, device=args.device)
    found = result(args.folder, recipe)
    assert found is not None
    for name, value in found["measured"].items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
