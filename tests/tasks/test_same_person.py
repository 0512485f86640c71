"""tasks.same_person: a person is found in the store's portraits by face."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from catalogs.requests.access.input_policy import InputPolicy
from catalogs.store.store import open_store
from catalogs.table.row_buffer import RowBuffer
from models.miniature import SHIPPED_WEIGHTS
from tasks.same_person import find_person
from tests.catalogs.conftest import row
from tests.flows.cast import write_portrait
from troupe.errors import NoFace
from troupe.files import file_sha256


def test_the_person_is_found_by_face(tmp_path: Path) -> None:
    """In another picture of her, in the thumbnail of a deleted one, and not in pictures of others."""
    store = open_store(str(tmp_path / "store"))
    for name, seed in (("ada", 3), ("scaled", 3), ("bob", 4), ("gone", 3), ("lost", 3)):
        write_portrait(tmp_path / f"{name}.png", seed)
    with Image.open(tmp_path / "scaled.png") as picture:
        picture.resize((300, 370)).save(tmp_path / "scaled.png")
    with RowBuffer(store, "r1") as buffer:
        for name in ("scaled", "bob", "gone", "lost"):
            path = tmp_path / f"{name}.png"
            content = {"gone": "d" * 64, "lost": "e" * 64}.get(name, file_sha256(path))
            columns = {"portrait": str(path), "portrait_sha256": content, "appearance_key": f"key-{name}"}
            buffer.append(row("r1", name, identity=name, **columns))
    sink = io.BytesIO()
    with Image.open(tmp_path / "gone.png") as picture:
        picture.convert("RGB").save(sink, "JPEG", quality=85)
    store.put_bytes(sink.getvalue(), "cache/appearance/key-gone.jpg")
    found = {match.identity: match for match in find_person(store, tmp_path / "ada.png", str(SHIPPED_WEIGHTS))}
    assert {name for name, match in found.items() if match.same} == {"scaled", "gone"}
    assert found["lost"].similarity is None
    assert list(found)[-1] == "lost"
    # The store's policy also limits what is read here; what the store itself has is compared.
    elsewhere = InputPolicy((str(tmp_path / "elsewhere"),))
    limited = find_person(store, tmp_path / "ada.png", str(SHIPPED_WEIGHTS), policy=elsewhere)
    assert {match.identity for match in limited if match.same} == {"gone"}
    assert "outside of what this run may read" in next(match.problem for match in limited if match.identity == "bob")
    Image.new("RGB", (64, 64)).save(tmp_path / "grey.png")
    with pytest.raises(NoFace):
        find_person(store, tmp_path / "grey.png", str(SHIPPED_WEIGHTS))
