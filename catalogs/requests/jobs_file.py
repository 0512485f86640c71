"""Requests: jobs files, and the cross product of two folders."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.requests.access.input_policy import trusting
from catalogs.requests.access.limits import MAX_ROWS, limit
from catalogs.requests.column_names import column_suggestion, default_name
from catalogs.requests.columns import COLUMNS, REQUIRED, is_empty, parse_cells
from catalogs.requests.drafts import LOOKING, Draft, IdentityFrom, Rules, finished_jobs
from catalogs.requests.dubs import expand, unknown_placeholders
from catalogs.requests.inputs import content_type, files_in, opened
from catalogs.requests.missing_files import any_public
from catalogs.requests.tables import MOST_PROBLEMS, TABLE_SUFFIXES, read_table
from catalogs.store import uris
from catalogs.store.keys import run_key
from catalogs.store.store import Store
from troupe import FaceChoice, Job
from troupe.errors import BadJob, SettingsError
from troupe.file_suffixes import CLIP_SUFFIXES, PORTRAIT_SUFFIXES, unreadable

__all__ = [
    "COLUMNS",
    "IdentityFrom",
    "cross_product",
    "files_of",
    "job_cells",
    "parse_job",
    "parse_jobs",
    "read_jobs",
    "read_request",
    "write_request",
]

_CONTENT_TYPES = {
    "text/csv": ".csv",
    "application/csv": ".csv",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}
_TYPES: dict[str, pa.DataType] = {
    "start": pa.float64(),
    "end": pa.float64(),
    "seed": pa.int64(),
    "quality": pa.int64(),
    "stretch_limit": pa.float64(),
    "loudness": pa.float64(),
    "subtitles_burn": pa.bool_(),
    "tags": pa.map_(pa.string(), pa.string()),
}
_LISTED = 10
_KNOWN = frozenset(COLUMNS)
_FIELDS = [field.name for field in dataclasses.fields(Job)]
_REQUEST = pa.schema([(name, _TYPES.get(name, pa.string())) for name in _FIELDS])


def read_jobs(
    uri: str,
    defaults: Mapping[str, Any] | None = None,
    rules: Rules = LOOKING,
    *,
    first: int | None = None,
) -> list[Job]:
    """Return the jobs of a CSV, JSONL or Parquet file. Relative paths in it are relative to its folder.

    Args:
        uri: URI of the file.
        defaults: values of empty cells, by column; relative paths in them are relative to the working directory.
        rules: how the rows are validated.
        first: number of jobs, after which no further rows are read; all if None.

    Raises:
        BadJob: the file is invalid. All problems are reported together, by row, local files that do not exist, or have
            a `file_problem` of the rules, among them; row 1 is the first below the header.
        MissingInput, StoreError: the file cannot be read.
    """
    with opened(uri, trusting(uri)) as file:
        return parse_jobs(file, _table_name(uri), uris.parent(uri), defaults, rules, first=first)


def _table_name(uri: str) -> str:
    """Return the file's name, with the suffix of its format where only its query or its content type names it."""
    names = uris.file_names(uri)
    name = next((name for name in names if name.lower().endswith(TABLE_SUFFIXES)), names[0])
    if name.lower().endswith(TABLE_SUFFIXES) or uris.scheme(uri) not in uris.HTTP:
        return name
    return name + _CONTENT_TYPES.get(content_type(uri, trusting(uri)), "")


