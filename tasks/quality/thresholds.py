"""What quality a run asks for, and what becomes of a render that has less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalogs.table.schema import QUALITIES
from troupe.errors import QualityError, SettingsError

__all__ = ["Thresholds"]

_ON_FACES = ("identity", "landmarks", "expression", "pose")


@dataclass(frozen=True)
class Thresholds:
    """Bounds of a render's measures.

    Attributes:
        least_identity: similarity to the portrait.
        most: of the other measures, by name.
        fail: whether a job that misses one fails; else it is only flagged.

    Raises:
        SettingsError: there is no such measure, or failing is asked for without a bound.
    """

    least_identity: float | None = None
    most: Mapping[str, float] = field(default_factory=dict)
    fail: bool = False

    def __post_init__(self) -> None:
        known = [name for name in QUALITIES if name != "identity"]
        for name in self.most:
            if name not in known:
                raise SettingsError(f"there is no most of {name!r}; there are {', '.join(known)}")
        if self.fail and self.least_identity is None and not self.most:
            raise SettingsError("say what quality to fail below, such as --min-identity 0.5")

    def missed(self, quality: Mapping[str, float | None] | None) -> str:
        """What the measures of a render miss, in words; empty if nothing. Renders that nobody measured miss nothing."""
        if quality is None:
            return ""
        said = []
        bounds = {**({"identity": self.least_identity} if self.least_identity is not None else {}), **self.most}
        if any(name in _ON_FACES and quality.get(name) is None for name in bounds):
            said.append("no face was found in the video")
        for name, bound in bounds.items():
            value = quality.get(name)
            if value is None:
                continue
            if name == "identity" and value < bound:
                said.append(f"identity {value:.2f}, asked for {bound:g} at least")
            elif name != "identity" and value > bound:
                said.append(f"{name} {value:.3g}, asked for {bound:g} at most")
        return "; ".join(said)

    def judged(self, status: str, outcome: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Status and outcome of a job after the thresholds, as `tasks.run.result_row.row_of` takes them."""
        facts = outcome.get("facts")
        missed = self.missed(facts.get("quality")) if facts is not None else ""
        if not missed:
            return status, dict(outcome)
        if not self.fail:
            return status, {**outcome, "flagged": missed}
        error = QualityError(f"{missed}; the video is in the store all the same")
        return "failed", {**outcome, "flagged": missed, "error": error}
