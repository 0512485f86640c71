"""Runs with a signer: everything that is published is signed, or nothing is."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from catalogs.export.deliver import deliver
from catalogs.query.jobs import list_jobs
from catalogs.retention.check_store import check_store
from catalogs.retention.forget import forget
from catalogs.store.store import open_store
from tasks.credentials.authority import create_authority
from tasks.credentials.reader import read_credentials
from tests.flows.dubbing.test_dubbing import packets
from tests.flows.jobs import JOB as PAIR
from tests.flows.jobs import RunJobs, manifest_rows
from troupe.errors import SettingsError, SigningError

JOB = PAIR | {"job_id": "ruby"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority") / "credentials"
    create_authority(folder)
    return folder


def test_all_files_are_signed_and_share_the_unsigned_picture(
    run_jobs: RunJobs, authority: Path, tmp_path: Path, cast: Path
) -> None:
    job = JOB | {"output": "both", "master": "lossless", "consent": "form-12"}
    plain = manifest_rows(run_jobs(job))["ruby"]
    assert (plain["signature"], plain["signer"], plain["seconds_sign"]) == ("unsigned", None, None)
    summary = run_jobs(job, credentials=str(authority), require_signature=True)
    assert (summary.counts, summary.pictures, summary.films) == ({"done": 1}, 0, 1)
    row = manifest_rows(summary)["ruby"]
    assert row["signature"] == "signed"
    assert row["signer"] == "CN=troupe test signer,O=troupe test signer"
    assert row["seconds_sign"] > 0
    trust = (authority / "root.pem").read_text()
    types = {"full": "composite", "crop": "trained", "master": "composite", "poster": "composite"}
    for name, kind in types.items():
        found = read_credentials(Path(row[f"{name}_uri"]), trust)
        assert (name, found.state) == (name, "trusted")
        assert found.claims.source_type.startswith(kind)
        assert (found.claims.run_id, found.claims.job_id) == (summary.run_id, "ruby")
        assert (found.claims.consent, found.claims.weights) == ("form-12", row["weights"])
        assert found.claims.inputs["portrait"] == {"title": "ruby.png", "sha256": row["portrait_sha256"]}
        assert found.claims.inputs["driving"]["sha256"] == row["driving_sha256"]
    assert packets(row["full_uri"]) == packets(plain["full_uri"])
    assert row["master_c2pa_uri"] == str(Path(row["master_uri"]).with_suffix(".c2pa"))
    store = open_store(str(tmp_path / "store"))
    deliver(store, list_jobs(store, run=summary.run_id), open_store(f"{tmp_path}/out"), "a.mp4", masters=True)
    assert read_credentials(tmp_path / "out" / "a.mkv", trust).state == "trusted"
    assert forget(store, portraits=[row["portrait_sha256"]], dry_run=True).exported == tuple(
        f"{tmp_path}/out/a.{suffix}" for suffix in ("c2pa", "mkv", "mp4")
    )
    # The store vouches for sidecars as for all files, and a film is reused with its signer, and without.
    assert not check_store(store, deep=True).problems
    again = run_jobs(job, credentials=str(authority))
    assert (again.counts, manifest_rows(again)["ruby"]["signature"]) == ({"reused": 1}, "signed")
    old = run_jobs(job)
    assert (old.counts, manifest_rows(old)["ruby"]["signature"]) == ({"reused": 1}, "unsigned")
    Path(row["master_uri"]).with_suffix(".c2pa").write_bytes(b"other")
    assert [problem.what for problem in check_store(store).problems]


@pytest.mark.long
def test_a_signer_that_fails_publishes_nothing_and_retry_works_after_mending(
    run_jobs: RunJobs, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended = tmp_path / "mended"
    program = (
        "import sys, pathlib; from cryptography.hazmat.primitives import hashes, serialization as s;"
        "from cryptography.hazmat.primitives.asymmetric import ec;"
        f"pathlib.Path({str(mended)!r}).exists() or sys.exit('the token is read-only');"
        f"k = s.load_pem_private_key(open({str(authority / 'key.pem')!r}, 'rb').read(), None);"
        "sys.stdout.buffer.write(k.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256())))"
    )
    monkeypatch.setenv("TROUPE_SIGNING_CERTIFICATE", str(authority / "certificate.pem"))
    monkeypatch.setenv("TROUPE_SIGNING_COMMAND", shlex.join([sys.executable, "-c", program]))
    summary = run_jobs(JOB, require_signature=True, run_id="r1")
    row = manifest_rows(summary)["ruby"]
    assert (summary.counts, row["error_kind"]) == ({"failed": 1}, "signing")
    assert row["error"] == "the signing command exited with 1: the token is read-only"
    assert (row["signature"], row["full_uri"]) == (None, None)
    assert not list((tmp_path / "store").glob("renders/*/*"))
    create_authority(tmp_path / "old", days=-1)
    create_authority(tmp_path / "other")
    shutil.copy(authority / "key.pem", tmp_path / "other" / "key.pem")
    for variables, folder, words in (
        ({"COMMAND": shlex.join([sys.executable, "-c", "import time; time.sleep(60)"])}, "", "timed out after 0.3 s"),
        ({}, "old", "is valid from"),
        ({}, "other", "belong together"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv("TROUPE_SIGNING_TIMEOUT", "0.3")
            patch.delenv("TROUPE_SIGNING_COMMAND")
            for name, value in variables.items():
                patch.setenv(f"TROUPE_SIGNING_{name}", value)
            credentials = str(tmp_path / folder) if folder else None
            summary = run_jobs(JOB, require_signature=True, run_id="r1", retry=("signing",), credentials=credentials)
        row = manifest_rows(summary)["ruby"]
        assert (summary.counts, summary.pictures, row["error_kind"]) == ({"failed": 1}, 0, "signing")
        assert words in row["error"]
        assert not list((tmp_path / "store").glob("renders/*/*"))
    mended.touch()
    summary = run_jobs(JOB, require_signature=True, run_id="r1", retry=("signing",))
    assert (summary.counts, summary.pictures) == ({"done": 1}, 0)
    row = manifest_rows(summary)["ruby"]
    assert read_credentials(Path(row["full_uri"])).state == "untrusted"


def test_an_unusable_signer_is_refused_before_anything_starts(tmp_path: Path, weights: Path, cast: Path) -> None:
    from tasks.run.request import Request
    from tasks.run.requests.check_request import check_request

    def request(**more: object) -> Request:
        folders = {"portraits": f"{cast}/portraits", "drivings": f"{cast}/clips"}
        return Request(str(tmp_path / "store"), str(weights), require_signature=True, **folders | more)  # type: ignore[arg-type]

    with pytest.raises(
        SigningError, match=r"^--require-signature requires signatures, and no signer is configured; give"
    ):
        check_request(request())
    create_authority(tmp_path / "old", days=-1)
    with pytest.raises(SettingsError) as raised:
        check_request(request(credentials=str(tmp_path / "old"), device="gpu"))
    assert len(raised.value.problems) == 2
    assert "is valid from" in raised.value.problems[1]
    assert not (tmp_path / "store").exists()