def parse_jobs(
    data: bytes | IO[bytes],
    name: str,
    folder: str,
    defaults: Mapping[str, Any] | None = None,
    rules: Rules | None = None,
    *,
    first: int | None = None,
) -> list[Job]:
    """Return the jobs of a jobs file's content; see `read_jobs`, also for the other arguments.

    Args:
        data: content of the file, or the open file.
        name: name of the file, whose suffix says its format.
        folder: folder that relative paths in the file are relative to.
        rules: how the rows are validated; None looks for files with `{language}` only, as `any_public` allows.
    """
    rules = rules or Rules()
    table = read_table(data, name)
    settings: list[str] = []
    fallback = _defaults(defaults or {}, settings)
    drafts: list[Draft] = []
    found: list[tuple[str, str]] = []
    for row in table.rows:
        wrong: list[str] = []
        own = _known_case(row.cells)
        cells = parse_cells(own, folder, row.where, wrong)
        if rules.policy is not None:
            wrong += unknown_placeholders(cells, fallback, row.where, rules.policy)
        rows = expand(cells, fallback, row.where, wrong, rules.policy or any_public)
        drafts += [Draft(row.where, values, fallback) for values in rows]
        found += [("", problem) for problem in wrong if ("", problem) not in found]
        found += [(column, f"{row.where}: {column} is empty") for column in REQUIRED if is_empty(own.get(column))]
        if len(found) + len(table.problems) >= MOST_PROBLEMS or (first is not None and len(drafts) >= first):
            break
    columns = _known_case(table.columns)
    problems = [
        f"{where}: column {column[:80]!r} is unknown{column_suggestion(column, COLUMNS)}"
        for column, where in _unknown(columns)
    ]
    if table.header or drafts:
        problems += [f"column {column!r} is missing" for column in REQUIRED if column not in columns]
    problems += table.problems + settings
    problems += [problem for column, problem in found if not column or column in columns]
    if settings:  # which are not the file's
        name = "the request"
    drafts = drafts[:first]
    if not drafts and not problems:
        problems.append("there are no rows; write one row per job")
    return finished_jobs(drafts, problems, name, rules)


def parse_job(cells: Mapping[str, Any], where: str, problems: list[str]) -> Job:
    """Return the job of one row of cells; relative paths are relative to the working directory.

    Args:
        cells: cells by column; the required ones are filled.
        where: what the cells are from, for messages.
        problems: what else is wrong with them, to be reported together.

    Raises:
        BadJob: a cell is invalid, or there are other problems.
    """
    draft = Draft(where, parse_cells(cells, str(Path.cwd()), where, problems), {})
    return finished_jobs([draft], problems, "the request", Rules())[0]


def cross_product(
    portraits: str,
    drivings: str,
    defaults: Mapping[str, Any] | None = None,
    rules: Rules = LOOKING,
    *,
    first: int | None = None,
    left_out: list[str] | None = None,
) -> list[Job]:
    """Return one job for every picture in one folder with every clip in another, in the order of their names.

    Args:
        defaults: values of the other columns.
        rules, first: as for `read_jobs`.
        left_out: list that files which cannot be read are added to, with the reason.

    Raises:
        BadJob: a folder contains none, or a default is invalid.
        MissingInput, StoreError: a folder cannot be read.
    """
    problems: list[str] = []
    pictures = _of_kind(portraits, PORTRAIT_SUFFIXES, "picture", problems, left_out)
    clips = _of_kind(drivings, CLIP_SUFFIXES, "clip", problems, left_out)
    if first is None and len(pictures) * len(clips) > (most := limit(MAX_ROWS)):
        raise BadJob(f"the request has more than {most} jobs, the limit: divide it into parts, or set {MAX_ROWS}")
    fallback = _defaults(defaults or {}, problems)
    policy = rules.policy or any_public
    problems += unknown_placeholders({}, fallback, "options", policy)
    rows = expand({}, fallback, "options", problems, policy)
    drafts: list[Draft] = []
    for picture, clip in product(pictures, clips):
        if first is not None and len(drafts) >= first:
            break
        where = f"{uris.name(picture)} with {uris.name(clip)}"
        drafts += [Draft(where, {"portrait": picture, "driving": clip} | row, fallback) for row in rows]
    drafts = drafts[:first]
    return finished_jobs(drafts, problems, "the request", rules)


