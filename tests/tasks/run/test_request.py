"""Requests: parameters by name, and jobs that are read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.store.store import open_store
from tasks.run import request as module
from tasks.run.request import Request
from troupe.errors import BadJob, NotAllowed, SettingsError


def test_none_stands_for_the_default_and_other_names_are_ignored() -> None:
    given = {"store": "s", "weights": "w", "defaults": None, "device": None, "retry": ["no_face"], "local": True}
    assert Request.from_parameters(given) == Request("s", "w", retry=("no_face",))


def test_parameters_make_the_same_request() -> None:
    request = Request("s", "w", jobs="jobs.csv", max_quality={"flicker": 1.0}, retry=())
    assert Request.from_parameters(request.parameters()) == request


def test_the_jobs_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("portrait,driving\np.png,c.mp4\n")
    reads = []
    read_jobs = module.read_jobs
    monkeypatch.setattr(module, "read_jobs", lambda *args, **more: reads.append(args) or read_jobs(*args, **more))
    request = Request("s", "w", jobs=str(path))
    assert request.job_list == request.job_list
    assert len(reads) == 1


def test_what_the_jobs_of_a_request_may_read(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    typed = Request(store.url, "w", jobs=f"{tmp_path}/in/jobs.csv").allowed_inputs
    typed.check("/anywhere/a.png")
    assert not typed.allows_private("http://10.0.0.5/a.png")
    scheduled = Request.from_parameters(
        {"store": store.url, "weights": "w", "jobs": f"{tmp_path}/in/jobs.csv", "allow_input": ["http://10.0.0.5/"]}
    ).allowed_inputs
    assert scheduled.allows_private("http://10.0.0.5/a.png")
    for uri in (f"{tmp_path}/in/clips/a.mp4", f"{store.url}/renders/k/full.mp4"):
        scheduled.check(uri)
    for uri in ("/anywhere/a.png", "s3://bucket/a.png", "https://example.com/a.png"):
        with pytest.raises(NotAllowed):
            scheduled.check(uri)
    bucket = open_store("s3://bucket/troupe")
    with pytest.raises(SettingsError, match="allow_input"):
        _ = Request(bucket.url, "w", jobs="s3://jobs/x/jobs.csv", allow_input=("ftp://x",)).allowed_inputs


def test_a_scheduled_run_looks_for_languages_where_it_may_read(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "salary.fr.wav").write_text("x")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "jobs.csv"
    path.write_text(f"portrait,driving,audio\np.png,c.mp4,{private}/salary.{{language}}.wav\n")
    parameters = {"store": str(tmp_path / "store"), "weights": "w", "jobs": str(path)}
    (job,) = Request.from_parameters(parameters).job_list
    assert job.language == "fr"
    with pytest.raises(BadJob, match=f"{private} is outside of what this run may read"):
        Request.from_parameters(parameters | {"allow_input": []}).job_list  # noqa: B018


def test_retry_needs_a_run() -> None:
    with pytest.raises(SettingsError, match="run_id"):
        Request("s", "w", retry=()).job_list  # noqa: B018


def test_the_missing_half_of_two_folders_is_named() -> None:
    for given, message in (
        ({"portraits": "faces"}, "^--drivings is missing"),
        ({"drivings": "clips"}, "^--portraits is missing"),
        ({}, "^nothing to do"),
    ):
        with pytest.raises(SettingsError, match=message):
            Request("s", "w", **given).job_list  # noqa: B018


def test_an_unknown_source_of_identities() -> None:
    with pytest.raises(SettingsError, match="stem or folder"):
        Request.from_parameters({"store": "s", "weights": "w", "jobs": "j.csv", "identity_from": "name"}).job_list  # noqa: B018
