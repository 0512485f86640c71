"""`troupe doctor` on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app


@pytest.mark.usefixtures("prefect_session")
def test_findings_as_a_table(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--store", str(tmp_path / "store")])
    header, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert header == ["state", "what", "found", "advice"]
    states = {row[1]: row[0] for row in rows}
    assert states["ffmpeg"] == states["ray"] == states["prefect"] == states["store"] == "ok"
    assert result.exit_code == (2 if "bad" in states.values() else 0)


@pytest.mark.usefixtures("prefect_session")
def test_findings_as_json(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["doctor", "--format", "json", "--store", str(tmp_path / "file"), "--weights", str(tmp_path / "nothing")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    found = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert found["weights"]["state"] == found["store"]["state"] == "bad"
    assert "nothing is not a directory" in found["weights"]["what"]
    assert "is a file" in found["store"]["what"]
    assert found["signer"]["state"] == "ok", "what is wrong with the store is no fault of the signer"
