"""LSE-C and LSE-D, the measures of lip sync that papers report, by a SyncNet of the user's.

Chung and Zisserman, "Out of time: automated lip sync in the wild" (2016); Prajwal et al., arXiv 2008.10010.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.quality.torchscript import TorchScript
from troupe import Picture
from troupe.errors import WeightsError
from troupe.faces import Floats

__all__ = ["FRAME_RATE", "SAMPLE_RATE", "SyncNet", "crop_faces", "lse"]

FRAME_RATE, SAMPLE_RATE = 25, 16_000
"""Frames and samples per second that SyncNet was trained on."""
SIDE, WINDOW = 224, 5
"""Pixels of a face's sides; frames that are compared with the sound at a time."""
SAMPLES = WINDOW * SAMPLE_RATE // FRAME_RATE
MAX_OFFSET = 15
_BATCH = 16
_STEP = 5
"""Frames from one detection of the face to the next."""
_MARGIN = 0.4
"""Width added on either side of the face, and height below it, in halves of the face's larger side."""


class SyncNet:
    """A network that embeds the mouth and the sound of a fifth of a second.

    Args:
        path: TorchScript from faces (N, 3, 5, 224, 224), RGB float32 in 0..255, five frames at 25 per second, and
            samples (N, 3200), float32 in -1..1 at 16 kHz, mono, of the same time, to (N, 2, D): an embedding of each.
        device: device to run it on.

    Raises:
        WeightsError: the file cannot be used.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._network, self._path = TorchScript(path, device, "--syncnet"), path
        self._embed(torch.zeros(1, 3, WINDOW, SIDE, SIDE), torch.zeros(1, SAMPLES))

    def measure(self, faces: Iterable[Picture], samples: Floats) -> tuple[float, float] | None:
        """Return LSE-C and LSE-D; None if the video is too short.

        Args:
            faces: (224, 224, 3) each, at 25 per second.
            samples: (S,) at 16 kHz; they start with the first frame.
        """
        both = [
            self._embed(
                torch.from_numpy(np.stack(pictures)).permute(0, 4, 1, 2, 3).float(), torch.from_numpy(np.stack(sounds))
            )
            for pictures, sounds in _batches(_windows(faces, samples))
        ]
        if sum(map(len, both)) < 2 * MAX_OFFSET:
            return None
        video, sound = torch.cat(both).unbind(1)
        return lse(video, sound)

    def _embed(self, faces: Tensor, samples: Tensor) -> Tensor:
        found = self._network(faces, samples)
        if found.shape[1] % 2:
            raise WeightsError(f"{self._path} does not work as --syncnet: its output is not (N, 2, D)")
        return found.reshape(len(found), 2, -1)


def lse(video: Tensor, sound: Tensor) -> tuple[float, float]:
    """Return LSE-C and LSE-D of embeddings, (N, D) each, as the published code computes them.

    LSE-D is the distance at the best offset, a mean over all frames; LSE-C is the median distance of all offsets less
    that one. Sound before the first and after the last frame has embeddings of zeros.
    """
    padded = F.pad(sound, (0, 0, MAX_OFFSET, MAX_OFFSET))
    distances = torch.stack(
        [
            F.pairwise_distance(video, padded[offset : offset + len(video)]).mean()
            for offset in range(2 * MAX_OFFSET + 1)
        ]
    )
    best = float(distances.min())
    return float(distances.median()) - best, best


def crop_faces(frames: Iterable[Picture], find: Callable[[Picture], Floats | None]) -> Iterator[Picture]:
    """Yield the face of each frame as SyncNet expects it, (224, 224, 3); none after a frame without a face.

    Args:
        find: returns the box of the face in a frame, x1, y1, x2, y2; None if there is none. It is called now and then.
    """
    waiting: list[Picture] = []
    before: Floats | None = None
    for number, frame in enumerate(frames):
        waiting.append(frame)
        if number % _STEP:
            continue
        if (after := find(frame)) is None:
            return
        start = after if before is None else before
        for place, picture in enumerate(waiting, 1):
            yield _crop(picture, start + (after - start) * np.float32(place / len(waiting)))
        before, waiting = after, []
    if before is not None:
        for picture in waiting:
            yield _crop(picture, before)


def _crop(picture: Picture, box: Floats) -> Picture:
    x, y = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
    half = float(max(box[2] - box[0], box[3] - box[1])) / 2
    left, top, side = x - half * (1 + _MARGIN), y - half, 2 * half * (1 + _MARGIN)
    scale = SIDE / max(side, 1.0)
    warp = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float64)
    return np.asarray(cv2.warpAffine(picture, warp, (SIDE, SIDE), borderValue=(110, 110, 110)), np.uint8)


def _windows(faces: Iterable[Picture], samples: Floats) -> Iterator[tuple[Picture, Floats]]:
    """Yield five frames, (5, 224, 224, 3), and their samples, frame by frame."""
    last: list[Picture] = []
    for number, face in enumerate(faces):
        last = [*last[-WINDOW + 1 :], face]
        start = (number - WINDOW + 1) * SAMPLE_RATE // FRAME_RATE
        if len(last) == WINDOW and start + SAMPLES <= len(samples):
            yield np.stack(last), samples[start : start + SAMPLES]


def _batches(windows: Iterator[tuple[Picture, Floats]]) -> Iterator[tuple[list[Picture], list[Floats]]]:
    while batch := list(islice(windows, _BATCH)):
        yield [pictures for pictures, _ in batch], [sounds for _, sounds in batch]
