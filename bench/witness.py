"""Who reads a performance and knows a person, and has nothing to do with the model that is judged by it.

A small network of its own, trained on the renderer's truth alone: from a head crop it tells how the head is turned and
how open mouth and eyes are, and gives a vector that is alike for all pictures of a person. `bench.miniature` asks it
what a model's outputs show.

`python -m bench.witness FOLDER` trains it, with checkpoints and curves in the folder, and writes `witness.safetensors`
beside this file. Nothing is learned from people and performances that are kept for measuring.
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
from tasks.train.loop import result, train
from troupe import Floats, Picture
from troupe.errors import WeightsError

__all__ = ["FILE", "SIDE", "TOLD", "Testimony", "Witness", "main", "open_witness", "told"]

FILE = Path(__file__).with_name("witness.safetensors")
VERSION = "troupe witness 1"
SIDE, LENGTH = 128, 128
"""Pixels of a head crop's sides; numbers of the vector that says who somebody is."""
TOLD = {"yaw": (0.0, 17.0), "pitch": (0.7, 7.0), "roll": (0.0, 6.0), "mouth": (0.22, 0.22), "eyes": (0.80, 0.25)}
"""What is told of a performance, with the middle and the deviation of each in the world."""
WORTH, TEMPERATURE = 4.0, 0.1
"""What being wrong of the performance counts beside not knowing the person; what cosines are divided by there."""

RATE, LATEST, LONGEST = 25, 75, 50
"""Frames a second; the frame whose face frames the crop, and how much later a picture is taken, at most."""
SIDES, TREMBLE, CLOSER = (128, 224), 0.03, 0.08
"""Pixels of a picture's sides; deviation of the framing box in face widths; share of a crop's side that may be missing:
a model does not put every face exactly where it belongs."""
MOVED, WORN, SOFT = 0.5, 0.3, 0.5
"""Shares of the pictures in which people wear others' clothes before others' walls, that weather has befallen, and that
are softened as a model's are."""
GALLERY, PROBES = 100, 3
"""Candidates, and pictures of each that are looked for among them."""
AT_ONCE = 64
RECIPE = PartConfig(
    "witness", steps=1000, batch=16, rate=2e-3, warmup=50, ema=0.99, precision="bf16", optimizer="muon", loaders=2
)


