"""troupe.labels: which labels are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.labels import label_key, near_labels


@pytest.mark.parametrize(
    "spelling",
    [
        "Zoë Müller",
        unicodedata.normalize("NFD", "Zoë Müller"),
        " zoë  müller ",
        "ZOË MÜLLER",
        "Zoë\u00a0Müller",
        "Zoë\u200b Müller",
        "\uff3aoë Müller",
    ],
)
def test_spellings_of_one_label(spelling: str) -> None:
    assert label_key(spelling) == "zoë müller"


@pytest.mark.parametrize(("one", "other"), [("Zoe", "Zoë"), ("李四", "王小明"), ("Ana", "An a"), ("", "x")])
def test_different_labels(one: str, other: str) -> None:
    assert label_key(one) != label_key(other)


@given(st.text())
def test_the_key_of_a_key_is_that_key(text: str) -> None:
    assert label_key(label_key(text)) == label_key(text)
    assert label_key(unicodedata.normalize("NFD", text)) == label_key(text)


def test_near_labels() -> None:
    known = ["Olive Oyl", "Olivia", "Bob", "OLIVIA"]
    assert near_labels("olivla", known)[0] == "OLIVIA"
    assert near_labels("olive", known) == ["OLIVIA", "Olive Oyl"]
    assert near_labels("李", known) == []
