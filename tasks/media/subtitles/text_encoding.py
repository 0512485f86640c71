"""Find the encoding of a text file."""

from __future__ import annotations

import codecs

import charset_normalizer

from troupe.errors import InputError

__all__ = ["decode_text"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; UTF-32's begins with UTF-16's."""
_CODE_PAGES = {
    "cp1252": "en fr de es pt it nl da sv no nb nn fi is ca eu gl ga af id ms sw",
    "cp1250": "pl cs sk hu sl hr bs ro sq sr",
    "cp1251": "ru uk be bg mk sr kk ky mn tg",
    "cp1253": "el",
    "cp1254": "tr az",
    "cp1255": "he yi",
    "cp1256": "ar fa ur",
    "cp1257": "lt lv et",
    "cp1258": "vi",
    "cp874": "th",
    "cp932": "ja",
    "cp949": "ko",
    "gb18030": "zh",
    "big5": "zh",
}
"""Windows' code pages, by Python's names, and the languages that are written in them."""


def decode_text(data: bytes, name: str, language: str = "") -> tuple[str, list[str]]:
    """Decode a text in UTF-8, UTF-16, UTF-32 or a code page of Windows.

    Western and Central European code pages are hard to distinguish: a language distinguishes them.

    Args:
        data: content of the file.
        name: the file's name, for messages.
        language: language of the text, BCP 47; may be empty.

    Returns:
        the text, and notes for the user if its encoding was a guess.

    Raises:
        InputError: it is in none of them.
    """
    encoding = next((encoding for bom, encoding in _BOMS if data.startswith(bom)), None) or _utf_16(data) or "utf-8"
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError:
        if b"\0" in data and not any(data.startswith(bom) for bom, _ in _BOMS):
            raise InputError(f"{name} is not a text; name a file of subtitles, SRT or WebVTT") from None
        if encoding != "utf-8":
            raise InputError(f"{name} is damaged: it is not valid {encoding}; save it again as UTF-8") from None
    primary = language.partition("-")[0].lower()
    pages = [page for page, languages in _CODE_PAGES.items() if primary in languages.split()]
    if len(pages) == 1 and (text := _decoded(data, pages[0])) is not None:
        return text, [f"subtitles: {name} is not in UTF-8; it was read as {_label(pages[0])}, by its language"]
    best = charset_normalizer.from_bytes(data, cp_isolation=pages).best() if pages else None
    best = best or charset_normalizer.from_bytes(data, cp_isolation=list(_CODE_PAGES)).best()
    if best is None:
        raise InputError(f"the encoding of {name} cannot be found; save it as UTF-8")
    return str(best), [
        f"subtitles: {name} is not in UTF-8; it was read as {_label(best.encoding)}, a guess by its letters; "
        f"save it as UTF-8 if they are wrong"
    ]


def _utf_16(data: bytes) -> str | None:
    """Return UTF-16's variant of a text without byte order mark, by the zeros beside its line ends and digits."""
    if b"\0" not in data or len(data) % 2:
        return None
    low, high = data[1::2].count(0), data[::2].count(0)
    return "utf-16-le" if low > high else "utf-16-be"


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _label(encoding: str) -> str:
    return encoding.replace("cp125", "windows-125")
