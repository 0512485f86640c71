"""`troupe credentials` and `troupe verify`."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tasks.credentials.manifest import Generation, sign_file
from tasks.credentials.settings import SigningSettings
from tasks.credentials.signer import Signer
from tests.flows.cli.conftest import troupe


def test_a_test_authority_signs_and_says_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    made = troupe("credentials", "init", str(folder), "--name", "Ada's studio")
    assert made.exit_code == 0
    assert made.stdout.split() == [f"{folder}/{name}" for name in ("key.pem", "certificate.pem", "root.pem")]
    assert "nobody else trusts its signatures" in made.stderr
    assert troupe("credentials", "init", str(folder)).exit_code == 2
    picture, signed = tmp_path / "picture.png", tmp_path / "signed.png"
    Image.new("RGB", (8, 8)).save(picture)
    signer = Signer(SigningSettings(folder / "certificate.pem", folder / "key.pem"))
    sign_file(signer, picture, signed, Generation("r1", "one", "p", "w", "", []), composite=False)
    found = troupe("verify", str(signed), "--trust", str(folder / "root.pem"))
    assert (found.exit_code, found.stdout.splitlines()[:3]) == (
        0,
        [f"{signed}: verified", "  signature: trusted", "  signer: Ada's studio"],
    )
    # One bad file does not stop the others, and the worst one counts.
    all_of_them = troupe("verify", str(tmp_path / "no.mp4"), str(picture), str(signed), "--json")
    assert all_of_them.exit_code == 9
    assert [one["state"] for one in json.loads(all_of_them.stdout)] == ["unreadable", "unknown", "untrusted"]


def test_certificates_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    for name in ("missing.pem", "text"):
        refused = troupe("verify", str(tmp_path), "--trust", str(tmp_path / name))
        assert refused.exit_code == 2, name
