"""Growth of memory with the clip: the peak of a 100 s clip against that of a 10 s one.

The miniature with random weights and 2 steps, otherwise as released. Each clip is encoded, sampled and decoded in a
fresh process, and its frames are discarded. One copy of its latents and motion tokens has to grow; beyond them the
longer clip may take 1.15 times the shorter one's memory.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.support.machine import isolated, peak_memory, resident
from bench.support.random_inputs import random_portrait
from bench.support.report import Case, Check, Findings, log, main, make_parser
from models.animator import load
from models.config import ModelConfig
from models.miniature.init_weights import MINIATURE_CONFIG, init_weights
from models.synthetic.world import draw_clip
from troupe import Face, Picture, SamplerSettings, Track
from troupe.process.scratch import scratch_folder

__all__ = ["Footprint", "measure", "parser", "render_clip"]

T = TypeVar("T")

RATE = 25
SCENE = 50
"""Number of drawn frames; a longer clip repeats them."""
SECONDS = (10.0, 100.0)
STEPS = 2
MAX_GROWTH = 1.15
FLOAT_BYTES = 4
"""Bytes per number of latents and tokens."""


@dataclass(frozen=True)
class Footprint:
    """Resident memory of a process, in bytes.

    Attributes:
        loaded: after loading the model.
        encoded: peak until the clip was encoded.
        peak: peak until the last frame.
    """

    loaded: int
    encoded: int
    peak: int


def measure(args: Namespace) -> Findings:
    """Render a short clip and a long one."""
    cases: dict[str, Case] = {}
    beyond: list[int] = []
    growing = frame_bytes(MINIATURE_CONFIG)
    with scratch_folder() as folder:
        directory = Path(folder) / "weights"
        init_weights(directory, 0)
        for seconds in sorted(args.seconds):
            frames = round(seconds * RATE)
            log(f"rendering {frames} frames")
            footprint = isolated(render_clip, directory, frames, args.device)
            held = growing * (frames + 2 * SamplerSettings().padding)
            beyond.append(footprint.peak - held)
            cases[f"{seconds:g} s"] = Case(
                {
                    "frames": frames,
                    "loaded_bytes": footprint.loaded,
                    "peak_while_encoding_bytes": footprint.encoded,
                    "peak_bytes": footprint.peak,
                    "latents_and_tokens_per_frame_bytes": growing,
                    "latents_and_tokens_bytes": held,
                    "peak_beyond_them_bytes": beyond[-1],
                    "beyond_them_per_frame_bytes": round((beyond[-1] - footprint.loaded) / frames),
                }
            )
    return Findings(cases, {"growth": Check.at_most(beyond[-1] / beyond[0], MAX_GROWTH)})


def frame_bytes(config: ModelConfig) -> int:
    """Return the bytes per frame of latents and motion tokens, in float32."""
    latents = config.vae.latent_channels * config.latent_size**2
    tokens = config.refiner.latents * config.unet.cross_attention_dim
    return FLOAT_BYTES * (latents + tokens)


def render_clip(directory: Path, frames: int, device: str) -> Footprint:
    """Render a clip in this process, keeping none of its pictures."""
    animator = load(directory, device)
    loaded = resident()
    appearance = animator.encode_appearance(random_portrait(animator.config))
    scene = list(draw_clip(0, 0, min(frames, SCENE), RATE))
    motion = animator.encode_motion(_repeat((picture for picture, _ in scene), frames), _track(scene, frames))
    encoded = peak_memory()
    rendered = sum(1 for _ in animator.animate(appearance, motion, SamplerSettings(steps=STEPS)))
    assert rendered == frames
    return Footprint(loaded, encoded, peak_memory())


def _repeat(items: Iterable[T], times: int) -> Iterator[T]:
    """Cycle through `items`, `times` of them in total."""
    return islice(cycle(items), times)


def _track(scene: Sequence[tuple[Picture, Face]], frames: int) -> Track:
    faces = list(_repeat((face for _, face in scene), frames))
    return Track(
        boxes=np.stack([face.box for face in faces]),
        keypoints=np.stack([face.keypoints for face in faces]),
        scores=np.ones(frames, np.float32),
    )


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N; memory is always this process'")
    options.add_argument(
        "--seconds", nargs=2, type=float, default=SECONDS, metavar="S", help="lengths of the two clips"
    )
    return options


if __name__ == "__main__":
    main("memory", parser(), measure)
