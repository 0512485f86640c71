"""Whether portraits show the people whose permissions the jobs name, by face recognition."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from catalogs.consent.permission import Permission
from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.access.persistent_dict import PersistentDict
from catalogs.store.keys import canonical
from catalogs.store.store import Store
from tasks.run.inputs.model import HashedModel, Model
from troupe import Job
from troupe.errors import NoFace

if TYPE_CHECKING:
    from tasks.same_person import FaceNetworks

__all__ = ["PermittedFaces", "PortraitCheck"]

_FOLDER = "cache/faces"


@dataclass(frozen=True, slots=True)
class PortraitCheck:
    """A portrait's face, compared with the face in a permission.

    Attributes:
        similarity: cosine of the two embeddings; None if they were not compared.
        objection: why the permission does not cover the portrait, or cannot be compared with it; empty if it does.
        other_person: whether the portrait shows somebody else.
    """

    similarity: float | None = None
    objection: str = ""

    @property
    def other_person(self) -> bool:
        return self.similarity is not None and bool(self.objection)


class PermittedFaces:
    """Compares portraits with the faces in permissions. Similarities are remembered, embeddings of portraits are not.

    Args:
        store: the store that remembers the similarities.
        model: the model, whose face networks are loaded when the first face is compared.
        hashed: hashes of the model.
        hashes: what returned these hashes.
        policy: which portraits may be read.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        hashed: HashedModel,
        hashes: ContentHashes,
        policy: InputPolicy = PUBLIC,
    ) -> None:
        self._files, self._contents = (model.detector, model.recogniser), hashed.face_networks
        self._hashes, self._policy = hashes, policy
        self._again = store.command("consent add REFERENCE --face FILE --replace")
        self._networks: FaceNetworks | None = None
        self._memo = PersistentDict(store, _FOLDER, ".json", _encode, _decode)

    def check(self, job: Job, permission: Permission | None, portrait_sha256: str) -> PortraitCheck:
        """Compare the chosen face of a job's portrait with the face in its permission, if that has one.

        Raises:
            InputError, StoreError: the portrait cannot be read.
            WeightsError: the networks cannot be loaded.
        """
        if permission is None or not permission.face or not portrait_sha256:
            return PortraitCheck()
        if permission.face_recogniser != self._contents["recogniser"]:
            return PortraitCheck(
                objection="its face was computed by another recognition network than this run's, and cannot be "
                f"compared; add it again with {self._again} and these weights"
            )
        parts = [permission.face, *self._contents.values(), portrait_sha256, job.face.text]
        name = hashlib.sha256(canonical(parts).encode()).hexdigest()
        if (known := self._memo.get(name)) is None:
            try:
                known = (self._similarity(job, permission, portrait_sha256),)
            except NoFace:  # which the encoding of the portrait reports
                return PortraitCheck()
            self._memo.add(name, known)
        from models.faces.tracking import SAME_PERSON_COSINE

        (similarity,) = known
        if similarity is None:
            return PortraitCheck(objection="the portrait's face cannot be aligned, and so not compared with its face")
        if similarity >= SAME_PERSON_COSINE:
            return PortraitCheck(similarity)
        return PortraitCheck(
            similarity,
            f"the portrait's face is not {permission.identity}'s (similarity {similarity:.2f}, at least "
            f"{SAME_PERSON_COSINE:g} for the same person)",
        )

    def save(self, run_id: str) -> None:
        """Write the similarities that this run computed to the store; do nothing if there are none.

        Raises:
            StoreError: they cannot be written.
        """
        self._memo.save(run_id)

    def _similarity(self, job: Job, permission: Permission, portrait_sha256: str) -> float | None:
        if self._networks is None:
            from tasks.same_person import FaceNetworks  # imports torch, which runs without such permissions do not need

            self._networks = FaceNetworks(*self._files)
        with self._hashes.reading(job.portrait, portrait_sha256, self._policy) as path:
            face = self._networks.embed(path, job.face)
        if face is None:
            return None
        return float(np.dot(face, np.frombuffer(base64.b64decode(permission.face), "<f4")))


def _encode(similarities: Mapping[str, tuple[float | None]]) -> bytes:
    return json.dumps(similarities).encode()


def _decode(data: bytes) -> dict[str, tuple[float | None]]:
    return {str(name): (None if value is None else float(value),) for name, (value,) in json.loads(data).items()}