class WitnessNetwork(nn.Module):
    """Convolutions that halve the picture four times, two filters over what is left for each channel, two layers."""

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 48, 72, 112)
        layers: list[nn.Module] = [_layer(3, widths[0], 2)]
        for before, width in pairwise(widths):
            layers += [_layer(before, width, 2), _Beside(width)]
        self.features = nn.Sequential(*layers)
        self.places = nn.Conv2d(widths[-1], 2 * widths[-1], SIDE // 16, groups=widths[-1])
        self.said = nn.Linear(2 * widths[-1], len(TOLD))
        self.person = nn.Linear(2 * widths[-1], LENGTH)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            pictures: (B, S, S, 3) uint8.

        Returns:
            (B, told), in deviations, and (B, length), of unit norm.
        """
        seen = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1  # the channels stay innermost
        found = F.silu(self.places(self.features(seen)).flatten(1))
        return self.said(found), F.normalize(self.person(found).float(), dim=1)


class _Beside(nn.Module):
    """Two layers beside a way past them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_layer(width, width), _layer(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), as it comes."""
        out: Tensor = x + self.layers(x)
        return out


def _layer(channels: int, filters: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(8, filters), nn.SiLU())


class Witness:
    """A trained network that is asked.

    Args:
        network: on any device.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def read(self, pictures: Picture) -> dict[str, Floats]:
        """What faces do: the names of `TOLD` -> (N,), angles in degrees, openings 0..1.

        Args:
            pictures: (N, S, S, 3) uint8, head crops.
        """
        said = self._ask(pictures)[0]
        return {name: said[:, column] * scale + middle for column, (name, (middle, scale)) in enumerate(TOLD.items())}

    def identify(self, pictures: Picture) -> Floats:
        """(N, length) of unit norm, alike for pictures of one person; see `read`."""
        return self._ask(pictures)[1]

    @torch.inference_mode()
    def _ask(self, pictures: Picture) -> tuple[Floats, Floats]:
        place = next(self._network.parameters()).device
        parts = [self._network(part.to(place)) for part in torch.split(torch.from_numpy(pictures), AT_ONCE)]
        said, person = (torch.cat(answers).cpu().numpy() for answers in zip(*parts, strict=True))
        return said, person


def open_witness(path: Path = FILE) -> Witness:
    """The witness of that file.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    network = WitnessNetwork()
    names = list(network.state_dict())
    try:
        values = read_tensors(path, VERSION, *names)
        network.load_state_dict({name: value.float() for name, value in zip(names, values, strict=True)})
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        raise WeightsError(f"no witness in {path} ({error}); `python -m bench.witness FOLDER` trains one") from error
    return Witness(network.eval())


def told(moment: Moment) -> dict[str, float]:
    """The truth of what the witness is to tell; lids do not go beyond wide open."""
    eyes = sum(min(max(eye, 0.0), 1.0) for eye in (moment.left, moment.right)) / 2
    said = vars(moment) | {"eyes": eyes}
    return {name: said[name] for name in TOLD}


class Testimony(Objective):
    """Learns to read performances from the truth, and that two pictures of a person are more alike than two of any
    other people in the batch (InfoNCE, van den Oord et al., arXiv 1807.03748)."""

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return WitnessNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Somebody in two performances: `pictures` (2, S, S, 3) uint8, and the `truth` (2, told), in deviations."""
        person = sample_identity(rng)
        pictures, moments = zip(*(_seen(person, rng) for _ in range(2)), strict=True)
        middle, scale = torch.tensor(list(TOLD.values())).T
        truth = torch.tensor([list(told(moment).values()) for moment in moments])
        return {"pictures": torch.from_numpy(np.stack(pictures)), "truth": (truth - middle) / scale}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and its parts: what is read wrongly, and how `strange` a person's other picture looks; the share
        that is told `right`."""
        said, person = network(batch["pictures"].flatten(0, 1))
        wrong = F.smooth_l1_loss(said, batch["truth"].flatten(0, 1))
        one, other = person.unflatten(0, (-1, 2)).unbind(1)
        cosines, own = one @ other.T, torch.arange(len(one), device=one.device)
        strange = sum(F.cross_entropy(side / TEMPERATURE, own) for side in (cosines, cosines.T)) / 2
        right = (cosines.argmax(1) == own).float().mean()
        return {"loss": WORTH * wrong + strange, "wrong": wrong, "strange": torch.as_tensor(strange), "right": right}

    def write(self, network: nn.Module, directory: Path) -> None:
        """As `witness.safetensors`, in float16."""
        directory.mkdir(parents=True, exist_ok=True)
        values = {name: value.half() for name, value in network.state_dict().items()}
        write_tensors(directory / FILE.name, VERSION, values)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """On plain pictures of 100 people kept for measuring: the correlation of what is read with the truth, and the
        shares of pictures that are nearest to the first one of the same person, `found_elsewhere` of those in other
        clothes before another wall."""
        witness, rng = Witness(network.eval()), np.random.default_rng(0x817)
        people = [Identity.from_seed(FIRST_HELD_OUT_SEED + number) for number in range(GALLERY)]
        shots = [_seen(person, rng, measuring=True) for person in people for _ in range(1 + PROBES)]
        moved = [
            _seen(swap_outfit(person, sample_identity(rng, measuring=True)), rng, measuring=True)[0]
            for person in people
        ]
        pictures = np.stack([picture for picture, _ in shots])
        truths = [told(moment) for _, moment in shots]
        read = witness.read(pictures)
        found = {name: float(np.corrcoef(read[name], [truth[name] for truth in truths])[0, 1]) for name in TOLD}
        vectors = witness.identify(pictures).reshape(GALLERY, 1 + PROBES, LENGTH)
        gallery, probes, own = vectors[:, 0], vectors[:, 1:], np.arange(GALLERY)
        found["found"] = float(((probes @ gallery.T).argmax(2) == own[:, None]).mean())
        found["found_elsewhere"] = float(((witness.identify(np.stack(moved)) @ gallery.T).argmax(1) == own).mean())
        return found


def _seen(person: Identity, rng: np.random.Generator, measuring: bool = False) -> tuple[Picture, Moment]:
    """Somebody's head crop (S, S, 3), framed by where the face was some time before, and what they do in it."""
    first, later = int(rng.integers(LATEST)), int(rng.integers(LONGEST))
    seed = int(rng.integers(FIRST_HELD_OUT_SEED)) + FIRST_HELD_OUT_SEED * measuring
    moments = Performance.from_seed(seed, first + later + 1, RATE).moments
    width, height = (int(side) for side in rng.integers(*SIDES, size=2))
    if not measuring and rng.random() < MOVED:
        person = swap_outfit(person, sample_identity(rng))
    picture = render(person, moments[-1], (width, height))[0]
    if not measuring and rng.random() < WORN:
        picture = augment(picture, rng)
    box = locate(person, moments[first], (width, height)).box
    box = box + np.float32(TREMBLE * (box[2] - box[0])) * rng.standard_normal(4, dtype=np.float32)
    crop = crop_head(picture, _closer(head_box(box, width, height), rng), SIDE)
    return crop if measuring else _softened(crop, rng), moments[-1]


def _closer(box: Box, rng: np.random.Generator) -> Box:
    """A part of the square, nearly all of it."""
    less = round((box[2] - box[0]) * rng.uniform(0, CLOSER))
    x, y = (int(v) for v in rng.integers(less + 1, size=2))
    return box[0] + x, box[1] + y, box[2] - less + x, box[3] - less + y


def _softened(picture: Picture, rng: np.random.Generator) -> Picture:
    """Blurred and noisy by chance, as what a network paints may be."""
    if rng.random() >= SOFT:
        return picture
    soft: NDArray[np.float32] = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.1, 1.2)).astype(np.float32)
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0, 6))
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, write and measure it."""
    parser = ArgumentParser(description="Train the witness of bench.miniature; the same command goes on after a stop.")
    parser.add_argument("folder", type=Path, help="of the training: checkpoints, curves, what was measured")
    parser.add_argument("--into", type=Path, default=FILE.parent, help="folder for the file (default %(default)s)")
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="(default %(default)s)")
    parser.add_argument("--device", default="auto", help="auto or cpu")
    chosen = parser.parse_args(argv)
    recipe = PartConfig(**RECIPE.as_dict() | {"steps": chosen.steps})

    def show(step: int, losses: dict[str, float]) -> None:
        print(step, *(f"{name} {losses[name]:.3f}" for name in ("loss", "wrong", "strange", "right")), flush=True)

    train(Testimony(), recipe, chosen.into, chosen.folder, on_step=show, device=chosen.device)
    found = result(chosen.folder, recipe)
    assert found is not None
    for name, value in found["measured"].items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
