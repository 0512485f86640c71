"""What the pages show of a film: a row with its media, measures, family and review, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from catalogs.query.job_details import rerun_command
from catalogs.report.films import film_facts
from catalogs.requests.image_sequences import display_name
from catalogs.review.decisions import Decision, ReviewState
from catalogs.store import uris
from catalogs.table.runs import read_run
from catalogs.table.schema import EITHER_SIGN, QUALITIES, SURE_OF_SYNC, SYNC_COLUMNS
from flows.review.context import ReviewContext
from flows.review.films import families_of, files_of
from troupe.errors import TroupeError

__all__ = ["Items", "as_json", "state_as_json"]

_LABELS = {
    "identity": "identity similarity",
    "landmarks": "landmark distance",
    "expression": "expression distance",
    "pose": "head-pose distance",
    "flicker": "flicker",
    "sync_offset_frames": "sync offset",
    "sync_confidence": "sync confidence",
    "sync_lse_c": "LSE-C",
    "sync_lse_d": "LSE-D",
}
_UNITS = {"pose": "°", "flicker": "grey levels", "sync_offset_frames": "frames"}


class Items:
    """Makes items from rows; its methods read the store, so pages call them by `context.calls`.

    Args:
        context: what the pages share.
    """

    def __init__(self, context: ReviewContext) -> None:
        self._context = context
        self._thresholds = lru_cache(maxsize=256)(self._read_thresholds)

    def of(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the items of complete rows.

        Raises:
            StoreError: the catalog or the decisions cannot be read.
        """
        families = families_of(self._context.index, {row["picture_key"] for row in rows if row["picture_key"]})
        films = {row["render_key"]: row["picture_key"] for family in families.values() for row in family}
        films |= {row["render_key"]: row["picture_key"] for row in rows if row["render_key"]}
        # One call for all, because each looks for new decisions in the store.
        states = self._context.decisions.of(list(films), list(films.values()))
        histories = self._context.decisions.histories((row["render_key"] or "", row["picture_key"]) for row in rows)
        return [
            self._item(row, families.get(row["picture_key"], []), states, history if row["render_key"] else [])
            for row, history in zip(rows, histories, strict=True)
        ]

    def rerun(self, row: Mapping[str, Any]) -> str:
        """Return the shell command that renders a job again."""
        return rerun_command(self._context.store, row)

    def _item(
        self,
        row: Mapping[str, Any],
        family: Sequence[Mapping[str, Any]],
        states: Mapping[str, ReviewState],
        history: Sequence[Decision],
    ) -> dict[str, Any]:
        media, key = self._context.media, row["render_key"]
        return {
            "run": row["run_id"],
            "job": row["job_id"],
            "key": key,
            "picture": row["picture_key"],
            "status": row["status"],
            "identity": row["identity"] or "",
            "language": row["language"] or "",
            "error": row["error"] or "",
            "errorKind": row["error_kind"] or "",
            "flagged": row["flagged"] or "",
            "notes": row["notes"] or "",
            "finished": row["finished_at"],
            "video": media.video(row),
            "poster": media.poster(row),
            "subtitles": media.subtitles(row),
            "crop": media.video(row, crop=True) if row["full_uri"] and row["crop_uri"] else "",
            "fps": row["fps_numerator"] / row["fps_denominator"] if row["fps_denominator"] else 25,
            "frames": row["frames"] or 0,
            "whole": bool(row["full_uri"]),
            "width": row["width"] or 0,
            "height": row["height"] or 0,
            "portrait": self._input(row["portrait"], media.portrait(row)),
            "clip": self._input(row["driving"], media.clip_poster(row))
            | {"start": row["start_seconds"] or 0, "end": row["end_seconds"]},
            "measures": self._measures(row),
            "facts": _facts(row),
            "films": [_film(film, states, media.video(files_of(film))) for film in family] if len(family) > 1 else [],
            "review": state_as_json(states[key]) if key else None,
            "history": [as_json(decision) for decision in history],
        }

    def _input(self, uri: str | None, thumbnail: str) -> dict[str, Any]:
        """Return a portrait or a clip: itself if it may be shown, else its thumbnail and where it is."""
        found = self._context.media.input(uri)
        name = display_name(uri or "")
        note = ""
        if not found:
            local = uri is not None and uris.local_path(uri) is not None
            note = "a thumbnail; the file is not in the store" if thumbnail else "not in the store"
            note += ", and is shown with `--inputs FOLDER`" if local else ""
        return {"uri": uri or "", "name": name, "media": found, "thumbnail": thumbnail, "note": note}

    def _measures(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        thresholds = self._thresholds(row["run_id"])
        measures = []
        for name in (*QUALITIES, *SYNC_COLUMNS):
            value = row[f"quality_{name}" if name in QUALITIES else name]
            if value is None:
                continue
            least, most = thresholds.get(name, (None, None))
            compared = abs(value) if name in EITHER_SIGN else value
            unclear = name in EITHER_SIGN and (row["sync_confidence"] or 0) < SURE_OF_SYNC
            missed = (least is not None and compared < least) or (most is not None and compared > most)
            bound = f"≥ {least:g}" if least is not None else f"≤ {most:g}" if most is not None else ""
            measures.append(
                {
                    "name": name,
                    "label": _LABELS[name],
                    "value": f"{value:+d}" if name in EITHER_SIGN else f"{value:.3g}",
                    "unit": f"{_UNITS.get(name, '')}{' (not clear)' if unclear else ''}",
                    "bound": bound,
                    "missed": missed,
                }
            )
        return measures

    def _read_thresholds(self, run_id: str) -> Mapping[str, tuple[float | None, float | None]]:
        """Return the lower and the upper bound by measure, from the record of the run."""
        try:
            request = read_run(self._context.store, run_id).request
        except TroupeError:
            return {}  # a run of an early version, or its record is gone
        bounds: dict[str, tuple[float | None, float | None]] = {
            str(name): (None, float(bound)) for name, bound in (request.get("max_quality") or {}).items()
        }
        if (least := request.get("min_identity")) is not None:
            bounds["identity"] = (float(least), None)
        return bounds


def as_json(decision: Decision) -> dict[str, Any]:
    """Return a decision."""
    return {
        "id": decision.decision_id,
        "at": decision.decided_at.isoformat(),
        "reviewer": decision.shown_reviewer,
        "automatic": decision.automatic is not None,
        "scope": decision.scope,
        "key": decision.key,
        "kind": decision.kind,
        "reason": decision.reason,
        "comment": decision.comment,
        "time": decision.time_seconds,
        "undoes": decision.undoes,
    }


def state_as_json(state: ReviewState) -> dict[str, Any]:
    """Return where a film stands."""
    return {"state": state.state, "by": as_json(state.decision) if state.decision else None}


def _film(film: Mapping[str, Any], states: Mapping[str, ReviewState], video: str) -> dict[str, Any]:
    key = film["render_key"]
    return {
        "run": film["run_id"],
        "job": film["job_id"],
        "key": key,
        "language": film["language"] or "",
        "video": video,
        "state": states[key].state,
    }


def _facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    rate = f"{row['fps_numerator'] / row['fps_denominator']:.4g}" if row["fps_denominator"] else ""
    size = f"{row['width']} x {row['height']}, {row['frames']} frames at {rate}/s" if row["frames"] else ""
    gaps = sum(gap["stop"] - gap["first"] for gap in row["gaps"] or ())
    film = film_facts(row)
    facts = [
        ("video", size),
        ("preset", row["preset"]),
        ("seed", "" if row["seed"] is None else str(row["seed"])),
        *((label, film.get(label)) for label in ("sound", "fit", "loudness", "sync", "consent")),
        ("frames without a face", str(gaps) if gaps else ""),
        *((f"tag {name}", value) for name, value in dict(row["tags"] or {}).items()),
    ]
    return [(label, value) for label, value in facts if value]
