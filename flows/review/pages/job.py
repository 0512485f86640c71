"""A job: its media, all about it, how to make it again, its family of languages, what was decided."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalogs.query.job_details import job_rows
from catalogs.query.lookup import find_jobs
from catalogs.review.reasons import read_reasons
from flows.review.context import ReviewContext
from flows.review.items import Items
from flows.review.templates import render
from troupe.errors import SettingsError

__all__ = ["routes"]

_GROUPS = {
    "Request": (
        *(
            "portrait",
            "driving",
            "identity",
            "consent",
            "audio",
            "language",
            "output",
            "preset",
            "seed",
            "start_seconds",
        ),
        *("end_seconds", "audio_track", "video_track", "size", "fit", "subtitles", "subtitles_burn", "label", "tags"),
    ),
    "Result": (
        *("status", "error_kind", "error", "flagged", "notes", "width", "height", "fps_numerator", "fps_denominator"),
        *("frames", "seconds", "bytes", "checksum", "full_uri", "crop_uri", "poster_uri", "master_uri"),
        *("subtitles_vtt_uri", "subtitles_srt_uri", "gaps", "cuts", "signature", "signer", "watermark"),
    ),
    "Measures": (
        *("quality_identity", "quality_landmarks", "quality_expression", "quality_pose", "quality_flicker"),
        *("sync_offset_frames", "sync_confidence", "sync_lse_c", "sync_lse_d", "loudness_lufs", "loudness_range"),
        *("true_peak_dbtp", "detection_score", "audio_seconds", "audio_cut_seconds"),
    ),
}
"""Columns of the job page by heading; all others are under `Work`."""


def routes(context: ReviewContext) -> list[Route]:
    """Return the routes of the job page."""
    items = Items(context)

    def find(run: str, job: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        rows = job_rows(context.store, job)
        found = next((row for row in rows if row["run_id"] == run), None) if run else rows[0]
        if found is None:
            raise SettingsError(f"run {run} has no job {job!r}")
        return found, rows

    def collect(run: str, job: str) -> dict[str, Any]:
        row, rows = find(run, job)
        return {
            "row": row,
            "item": items.of([row])[0],
            "groups": _groups(row),
            "runs": rows,
            "rerun": items.rerun(row),
            "reasons": read_reasons(context.store),
        }

    async def page(request: Request) -> Response:
        run, job = request.query_params.get("run", ""), request.query_params.get("job", "")
        found = await context.calls.run(collect, run, job)
        config = {
            "mode": "job",
            "state": "all",
            "scope": "film",
            "reasons": found.pop("reasons"),
            "item": found["item"],
        }
        reviewer = request.state.reviewer or context.reviewer
        return render(request, "job.html", config=config, reviewer=reviewer, **found)

    def find_item(run: str, job: str) -> list[dict[str, Any]]:
        return items.of(find_jobs(context.index, [(run, job)]))

    async def item(request: Request) -> Response:
        parameters = request.query_params
        found = await context.calls.run(find_item, parameters.get("run", ""), parameters.get("job", ""))
        return JSONResponse(found[0]) if found else JSONResponse({"error": "there is no such job"}, 404)

    return [Route("/job", page), Route("/api/job", item)]


def _groups(row: dict[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return the columns that have a value, by heading."""
    named = {name for names in _GROUPS.values() for name in names}
    groups = {**_GROUPS, "Work": tuple(name for name in row if name not in named)}
    found = [
        (title, [(name, row[name]) for name in names if row.get(name) not in (None, "", [], {})])
        for title, names in groups.items()
    ]
    return [(title, values) for title, values in found if values]
