"""Commands that read a store: one that does not exist is named, and hints lead to the store in use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from flows.cli import app
from tests.flows.cli.conftest import troupe

ROOT = Path(__file__).parents[3]
MAKE_STORES = {"run", "plan", "evaluate", "demo", "train", "doctor", "consent add", "consent import", "events add"}
ARGUMENTS = {
    "retry": ["latest"],
    "catalog show": ["job"],
    "catalog sql": ["SELECT 1"],
    "catalog export": ["rows.csv"],
    "report": ["latest"],
    "export": ["latest", "out"],
    "forget": ["--identity", "ada", "--yes"],
    "consent show": ["R-1"],
    "consent revoke": ["R-1", "--reason", "asked", "--yes"],
    "verify": [__file__],
    "events rm": ["hook"],
    "events enable": ["hook"],
    "events test": ["hook"],
}


def commands_with_a_store(command: object) -> list[str]:
    found = []

    def walk(command: object, words: list[str]) -> None:
        for name, child in getattr(command, "commands", {}).items():
            walk(child, [*words, name])
        if any("--store" in parameter.opts for parameter in getattr(command, "params", ())):
            found.append(" ".join(words))

    walk(command, [])
    return sorted(set(found) - MAKE_STORES)


def test_a_store_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program = get_command(app)  # once: `CliRunner` builds it for each call
    commands = commands_with_a_store(program)
    assert {"runs", "catalog ls", "store check", "verify", "review", "events deliver"} <= set(commands)
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            program([*command.split(), *ARGUMENTS.get(command, ()), "--store", "nostore"])
        out, error = capsys.readouterr()
        assert (command, ended.value.code, out) == (command, 2, "")
        assert f"there is no troupe store at {tmp_path}/nostore" in error, command
    assert list(tmp_path.iterdir()) == []


def test_what_makes_a_store_needs_none(tmp_path: Path) -> None:
    for number, words in enumerate(
        (
            ["store", "policy", "require_consent=true"],
            ["forget", "--identity", "ada", "--absent-ok", "--yes"],
            ["consent", "add", "R-1", "--identity", "Ada"],
        )
    ):
        at = ("--store", str(tmp_path / f"new-{number}"))
        assert troupe(*words, *at).exit_code == 0, words
        assert troupe("store", "check", *at).exit_code == 0, words


def test_a_run_that_does_not_exist_is_not_reviewed(delivered: str) -> None:
    for words in (["nope"], ["--run", "nope"]):
        result = troupe("review", *words, "--store", delivered)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "has no run nope" in result.stderr


def test_hints_lead_to_the_store_in_use(delivered: str, tmp_path: Path) -> None:
    at = ("--store", delivered)
    for words in (
        ["export", "latest", str(tmp_path / "out"), "--min", "identity=0.9"],
        ["catalog", "show", "nine"],
        ["report", "nope"],
        ["retry", "nope"],
        ["review", "nope"],
        ["consent", "ls"],
        ["consent", "show", "R-1"],
        ["consent", "revoke", "R-1", "--reason", "asked"],
        ["forget", "--identity", "zoe"],
        ["events", "ls"],
    ):
        message = troupe(*words, *at).stderr
        assert f"--store {delivered}`" in message, (words, message)


def test_no_message_names_a_command_without_its_store() -> None:
    """Messages are strings that are neither docstrings nor help."""
    about_stores = re.compile(r"`troupe (runs|catalog|store|consent|events|export|report|retry|forget)\b")
    found = []
    for folder in ("catalogs", "tasks", "flows"):
        for path in (ROOT / folder).rglob("*.py"):
            if not about_stores.search(text := path.read_text()):
                continue
            tree = ast.parse(text)
            silent = {id(node) for call in ast.walk(tree) for node in _help(call)}
            for node in ast.walk(tree):
                message = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
                for command in () if id(node) in silent else about_stores.finditer(message):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {command[0]}")
    assert not found, found


def _help(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the strings of an expression statement, such as a docstring, and of an argument `help`."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.keyword) and node.arg == "help":
        yield from ast.walk(node.value)
