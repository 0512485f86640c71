# ruff: noqa: RUF001
"""The texts of the visible label, in the languages of the European Union and others that are common."""

from __future__ import annotations

import langcodes

from troupe.job import LABELS

__all__ = ["TEXTS", "label_text"]

TEXTS = {
    "ar": ("مولّد بالذكاء الاصطناعي", "معدّل بالذكاء الاصطناعي"),
    "bg": ("Създадено с ИИ", "Променено с ИИ"),
    "cs": ("Vytvořeno pomocí AI", "Upraveno pomocí AI"),
    "da": ("AI-genereret", "AI-redigeret"),
    "de": ("KI-generiert", "KI-bearbeitet"),
    "el": ("Δημιουργήθηκε με ΤΝ", "Τροποποιήθηκε με ΤΝ"),
    "en": ("AI-generated", "AI-modified"),
    "es": ("Generado por IA", "Modificado por IA"),
    "et": ("Loodud TI abil", "Muudetud TI abil"),
    "fi": ("Tekoälyn luoma", "Tekoälyn muokkaama"),
    "fr": ("Généré par IA", "Modifié par IA"),
    "hi": ("एआई-जनित", "एआई-संशोधित"),
    "hr": ("Stvoreno pomoću UI-ja", "Izmijenjeno pomoću UI-ja"),
    "hu": ("MI által létrehozva", "MI által módosítva"),
    "it": ("Generato con l'IA", "Modificato con l'IA"),
    "ja": ("AI生成", "AI加工"),
    "ko": ("AI 생성", "AI 수정"),
    "lt": ("Sukurta naudojant DI", "Pakeista naudojant DI"),
    "lv": ("Radīts ar MI", "Pārveidots ar MI"),
    "nl": ("Gegenereerd met AI", "Bewerkt met AI"),
    "no": ("KI-generert", "KI-redigert"),
    "pl": ("Wygenerowane przez AI", "Zmodyfikowane przez AI"),
    "pt": ("Gerado por IA", "Modificado por IA"),
    "ro": ("Generat cu IA", "Modificat cu IA"),
    "ru": ("Создано ИИ", "Изменено ИИ"),
    "sk": ("Vytvorené pomocou AI", "Upravené pomocou AI"),
    "sl": ("Ustvarjeno z UI", "Spremenjeno z UI"),
    "sv": ("AI-genererad", "AI-redigerad"),
    "tr": ("Yapay zekâ ile üretildi", "Yapay zekâ ile değiştirildi"),
    "uk": ("Створено ШІ", "Змінено ШІ"),
    "zh": ("AI生成", "AI修改"),
    "zh-Hant": ("AI 生成", "AI 修改"),
}
"""`ai-generated` and `ai-modified`, by language."""
_MACRO = {"nb": "no", "nn": "no"}


def label_text(label: str, language: str) -> str:
    """Return the text that is drawn: a known label in the language, or in English where it has no translation.

    Args:
        label: `none`, `ai-generated`, `ai-modified` or a text, as a job has it.
        language: BCP 47 tag; empty if unknown.

    Example:
        >>> label_text("ai-generated", "de-AT")
        'KI-generiert'
    """
    if label == "none":
        return ""
    if label not in LABELS:
        return label
    generated, modified = _translations(language)
    return generated if label == "ai-generated" else modified


def _translations(language: str) -> tuple[str, str]:
    if not language or not langcodes.tag_is_valid(language):
        return TEXTS["en"]
    tag = langcodes.get(language).maximize()
    name = _MACRO.get(tag.language or "", tag.language or "")
    return TEXTS.get(f"{name}-{tag.script}") or TEXTS.get(name) or TEXTS["en"]
