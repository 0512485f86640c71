"""What `troupe doctor` finds out about a signer."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tasks.credentials.authority import create_authority
from tasks.credentials.examine import examine_signer
from troupe.errors import SigningError


def test_a_signer_that_works_for_long_and_for_days(authority: Path, tmp_path: Path) -> None:
    what, advice = examine_signer(str(authority), required=True)
    assert what.startswith("CN=troupe test signer,O=troupe test signer signs; the certificate is valid until 20")
    assert advice == ""
    create_authority(tmp_path / "brief", days=3)
    assert examine_signer(str(tmp_path / "brief"))[1] == "get a new certificate"


def test_no_signer() -> None:
    assert examine_signer() == ("no signer: videos have no signed Content Credentials", "")
    with pytest.raises(SigningError, match="the policy of the store requires signatures"):
        examine_signer(required=True)


def test_signers_that_do_not_work(authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_authority(tmp_path / "old", days=-1)
    create_authority(tmp_path / "other")
    shutil.copy(authority / "key.pem", tmp_path / "other" / "key.pem")
    create_authority(tmp_path / "lost")
    (tmp_path / "lost" / "key.pem").unlink()
    for name, words in (("old", "is valid from"), ("other", "belong together"), ("lost", "key.pem cannot be read")):
        with pytest.raises(SigningError, match=words):
            examine_signer(str(tmp_path / name))
    monkeypatch.setenv("TROUPE_SIGNING_CERTIFICATE", str(authority / "certificate.pem"))
    monkeypatch.setenv("TROUPE_SIGNING_COMMAND", shlex.join([sys.executable, "-c", "import time; time.sleep(60)"]))
    monkeypatch.setenv("TROUPE_SIGNING_TIMEOUT", "0.2")
    with pytest.raises(SigningError, match=r"timed out after 0\.2 s"):
        examine_signer()
