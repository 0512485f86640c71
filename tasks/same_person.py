"""The portraits of a store that show the person in a picture, by face recognition."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from catalogs.query.jobs import list_jobs
from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.inputs import localised
from catalogs.store.error_text import reason
from catalogs.store.store import Store
from models.face_files import detector_file, recogniser_file
from models.faces import FaceRecogniser, open_detector
from models.faces.tracking import SAME_PERSON_COSINE
from tasks.media import read_picture
from tasks.weights.local_copy import local_file, local_weights
from troupe import FaceChoice, Floats, Picture
from troupe.errors import InputError, NoFace, StoreError
from troupe.faces import LARGEST
from troupe.files import file_sha256
from troupe.process.scratch import scratch_folder

__all__ = ["FaceNetworks", "Match", "face_values", "find_person"]


@dataclass(frozen=True)
class Match:
    """A portrait of the store, compared with the person.

    Attributes:
        portrait_sha256: hash of the portrait.
        portrait: its URI in the latest job.
        identity: label in that job.
        similarity: cosine of the most similar face; None if there is none to compare.
        problem: why the portrait itself was not compared; empty if it was.
        same: whether it shows the person.
    """

    portrait_sha256: str
    portrait: str
    identity: str
    similarity: float | None
    problem: str = ""

    @property
    def same(self) -> bool:
        return self.similarity is not None and self.similarity >= SAME_PERSON_COSINE


class FaceNetworks:
    """The networks that find and compare faces.

    Args:
        detector, recogniser: their files.

    Raises:
        WeightsError: they cannot be loaded.
    """

    def __init__(self, detector: Path, recogniser: Path) -> None:
        self.detector, self.recognise = open_detector(detector), FaceRecogniser(recogniser)

    def embed(self, picture: Path, choice: FaceChoice = LARGEST) -> Floats | None:
        """Return the embedding of the chosen face, of unit norm; None if it cannot be aligned.

        Raises:
            InputError: the picture is unreadable or does not show that face.
        """
        pixels = read_picture(picture)
        vector = self.recognise(pixels, choice.pick(self.detector.detect(pixels), str(picture)))
        return vector if vector.size > 1 else None


def face_values(picture: Path, weights: str, detector: str | None = None) -> dict[str, str]:
    """Return the largest face in a picture as the values `face` and `face_recogniser` of a permission.

    Raises:
        InputError: the picture is unreadable or shows no face.
        WeightsError: the networks cannot be loaded.
    """
    vector = _largest_face(_networks(weights, detector), picture)
    return {
        "face": base64.b64encode(vector.astype("<f4").tobytes()).decode(),
        "face_recogniser": file_sha256(recogniser_file(local_weights(weights))),
    }


@lru_cache(maxsize=1)
def _networks(weights: str, detector: str | None) -> FaceNetworks:
    directory = local_weights(weights)
    return FaceNetworks(local_file(detector) if detector else detector_file(directory), recogniser_file(directory))


def _largest_face(networks: FaceNetworks, picture: Path) -> Floats:
    if (vector := networks.embed(picture)) is None:
        raise NoFace(f"the face in {picture} cannot be aligned; give a picture that shows it from the front")
    return vector


def find_person(
    store: Store, picture: Path, weights: str, detector: str | None = None, policy: InputPolicy = PUBLIC
) -> list[Match]:
    """Compare the largest face of a picture with every face in the portraits of the store, the most similar first.

    A portrait that has changed, is gone or may not be read is compared by the thumbnail of its head in the store.

    Args:
        picture: picture of the person.
        weights: weights directory whose networks find and compare faces.
        detector: face detector instead of the directory's own.
        policy: which portraits may be read.

    Raises:
        InputError: the picture is unreadable or shows no face.
        WeightsError: the networks cannot be loaded.
        StoreError: the store cannot be read.
    """
    networks = _networks(weights, detector)
    person = _largest_face(networks, picture)

    def similarity(shown: Picture) -> float | None:
        vectors = [networks.recognise(shown, face) for face in networks.detector.detect(shown)]
        return max((float(np.dot(vector, person)) for vector in vectors if vector.size > 1), default=None)

    columns = ["portrait_sha256", "portrait", "identity", "appearance_key", "status"]
    latest: dict[str, dict[str, Any]] = {}
    for row in list_jobs(store, columns=columns).to_pylist():
        if row["portrait_sha256"] and row["status"] != "forgotten":
            known = latest.setdefault(row["portrait_sha256"], row)
            known["appearance_key"] = known["appearance_key"] or row["appearance_key"]
    found = [
        Match(content, row["portrait"] or "", row["identity"] or "", *_best(store, row, similarity, policy))
        for content, row in latest.items()
    ]
    return sorted(found, key=lambda match: -2 if match.similarity is None else match.similarity, reverse=True)


def _best(
    store: Store, row: dict[str, Any], similarity: Callable[[Picture], float | None], policy: InputPolicy
) -> tuple[float | None, str]:
    """Return the similarity of the portrait, or of its thumbnail where that has none, and why it has none."""
    try:
        with localised(row["portrait"] or "", policy=policy) as path:
            if file_sha256(path) != row["portrait_sha256"]:
                problem = "it has changed"
            elif (cosine := similarity(read_picture(path))) is not None:
                return cosine, ""
            else:
                problem = "no face was found in it"
    except (InputError, StoreError) as error:
        problem = error.message
    except OSError as error:
        problem = reason(error)
    thumbnail = f"cache/appearance/{row['appearance_key']}.jpg"
    if not row["appearance_key"] or not store.exists(thumbnail):
        return None, problem
    with scratch_folder() as folder:
        store.get(thumbnail, folder / "head.jpg")
        try:
            return similarity(read_picture(folder / "head.jpg")), problem
        except InputError:
            return None, problem
