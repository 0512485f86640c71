"""Sizes that a job states."""

from __future__ import annotations

import pytest

from troupe.job import SIZE, fitted_size, valid_size


@pytest.mark.parametrize(
    ("text", "source", "fitted"),
    [
        ("source", (5712, 4284), (5712, 4284)),
        (SIZE, (5712, 4284), (2880, 2160)),
        (SIZE, (4284, 5712), (2160, 2880)),
        (SIZE, (3840, 2160), (3840, 2160)),
        (SIZE, (400, 300), (400, 300)),
        ("1080p", (5712, 4284), (1440, 1080)),
        ("1080p", (1080, 1920), (1080, 1920)),
        ("640x480", (1000, 1000), (480, 480)),
        ("64x64", (10000, 10), (64, 2)),
    ],
)
def test_pictures_are_fitted_and_never_enlarged(text: str, source: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert valid_size(text)
    assert fitted_size(text, *source) == fitted


@pytest.mark.parametrize("text", ["", "720p", "0x10", "10", "10x", "x", "1e3x10", "-4x4", "123456x10", "Source"])
def test_other_texts_are_invalid(text: str) -> None:
    assert not valid_size(text)
