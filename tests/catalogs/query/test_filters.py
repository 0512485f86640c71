"""Filters of the catalog's queries."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.store.store import Store
from tests.catalogs.conftest import NOON, job_ids, record, row
from troupe.errors import NoFace, SettingsError


def test_filters(folder_store: Store) -> None:
    """Each of them on rows that differ in nothing else; and where they are recorded in many files."""
    late = NOON + timedelta(days=1)
    no_face = NoFace("none")
    rows = [
        row(
            "r1",
            "a",
            identity="Ana",
            tags=[("scene", "1"), ("take", "2")],
            quality_identity=0.9,
            frames=10,
            sync_offset_frames=-5,
        ),
        row("r1", "b", "failed", error=no_face, identity="Bo", tags=[("scene", "2")]),
        row("r1", "c", identity="Ana", quality_identity=0.3, frames=99, sync_offset_frames=1),
        {**row("r1", "d"), "driving": "s3://clips/laugh.mp4", "language": "pt-BR", "finished_at": late},
    ]
    record(folder_store, "r1", rows, every_rows=1)

    def found(**filters: Any) -> str:
        return "".join(sorted(job_ids(list_jobs(folder_store, **filters))))

    assert found(tags=["scene"]) == "ab"
    assert found(tags=["scene=1"]) == "a"
    assert found(tags=["scene=1", "take=2"]) == "a"
    assert found(tags=["scene=1", "take=3"]) == ""
    assert found(driving="laugh.mp4") == found(driving="s3://clips/laugh.mp4") == found(language="pt-BR") == "d"
    assert found(driving="ugh.mp4") == ""
    assert found(error_kind="no_face") == "b"
    assert found(since=late) == "d"
    assert found(until=late) == "abc"
    assert found(least={"identity": 0.5}) == "a"
    assert found(most={"identity": 0.5}) == "c"
    assert found(least={"frames": 10}, most={"quality_identity": 0.5}) == "c"
    assert found(most={"sync_offset_frames": 2}) == "c"  # either way
    assert found(least={"sync_offset_frames": 3}) == "a"
    assert found(job="b") == "b"
    assert found(identity="Ana", status="failed") == ""
    with pytest.raises(SettingsError, match="'idntity' is not a numeric column; did you mean 'identity'"):
        found(most={"idntity": 0.5})
    for wrong in ({"least": {"job_id": 1}}, {"most": {"identity') OR 1=1": 1}}, {"since": late.replace(tzinfo=None)}):
        with pytest.raises(SettingsError, match=r"not a numeric column|no time zone"):
            found(**wrong)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"state": "done"}, "unknown filter 'state'; did you mean 'status'?"),
        ({"colour": "red"}, "unknown filter 'colour'; use one of status, identity, "),
        ({"older_identities": ["ana"]}, "unknown filter 'older_identities'"),
        ({"identity": 5}, "identity is 5; use text"),
        ({"language": 3}, "language is 3; use text"),
        ({"driving": Path("a.mp4")}, "use text"),
        ({"job": 3}, "job is 3; use text"),
        ({"tags": 5}, "tags is 5; use a list of texts"),
        ({"tags": ["scene", 2]}, "tags is ['scene', 2]; use a list of texts"),
        ({"since": "3d"}, "since is '3d'; use a datetime with a time zone"),
        ({"until": NOON.date()}, "use a datetime with a time zone"),
        ({"least": 5}, "least is 5; use numbers by column, such as {'identity': 0.5}"),
        ({"least": {"identity": "x"}}, "least of 'identity' is 'x'; use a number"),
        ({"most": {"identity": None}}, "most of 'identity' is None; use a number"),
        ({"limit": "x"}, "limit is 'x'; use a whole number, 0 or more"),
        ({"limit": -1}, "limit is -1; use a whole number, 0 or more"),
        ({"columns": "job_id"}, "columns is 'job_id'; use a list of names"),
        ({"columns": ["jobid"]}, "has no column jobid"),
    ],
)
def test_wrong_keywords_are_named_as_on_the_command_line(
    filters: dict[str, Any], message: str, folder_store: Store
) -> None:
    record(folder_store, "r1", [row("r1", "a")])
    with pytest.raises(SettingsError) as caught:
        list_jobs(folder_store, **filters)
    assert message in str(caught.value)


def test_all_wrong_keywords_are_reported_together(folder_store: Store) -> None:
    with pytest.raises(SettingsError) as caught:
        sql(folder_store, "SELECT * FROM jobs", state="done", status="finished", since="3d")
    for part in ("3 problems", "'state'", "unknown status 'finished'", "since is '3d'"):
        assert part in str(caught.value)


def test_a_single_tag_may_be_text(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a", tags=[("scene", "1")]), row("r1", "b")])
    assert job_ids(list_jobs(folder_store, tags="scene=1")) == ["a"]


def test_times_are_kept_to_the_microsecond(folder_store: Store) -> None:
    """Delta Lake cuts those of its statistics to milliseconds."""
    end = NOON + timedelta(microseconds=999_999)
    record(folder_store, "r1", [{**row("r1", "a"), "finished_at": end}])
    assert job_ids(list_jobs(folder_store, since=end, until=end + timedelta(microseconds=1))) == ["a"]
    assert job_ids(list_jobs(folder_store, until=end)) == []
