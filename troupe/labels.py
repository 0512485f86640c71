"""Equality of labels that people type, such as identities."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

__all__ = ["count_identities", "label_key", "label_sha256", "near_labels"]


@lru_cache(maxsize=1024)  # jobs share people and permissions
def label_key(label: str) -> str:
    """Return a text that is equal for labels a reader takes for the same; the only way in which labels are compared.

    Case, the Unicode form (macOS writes accents apart from their letters), the width of letters, surrounding and
    repeated spaces, and invisible characters make no difference.

    Example:
        >>> label_key("  Zoe\\u0308 MÜLLER") == label_key("zoë müller")
        True
    """
    visible = "".join(character for character in label if unicodedata.category(character) != "Cf")
    folded = unicodedata.normalize("NFKC", visible).casefold()
    # Again, because some letters fold to letters that fold further, and the key of a key must be that key.
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold()).split())


def count_identities(labels: Iterable[str | None], unlabelled: Iterable[str]) -> int:
    """Return how many people there are: one for each label, and one for each portrait of jobs without a label.

    Args:
        labels: labels as they are written; empty ones do not count.
        unlabelled: hashes, or keys, of the portraits of jobs without a label.
    """
    return len({label_key(label) for label in labels if label}) + len(set(unlabelled))


def label_sha256(label: str) -> str:
    """Return a hash that is equal for equal labels, to recognise people without storing their names."""
    return hashlib.sha256(label_key(label).encode()).hexdigest()


def near_labels(label: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the `known` labels most similar to a label, as they are written, the best first."""
    written = {label_key(text): text for text in sorted(known, reverse=True)}
    key = label_key(label)
    close = get_close_matches(key, written, n=count)
    close += [other for other in sorted(written) if key and key in other.split() and other not in close]
    return [written[other] for other in close[:count]]
