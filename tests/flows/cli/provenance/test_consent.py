"""`troupe consent`."""

from __future__ import annotations

import json
from pathlib import Path

from models.miniature import SHIPPED_WEIGHTS
from tests.flows.cast import write_portrait
from tests.flows.cli.conftest import troupe


def test_a_face_is_stored_as_an_embedding(tmp_path: Path) -> None:
    store, weights = str(tmp_path / "store"), str(SHIPPED_WEIGHTS)
    write_portrait(tmp_path / "ada.png", 3)
    (tmp_path / "grey.txt").write_text("no picture")
    face, at = str(tmp_path / "ada.png"), ("--store", store)
    added = troupe("consent", "add", "R-1", "--identity", "Ada", "--face", face, "--weights", weights, *at)
    assert added.exit_code == 0, added.output
    shown = json.loads(troupe("consent", "show", "R-1", "--format", "json", *at).stdout)
    assert len(shown["face_recogniser"]) == 64
    assert shown["face"] not in troupe("consent", "show", "R-1", *at).stdout
    (tmp_path / "releases.csv").write_text(f"reference,identity,face\nR-2,Ada,{face}\nR-3,Bo,{tmp_path}/grey.txt\n")
    refused = troupe("consent", "import", str(tmp_path / "releases.csv"), "--weights", weights, *at)
    assert refused.exit_code == 2
    assert "grey.txt" in refused.stderr
    (tmp_path / "releases.csv").write_text(f"reference,identity,face\nR-2,Ada,{face}\n")
    assert troupe("consent", "import", str(tmp_path / "releases.csv"), "--weights", weights, *at).exit_code == 0
    second = json.loads(troupe("consent", "show", "R-2", "--format", "json", *at).stdout)
    assert second["face"] == shown["face"]


def test_an_unknown_reference_names_similar_ones(tmp_path: Path) -> None:
    at = ("--store", str(tmp_path / "store"))
    assert troupe("consent", "add", "release-2026-014", "--identity", "Ada", *at).exit_code == 0
    unknown = troupe("consent", "show", "release-2026-14", *at)
    assert unknown.exit_code == 2
    assert "did you mean release-2026-014?" in unknown.stderr
    assert "consent ls" in troupe("consent", "show", "contract", *at).stderr