def files_of(place: str) -> list[str]:
    """Return the URIs of the files in a folder, sorted by name, or that of a single local file.

    Raises:
        MissingInput, StoreError: the folder cannot be read.
    """
    path = uris.local_path(place)
    return [uris.from_here(place)] if path is not None and path.is_file() else files_in(place, trusting(place))


def write_request(store: Store, run_id: str, jobs: Sequence[Job]) -> str:
    """Write `runs/<run_id>/request.parquet`, itself a jobs file, and return its key.

    A resumed run finds the request that it wrote before, which must have the same jobs.

    Raises:
        SettingsError: the run_id is invalid, or was used for other jobs.
        StoreError: it cannot be written.
    """
    key = run_key(run_id, "request.parquet")
    columns = ([_cell(getattr(job, name)) for job in jobs] for name in _REQUEST.names)
    arrays = [pa.array(cells, kind) for cells, kind in zip(columns, _REQUEST.types, strict=True)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=_REQUEST), sink, write_page_checksum=True)
    if not store.put_bytes(sink.getvalue(), key).created and (earlier := read_request(store, run_id)) != list(jobs):
        if [replace(job, job_id="") for job in earlier] == [replace(job, job_id="") for job in jobs]:
            raise SettingsError(
                f"run {run_id} in {store.url} has these jobs under other job_ids, as an earlier version of troupe made "
                f"them; resume it with its own request: troupe run {store.uri(key)} --run-id {run_id}"
            )
        raise SettingsError(f"run {run_id} in {store.url} has other jobs; choose another run_id")
    return key


def job_cells(job: Job) -> dict[str, Any]:
    """Return the job as a row of a jobs file, by column."""
    return {name: _cell(getattr(job, name)) for name in _REQUEST.names}


def read_request(store: Store, run_id: str) -> list[Job]:
    """Return the jobs of a run.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: the run does not exist, or cannot be read.
        BadJob: another version of troupe wrote the request, in a format that this one does not support.
    """
    key = run_key(run_id, "request.parquet")
    return parse_jobs(store.read(key), "request.parquet", uris.parent(store.uri(key)))


def _of_kind(
    folder: str, suffixes: tuple[str, ...], kind: str, problems: list[str], left_out: list[str] | None
) -> list[str]:
    files = files_of(folder)
    found = [uri for uri in files if uris.name(uri).lower().endswith(suffixes)]
    others = [f"{uris.name(uri)}: {unreadable(uris.name(uri), kind)}" for uri in files if uri not in set(found)]
    if not found:
        listed = f"; left out: {', '.join(others[:_LISTED])}" if others else ""
        problems.append(f"{uris.redacted(folder)} contains no {kind}s ({', '.join(suffixes)}){listed}")
    if left_out is not None:
        left_out += others
    return found


def _defaults(defaults: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    forbidden = {"job_id", *REQUIRED} & defaults.keys() | {column for column, _ in _unknown(defaults)}
    problems += [f"defaults: column {column!r} cannot have a default" for column in sorted(forbidden)]
    allowed = {column: cell for column, cell in defaults.items() if column not in forbidden}
    fields: dict[str, Any] = {}
    for column, cell in allowed.items():
        wrong: list[str] = []
        fields |= parse_cells({column: cell}, str(Path.cwd()), "", wrong)
        problems += [default_name(column) + problem.removeprefix(f": {column}") for problem in wrong]
    return fields


def _known_case(columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return columns in the case in which they are known, such as `portrait` for `Portrait`, unless both are there."""
    others = [column for column in columns if column not in _KNOWN and column.lower() in _KNOWN]
    if not others:
        return columns
    taken = Counter(column.lower() for column in columns)
    return {
        column.lower() if taken[column.lower()] == 1 and column in others else column: columns[column]
        for column in columns
    }


def _unknown(columns: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(column, where) for column, where in columns.items() if column not in COLUMNS]


def _cell(value: Any) -> Any:
    if isinstance(value, FaceChoice):
        return value.text
    if isinstance(value, Fraction):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value
