"""The label's text in the language of the film."""

from __future__ import annotations

import pytest

from tasks.media.label.texts import TEXTS, label_text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("", "AI-generated"),
        ("en-GB", "AI-generated"),
        ("de-AT", "KI-generiert"),
        ("pt-BR", "Gerado por IA"),
        ("nb", "KI-generert"),
        ("zh-TW", "AI 生成"),
        ("zh", "AI生成"),
        ("eo", "AI-generated"),
    ],
)
def test_the_language_of_the_film(language: str, text: str) -> None:
    assert label_text("ai-generated", language) == text
    assert label_text("ai-modified", language) != text
    assert label_text("none", language) == ""
    assert label_text("Made by Ada", language) == "Made by Ada"


def test_all_texts_are_short_and_differ() -> None:
    for generated, modified in TEXTS.values():
        assert generated != modified
        assert max(len(generated), len(modified)) <= 30
