"""A test authority, a video and a signed copy of it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from tasks.credentials.authority import create_authority
from tasks.credentials.manifest import Generation, Ingredient, sign_file
from tasks.credentials.settings import SigningSettings
from tasks.credentials.signer import Signer
from tasks.media import VideoMetadata, encode
from tests.clips import HEIGHT, WIDTH, numbered
from troupe.files import file_sha256

SignCopy = Callable[..., Path]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of credentials."""
    folder = tmp_path_factory.mktemp("authority") / "credentials"
    create_authority(folder)
    return folder


@pytest.fixture
def signer(authority: Path) -> Signer:
    return Signer(SigningSettings(authority / "certificate.pem", authority / "key.pem"))


@pytest.fixture
def trust(authority: Path) -> str:
    """PEM of the authority."""
    return (authority / "root.pem").read_text()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with the unsigned note of every video."""
    path = tmp_path_factory.mktemp("video") / "full.mp4"
    encode(numbered(10), path, rate=Fraction(25), size=(WIDTH, HEIGHT), metadata=VideoMetadata("run-7", "anna", "en"))
    return path


@pytest.fixture(scope="session")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portrait") / "ada.png"
    Image.new("RGB", (64, 64), "teal").save(path)
    return path


@pytest.fixture
def sign_copy(signer: Signer, video: Path, portrait: Path) -> SignCopy:
    """Return a function that signs a file."""

    def sign(target: Path, source: Path = video, picture: Path = portrait, **more: bool) -> Path:
        ingredients = [
            Ingredient("portrait", picture, picture.name, file_sha256(picture)),
            Ingredient("driving", video, "clip.mp4", file_sha256(video)),
        ]
        generation = Generation("run-7", "anna", "abc", "fedc", "consent-12", ingredients)
        assert sign_file(signer, source, target, generation, **{"composite": True} | more) == []
        return target

    return sign
