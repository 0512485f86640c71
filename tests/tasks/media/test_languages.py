"""BCP 47 to the three letters of MP4."""

from __future__ import annotations

import pytest

from tasks.media.languages import bcp_47, iso_639_2


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "eng"),
        ("de-CH", "deu"),
        ("zh-Hant-TW", "zho"),
        ("FR", "fra"),
        ("yue", "yue"),
        ("sr-Latn", "srp"),
        ("", "und"),
        ("x-private", "und"),
        ("qq", "und"),
        ("123", "und"),
    ],
)
def test_codes(tag: str, code: str) -> None:
    assert iso_639_2(tag) == code


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("ger", "de"), ("deu", "de"), ("eng", "en"), ("yue", "yue"), ("pt-BR", "pt-BR"), ("und", ""), ("", "")],
)
def test_tags_of_files(tag: str, expected: str) -> None:
    assert bcp_47(tag) == expected
