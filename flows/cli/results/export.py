"""`troupe export`: copy finished videos under readable names."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import stderr
from flows.cli.options import DEFAULT_STORE, ExcelOption, ExitCode, StoreOption, explain_empty, with_filters
from flows.observe.progress import console_export_progress
from troupe.errors import SettingsError
from troupe.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["export"]


class PackageOption(StrEnum):
    """Kinds of packages."""

    mp4 = "mp4"
    mkv = "mkv"
    hls = "hls"


@with_filters
def export(
    filters: dict[str, Any],
    what: Annotated[str, typer.Argument(help="A run_id, `latest`, `all`, or a SELECT over `jobs`.")],
    destination: Annotated[str, typer.Argument(metavar="DEST", help="Folder or bucket URL to copy to.")],
    store: StoreOption = DEFAULT_STORE,
    name: Annotated[
        str, typer.Option(help="File name template: columns in braces, `{tags.NAME}` for a tag.")
    ] = "{identity}/{job_id}",
    package: Annotated[
        PackageOption | None,
        typer.Option(help="Export the films of each picture as one file with a track per language, or as HLS."),
    ] = None,
    default_language: Annotated[
        str,
        typer.Option(metavar="TAG", help="Language that players of packages choose, BCP 47; default the first film's."),
    ] = "",
    crop: Annotated[
        bool, typer.Option("--crop", help="Export the animated square where a job has both it and the full picture.")
    ] = False,
    posters: Annotated[bool, typer.Option("--posters", help="Export posters, too, as JPEG beside the videos.")] = False,
    masters: Annotated[
        bool,
        typer.Option("--masters", help="Export masters, too, beside the videos, with the .c2pa of those in Matroska."),
    ] = False,
    excel: ExcelOption = False,
    credentials: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Sign packages: folder with certificate.pem and key.pem; see docs/provenance.md.",
            envvar="TROUPE_CREDENTIALS",
            show_default="TROUPE_SIGNING_... of the environment",
        ),
    ] = None,
    approved: Annotated[
        bool,
        typer.Option("--approved", help="Export only films approved in review; short for `--review approved`."),
    ] = False,
) -> None:
    """Export finished videos under readable names, with a manifest beside them.

    Safe to repeat: existing files are never overwritten, and videos exported before are skipped. The manifest keeps the
    rows of earlier exports into the folder. The store records every export, also one that fails or is stopped by
    Ctrl-C, which finishes the files in progress: `troupe catalog sql "FROM exports"`.

    `--approved` exports exactly the films that a reviewer, or a rule of the store's policy, approved: see
    `troupe review`. The columns `review`, `reviewer`, `review_reason` and `reviewed_at` of the manifest say who decided
    about each film and when, and the store's record of the export keeps it.

    With `--package`, every picture is one package: its video once, copied bit by bit, and the sound and subtitles of
    every film as a track with language and title. `mp4` has subtitles as `mov_text`, `mkv` as SRT; `hls` is a folder
    with `master.m3u8`, fragmented MP4 and WebVTT. `{job_id}` is then the first film's without its language:
    `welcome` for `welcome.en`. Films whose lengths differ cannot share a video; they become packages of their own,
    which is reported. `packages.jsonl` lists languages, tracks and files with their SHA-256.

    With a signer, packages in MP4 and Matroska get Content Credentials, in which those of their films are kept; HLS is
    not signed, and a note says so.

    Exit code: 0 if all videos were exported, 3 if some are missing from the store, 2 for an invalid request, 130
    if it was stopped.

    Examples:

    - `troupe export latest delivery`
    - `troupe export 20261124-061500-ab12 s3://client/videos --name "{identity}/{job_id}_{language}.mp4"`
    - `troupe export latest delivery --package mp4 --default-language en`
    - `troupe export latest s3://client/videos --package hls --name "{tags.campaign}/{job_id}"`
    - `troupe export latest delivery --approved`
    - `troupe export all best --min identity=0.7 --status done`
    - `troupe export "SELECT * FROM jobs WHERE tags['scene'] = '2'" scene2`
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from catalogs.export.deliver import deliver
    from catalogs.query import jobs as query
    from catalogs.query.sql import sql
    from catalogs.store.existing import open_existing
    from catalogs.store.policy import read_policy
    from catalogs.store.store import open_store
    from catalogs.table.schema import WITH_VIDEO
    from flows.observe.prefect_events import emit_export
    from tasks.credentials.signer import configured_signer
    from tasks.delivery import deliver_packages
    from tasks.events import sending_events

    if approved and filters["review"] not in (None, "approved"):
        raise SettingsError(f"--approved and --review {filters['review']} contradict each other; give one of them")
    filters = {**filters, "review": "approved" if approved else filters["review"]}
    if masters and package is not None:
        raise SettingsError("--masters is for single videos; leave out --package")
    if default_language and package is None:
        raise SettingsError("--default-language is for packages; add --package mp4, mkv or hls")
    source = open_existing(store)
    signer = configured_signer(credentials or "") if package is not None else None
    if signer is not None and package != PackageOption.hls:
        signer.check()
    elif package is not None and read_policy(source).require_signature:
        how = "HLS packages cannot be signed; choose mp4 or mkv" if package == PackageOption.hls else "name a signer"
        raise SettingsError(f"the policy of {store} requires signatures; {how}, or export single videos")
    selected: pa.Table | None = None
    if what.lstrip().lower().startswith(("select ", "with ", "from ")):
        selected = sql(source, what)
        if not {"run_id", "job_id"} <= set(selected.column_names):
            raise SettingsError("the query must select the columns run_id and job_id, which identify the videos")
    elif what != "all":
        filters = {**filters, "run": query.latest_run(source) if what == "latest" else what}
    rows = query.list_jobs(source, **filters)
    if selected is not None:
        wanted = set(zip(*(selected.column(c).to_pylist() for c in ("run_id", "job_id")), strict=True))
        keys = zip(*(rows.column(c).to_pylist() for c in ("run_id", "job_id")), strict=True)
        rows = rows.filter(pa.array([key in wanted for key in keys], pa.bool_()))
    rows = rows.filter(pc.field("status").isin(WITH_VIDEO))
    if not len(rows):
        explain_empty(source, filters)
        raise SettingsError(f"no finished videos of {what} in {store} match; {source.command('catalog ls')} lists jobs")
    unsigned = sum(signature != "signed" for signature in rows.column("signature").to_pylist())
    if package is None and unsigned and read_policy(source).require_signature:
        raise SettingsError(
            f"{unsigned} of {len(rows)} videos are not signed, and the policy of {store} requires signatures: run "
            "their jobs again with a signer, or export \"SELECT * FROM jobs WHERE signature = 'signed'\""
        )
    target = open_store(destination)
    common: dict[str, Any] = {"crop": crop, "posters": posters, "excel": excel}
    notes: tuple[str, ...] = ()
    with sending_events(source, stderr.print), console_export_progress(stderr) as on_progress:
        common["on_progress"] = on_progress
        if package is None:
            videos = deliver(source, rows, target, name, masters=masters, **common)
            missing, manifest = videos.missing, videos.manifest
            summary = f"{counted(videos.copied, 'video')} exported, {videos.unchanged} already there"
            if credentials and unsigned:
                notes = (f"{unsigned} of {len(rows)} videos are not signed, and --credentials signs packages only",)
        else:
            packages = deliver_packages(
                source, rows, target, package.value, name, default_language=default_language, signer=signer, **common
            )
            missing, manifest, notes = packages.missing, packages.manifest, packages.notes
            summary = (
                f"{counted(packages.created, 'package')} exported, {packages.unchanged} already there, "
                f"with {counted(packages.films, 'film')}"
            )
    if package is None and videos.copied:
        emit_export(source, target.url, videos.copied)
    elif package is not None and packages.recorded:
        emit_export(source, target.url, packages.recorded, packages.created)
    for note in (*notes, *_replaced(rows)):
        stderr.print(f"note: {note}")
    for problem in missing:
        stderr.print(f"missing: {problem}")
    stderr.print(f"{summary}, {len(missing)} missing")
    typer.echo(manifest)
    if missing:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _replaced(rows: pa.Table) -> list[str]:
    """Return a note if videos were exported beside those that were made to replace them."""
    replaced = set(rows.column("replaces").to_pylist()) - {None, ""}
    jobs = [row["job_id"] for row in rows.select(["job_id", "render_key"]).to_pylist() if row["render_key"] in replaced]
    return [f"exported beside what replaces them: {', '.join(jobs)}"] if jobs else []
