"""The catalog's row of a job that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from catalogs.store.store import Store
from catalogs.table.schema import SYNC_COLUMNS, Row, Status, make_row
from tasks.quality.thresholds import Thresholds
from tasks.run.planning import PlannedJob
from troupe.errors import QualityError, TroupeError

__all__ = ["Outcome", "judged", "row_of"]

RECORD_COLUMNS = ("width", "height", "frames", "seconds", "bytes", "checksum", "device", "peak_gpu_bytes", "worker")
"""Columns with the same name as in the render's record."""
SOUND_COLUMNS = (
    *("fit", "audio_seconds", "audio_cut_seconds", "loudness_lufs", "loudness_range", "true_peak_dbtp"),
    *SYNC_COLUMNS,
)
"""Such columns that records of earlier versions, and of films without such a sound, do not have."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: its status.
        started: when the run began to work on it.
        facts: record of the render, if there is one, whichever run made it.
        error: why there is none, or why it does not count.
        stages: seconds by stage that this run spent on the job.
        attempts: how often a worker was given the picture or the film.
        flagged: thresholds that the render misses, in words; that it shows another person is in the planned job.
        notes: what was damaged in the store and was made again.
    """

    status: Status
    started: datetime
    facts: Mapping[str, Any] | None = None
    error: TroupeError | None = None
    stages: Mapping[str, float] | None = None
    attempts: int | None = None
    flagged: str | None = None
    notes: tuple[str, ...] = ()


def judged(outcome: Outcome, thresholds: Thresholds) -> Outcome:
    """Return the outcome after the thresholds, which may flag or fail a job."""
    missed = thresholds.missed_by(outcome.facts) if outcome.facts is not None else ""
    if not missed:
        return outcome
    if not thresholds.fail:
        return replace(outcome, flagged=missed)
    error = QualityError(f"{missed}; the video is kept in the store")
    return replace(outcome, status="failed", flagged=missed, error=error)


def row_of(planned: PlannedJob, outcome: Outcome, *, run_id: str, weights: str, store: Store) -> Row:
    """Return the row of a job.

    Args:
        weights: fingerprint of the weights.
    """
    spec, facts = planned.spec, outcome.facts
    columns: dict[str, Any] = {}
    if spec is not None:
        columns |= {
            "render_key": spec.key,
            "picture_key": spec.picture.key,
            "appearance_key": spec.picture.portrait.key,
            "track_key": spec.picture.motion.track.key,
            "motion_key": spec.picture.motion.key,
            "settings": spec.picture.settings,
        }
    if facts is not None:
        uris = {name: store.uri(key) for name, key in facts["outputs"].items()}
        columns |= {name: facts.get(name) for name in SOUND_COLUMNS}
        columns |= {"signature": facts.get("signature", "unsigned"), "signer": facts.get("signer")}
        columns |= {name: facts[name] for name in RECORD_COLUMNS} | {
            "full_uri": uris.get("full"),
            "crop_uri": uris.get("crop"),
            "master_uri": uris.get("master"),
            "master_c2pa_uri": store.uri(manifests["master"]) if (manifests := facts.get("manifests")) else None,
            "poster_uri": store.uri(facts["poster"]),
            **{f"subtitles_{kind}_uri": store.uri(key) for kind, key in facts.get("subtitles", {}).items()},
            "fps_numerator": facts["fps"][0],
            "fps_denominator": facts["fps"][1],
            "face": facts["face"],
            "gaps": [tuple(gap) for gap in facts["gaps"]],
            "cuts": facts["cuts"],
            "detection_score": facts["detection_score"],
            "watermark": facts.get("watermark", "off" if planned.job.watermark == "off" else None),
            "language": planned.job.language or facts.get("language"),  # the sound's own
            "subtitles_language": facts.get("subtitles_language") or planned.job.subtitles_language,
            # Renders that an earlier version made were not measured.
            **{f"quality_{name}": value for name, value in facts.get("quality", {}).items()},
        }
    return make_row(
        run_id,
        planned.job,
        outcome.status,
        started_at=outcome.started,
        finished_at=datetime.now(UTC),
        error=outcome.error,
        stages=outcome.stages,
        portrait_sha256=planned.portrait_hash or None,
        driving_sha256=planned.driving_hash or None,
        weights=weights,
        attempts=outcome.attempts,
        flagged="; ".join(filter(None, (planned.flagged, outcome.flagged))) or None,
        consent_similarity=planned.consent_similarity,
        notes="; ".join(dict.fromkeys((*(facts or {}).get("notes", ()), *planned.notes, *outcome.notes))) or None,
        **columns,
    )
