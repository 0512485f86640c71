"""The model of a run: its files, and the hashes by which results depend on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.store.keys import make_key
from models.face_files import detector_file, recogniser_file
from models.weight_files import model_files
from tasks.weights.local_copy import local_file, local_weights
from troupe import Job, preset

__all__ = ["HashedModel", "Model", "weights_fingerprint"]


@dataclass(frozen=True)
class HashedModel:
    """What results depend on of a model.

    Attributes:
        weights: fingerprint of the weights directory.
        face_networks: hashes of the face networks, by `detector` and `recogniser`.
        dtype: number type of the networks.
        voice: hash of the voice; empty if no job needs it.
        distilled: hash of the distilled denoiser; empty if no job needs it.
    """

    weights: str
    face_networks: Mapping[str, str]
    dtype: str
    voice: str = ""
    distilled: str = ""


@dataclass(frozen=True)
class Model:
    """The local files of a model.

    Attributes:
        weights: weights directory.
        detector: face detector, which need not be in that directory.
        dtype: number type of the networks.
    """

    weights: Path
    detector: Path
    dtype: str = "auto"

    @classmethod
    def at(cls, weights: str, detector: str | None, dtype: str) -> Self:
        """Return the model of a request; what is elsewhere is fetched.

        Args:
            weights: weights directory.
            detector: face detector; None or empty for that of the weights.

        Raises:
            WeightsError: a file is missing, or cannot be fetched.
        """
        directory = local_weights(weights)
        return cls(directory, local_file(detector) if detector else detector_file(directory), dtype)

    @property
    def recogniser(self) -> Path:
        """The face recognition network."""
        return recogniser_file(self.weights)

    def hashed(self, jobs: Iterable[Job], hashes: ContentHashes) -> HashedModel:
        """Hash what the jobs need of the model.

        Raises:
            WeightsError: it cannot be used, or has no voice or distilled denoiser, which jobs need.
            StoreError: the store of the hashes cannot be read.
        """
        jobs, voice, distilled = list(jobs), "", ""
        fingerprint = weights_fingerprint(self.weights, hashes)
        face_networks = {
            "detector": hashes.of(str(self.detector)),
            # A missing one is reported by the loader, with all other problems of the directory.
            "recogniser": hashes.of(str(self.recogniser)) if self.recogniser.is_file() else "",
        }
        if any(job.lips == "sound" for job in jobs):
            from models.weights import require_voice  # imports torch

            voice = hashes.of(str(require_voice(self.weights)))
        if any(preset(job.preset).distilled for job in jobs):
            from models.weights import require_distilled  # imports torch

            distilled = hashes.of(str(require_distilled(self.weights)))
        return HashedModel(fingerprint, face_networks, self.dtype, voice, distilled)


def weights_fingerprint(directory: Path, hashes: ContentHashes) -> str:
    """Return one hash of all files of the model, of their real content whatever notes they carry."""
    parts = {str(path.relative_to(directory).with_suffix("")): hashes.of(str(path)) for path in model_files(directory)}
    return make_key("weights", parts=parts)
