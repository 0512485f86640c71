"""troupe.files."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import pytest

from troupe.files import file_sha256, is_part, part_name, replacing


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize("sole_writer", [False, True])
def test_a_file_is_replaced_only_when_it_is_complete(tmp_path: Path, sole_writer: bool) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    with suppress(ZeroDivisionError), replacing(target, sole_writer=sole_writer) as written:
        written.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    with replacing(target, sole_writer=sole_writer) as written:
        assert is_part(written.name)
        written.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "weights") as written:
        written.mkdir()
        (written / "part").touch()
    assert (tmp_path / "weights" / "part").exists()
    with suppress(ZeroDivisionError), replacing(tmp_path / "other") as written:
        written.mkdir()
        raise ZeroDivisionError
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]


def test_the_next_sole_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / part_name("curve.jsonl")).write_text("left behind")
    with replacing(tmp_path / "curve.jsonl", sole_writer=True) as written, written.open("a") as file:
        file.write("new")
    assert (tmp_path / "curve.jsonl").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["curve.jsonl"]


@pytest.mark.parametrize(("name", "expected"), [(".0123.part", True), ("a.part", False), (".hidden", False)])
def test_is_part(name: str, expected: bool) -> None:
    assert is_part(name) is expected
