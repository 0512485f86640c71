"""tasks.run.inputs.permitted_faces: the face in a portrait against the one in the permission that the job names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions
from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.store.policy import StorePolicy
from catalogs.store.store import Store, open_store
from models.miniature import SHIPPED_WEIGHTS
from models.weights import recogniser_file
from tasks.run.inputs.model import HashedModel, Model
from tasks.run.inputs.permitted_faces import PermittedFaces, PortraitCheck
from tasks.run.planning import plan_jobs
from tasks.run.policy import RunPolicy
from tasks.same_person import face_values
from tests.flows.cast import write_clip, write_portrait
from troupe import Job
from troupe.files import file_sha256

NETWORKS = {"detector": SHIPPED_WEIGHTS / "detector.onnx", "recogniser": recogniser_file(SHIPPED_WEIGHTS)}
MODEL = Model(SHIPPED_WEIGHTS, NETWORKS["detector"], "float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Portraits of Ada, who is person 3, and of another person, and a picture of nobody."""
    folder = tmp_path_factory.mktemp("faces")
    for name, seed in (("contract", 3), ("ada", 3), ("bob", 4)):
        write_portrait(folder / f"{name}.png", seed)
    Image.new("RGB", (64, 64)).save(folder / "grey.png")
    write_clip(folder / "clip.mp4", frames=3, rate="25", voiced=False)
    return folder


@pytest.fixture(scope="module")
def permission(folder: Path) -> Permission:
    return Permission("R-1", "Ada", **face_values(folder / "contract.png", str(SHIPPED_WEIGHTS)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def check(store: Store, permission: Permission, portrait: Path, run_id: str = "") -> PortraitCheck:
    hashes = ContentHashes(store)
    contents = {name: file_sha256(path) for name, path in NETWORKS.items()}
    faces = PermittedFaces(store, MODEL, HashedModel("", contents, MODEL.dtype), hashes)
    try:
        return faces.check(Job("a", str(portrait), "c.mp4"), permission, hashes.of(str(portrait)))
    finally:
        if run_id:
            faces.save(run_id)


def test_similarities_are_remembered_and_embeddings_are_not(
    store: Store, folder: Path, permission: Permission, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = check(store, permission, folder / "ada.png", "r1")
    assert (same.objection, same.other_person) == ("", False)
    assert same.similarity is not None
    assert same.similarity > 0.9
    other = check(store, permission, folder / "bob.png", "r2")
    assert other.other_person
    monkeypatch.setattr("tasks.same_person.FaceNetworks", None)  # cannot be loaded
    assert check(store, permission, folder / "ada.png") == same
    assert check(store, permission, folder / "bob.png") == other
    assert not any(permission.face.encode() in store.read(key) for key in store.list("cache/faces"))


def test_what_cannot_be_compared(store: Store, folder: Path, permission: Permission) -> None:
    """The embedding of another network is said; a portrait without a face is left to its encoding."""
    foreign = check(store, replace(permission, face_recogniser="0" * 64), folder / "ada.png")
    assert (foreign.similarity, foreign.other_person) == (None, False)
    assert "another recognition network" in foreign.objection
    assert check(store, permission, folder / "grey.png") == PortraitCheck()
    assert check(store, replace(permission, face="", face_recogniser=""), folder / "bob.png") == PortraitCheck()


def test_a_portrait_of_another_person_is_flagged_and_refused_where_consent_is_required(
    store: Store, folder: Path, permission: Permission
) -> None:
    add_permissions(store, [permission])
    clip = str(folder / "clip.mp4")
    jobs = [Job(name, str(folder / f"{name}.png"), clip, identity="Ada", consent="r-1") for name in ("ada", "bob")]
    plans = []
    for required in (False, True):
        policy = RunPolicy(store=StorePolicy(require_consent=required))
        plans.append(plan_jobs("r", jobs, store, MODEL, policy).jobs)
    (ada, bob), (permitted, refused) = plans
    assert ada.error is bob.error is permitted.error is None
    assert (ada.flagged, "R-1" in str(ada.notes)) == ("", False)
    assert bob.flagged.startswith("the portrait's face is not Ada's (similarity")
    assert bob.flagged in bob.notes[-1]
    assert refused.error is not None
    assert (refused.error.kind, refused.spec) == ("consent", None)
    assert "not Ada's" in str(refused.error)
