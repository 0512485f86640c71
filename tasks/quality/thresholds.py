"""Quality thresholds of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalogs.requests.column_names import suggestion
from catalogs.table.schema import EITHER_SIGN, HIGHER_IS_BETTER, QUALITIES, SURE_OF_SYNC, SYNC_COLUMNS
from troupe.errors import SettingsError

__all__ = ["Thresholds"]

_ON_FACES = ("identity", "landmarks", "expression", "pose")


@dataclass(frozen=True)
class Thresholds:
    """Bounds for a render's quality measures.

    Attributes:
        min_identity: lowest accepted similarity to the portrait.
        maximum: highest accepted value of the other measures, by name; of an offset, in either direction.
        fail: whether a job that misses a bound fails; otherwise it is only flagged.

    Raises:
        SettingsError: a measure is unknown, or `fail` is set without a bound.
    """

    min_identity: float | None = None
    maximum: Mapping[str, float] = field(default_factory=dict)
    fail: bool = False

    def __post_init__(self) -> None:
        known = [name for name in (*QUALITIES, *SYNC_COLUMNS) if name not in HIGHER_IS_BETTER]
        for name in self.maximum:
            if name not in known:
                raise SettingsError(f"unknown measure {name!r} for --max{_instead_of(name, known)}")
        if self.fail and self.min_identity is None and not self.maximum:
            raise SettingsError("--fail-quality needs a threshold, such as --min-identity 0.5")

    def missed(self, quality: Mapping[str, float | None] | None) -> str:
        """Describe the bounds that a render misses; empty if none, or if the render was not measured."""
        if quality is None:
            return ""
        misses = []
        bounds = {**({"identity": self.min_identity} if self.min_identity is not None else {}), **self.maximum}
        if any(name in _ON_FACES and quality.get(name) is None for name in bounds):
            misses.append("no face was found in the video")
        for name, bound in bounds.items():
            value = quality.get(name)
            if value is None:
                continue
            if name == "identity" and value < bound:
                misses.append(f"identity {value:.2f} is below the minimum of {bound:g}")
            elif name in EITHER_SIGN and abs(value) > bound:
                misses.append(f"{name} {value:+g} is beyond the maximum of {bound:g} either way{_doubt(quality)}")
            elif name not in ("identity", *EITHER_SIGN) and value > bound:
                misses.append(f"{name} {value:.3g} is above the maximum of {bound:g}")
        return "; ".join(misses)

    def missed_by(self, record: Mapping[str, Any]) -> str:
        """Describe the bounds that a film misses, given its record."""
        return self.missed(_measures(record))


def _instead_of(name: str, known: Sequence[str]) -> str:
    """Return the end of a message: what an unknown measure may stand for, else all that are known."""
    if suggestion(name, ["identity"]):
        return "; use --min-identity, because more of it is better"
    return suggestion(name, known) or f"; use one of {', '.join(known)}"


def _doubt(measures: Mapping[str, float | None]) -> str:
    """Return that the offset of mouth and sound is not clear; empty if it is."""
    sure = measures.get("sync_confidence")
    return f" (not clear, confidence {sure:.2f})" if sure is not None and sure < SURE_OF_SYNC else ""


def _measures(facts: Mapping[str, Any]) -> Mapping[str, float | None] | None:
    """Return the measures in the record of a film: those of its picture, and those of picture and sound."""
    quality, sync = facts.get("quality"), {name: facts[name] for name in SYNC_COLUMNS if name in facts}
    return None if quality is None and not sync else {**(quality or {}), **sync}
