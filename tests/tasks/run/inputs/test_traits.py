"""Traits are those of the content that they are remembered for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.store.store import Store, open_store
from tasks.media.sandbox import Sandbox
from tasks.run.inputs.traits import InputTraits
from tests.clips import WIDE_RED, wide_gamut_profile
from troupe.errors import InputError


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A picture, and one with a colour profile."""
    plain, wide = tmp_path / "plain.png", tmp_path / "wide.png"
    Image.new("RGB", (32, 32), WIDE_RED).save(plain)
    Image.new("RGB", (32, 32), WIDE_RED).save(wide, icc_profile=wide_gamut_profile())
    return plain, wide


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_of_a_file_that_is_exchanged_after_it_was_hashed(
    pictures: tuple[Path, Path], store: Store, sandbox: Sandbox
) -> None:
    plain, wide = pictures
    traits, seen = InputTraits(store, sandbox), []

    def exchange(uri: str, content: str, path: Path) -> Callable[[], None]:
        seen.append(content)
        shutil.copyfile(wide, plain)
        return traits.read("picture", content, path)

    with pytest.raises(InputError, match="changed"):
        ContentHashes(store, exchange).of(str(plain))
    assert traits.of("picture", seen[0]) == {}
    traits.save("r")
    assert store.list("cache/traits") == []


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_of_a_file_that_has_other_content_when_it_is_fetched_again(
    pictures: tuple[Path, Path], store: Store, sandbox: Sandbox, kind: str
) -> None:
    plain, wide = pictures
    uri = "memory://traits/plain.png" if kind == "remote" else str(plain)

    def put(data: bytes) -> None:
        with fsspec.open(uri, "wb") as file:
            file.write(data)

    put(plain.read_bytes())
    traits, hashes = InputTraits(store, sandbox), ContentHashes(store)
    content, before = hashes.of(uri), plain.read_bytes()
    put(wide.read_bytes())
    assert traits.read_many([("picture", content, uri)], hashes) == {}
    assert traits.of("picture", content) == {}
    put(before)
    hashes.of(uri)
    traits.read_many([("picture", content, uri)], hashes)
    assert traits.of("picture", content) == {"width": 32, "height": 32}
