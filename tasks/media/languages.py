"""Languages: the codes that files store, tags, and names."""

from __future__ import annotations

import langcodes

__all__ = ["UNKNOWN", "bcp_47", "iso_639_2", "language_name", "same_language", "standard_tag"]

UNKNOWN = "und"
"""Tag and code of an unknown language."""


def iso_639_2(tag: str, *, bibliographic: bool = False) -> str:
    """Return the ISO 639-2 code of a language: `deu` for `de-CH`; `und` if there is none.

    Args:
        tag: language tag, BCP 47.
        bibliographic: whether to return the code that Matroska stores, `ger`, instead of MP4's, `deu`.
    """
    try:
        code = langcodes.get(tag).to_alpha3(variant="B" if bibliographic else "T")
    except (ValueError, LookupError):
        return UNKNOWN
    return code if code.isalpha() else UNKNOWN


def bcp_47(tag: str) -> str:
    """Return the BCP 47 tag of a language that a file states as ISO 639-2 or BCP 47; empty for an unknown language.

    Example:
        >>> bcp_47("ger")
        'de'
    """
    return "" if iso_639_2(tag) == UNKNOWN else langcodes.standardize_tag(tag)


def standard_tag(tag: str | None) -> str:
    """Return a tag as BCP 47 spells it, `pt-BR` for `pt_br`; `und` for none, and an invalid one as it is."""
    if not tag:
        return UNKNOWN
    return langcodes.standardize_tag(tag) if langcodes.tag_is_valid(tag) else tag


def language_name(tag: str) -> str:
    """Return the English name of a language: `Portuguese (Brazil)` for `pt-BR`; an invalid tag as it is."""
    return langcodes.get(tag).display_name() if langcodes.tag_is_valid(tag) else tag


def same_language(tag: str, other: str) -> bool:
    """Whether two tags, BCP 47 or ISO 639-2, name the same language, whatever the region or script."""
    return iso_639_2(tag) == iso_639_2(other) != UNKNOWN
