"""flows.cli.options: values of options."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from catalogs.requests.column_names import OPTIONS, default_name
from flows.cli import app
from flows.cli.parsing import parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "age"), [("90m", 90), ("1.5h", 90), ("1,5h", 90), ("3d", 3 * 24 * 60), ("0.5w", 3.5 * 24 * 60)]
)
def test_ages(text: str, age: float) -> None:
    before = datetime.now(UTC)
    assert before <= parse_time(text) + timedelta(minutes=age) <= datetime.now(UTC)


def test_days() -> None:
    today = parse_time("today")
    assert (today.hour, today.minute, today.second, today.microsecond, today.tzinfo) == (0, 0, 0, 0, UTC)
    assert today - parse_time("yesterday") == timedelta(days=1)
    assert parse_time("2026-11-24") == datetime(2026, 11, 24, tzinfo=UTC)
    for wrong in ("tomorrow", "1.5", "h", "1.h", "9" * 400 + "d"):
        with pytest.raises(typer.BadParameter):
            parse_time(wrong)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("30", "30s", "1.5m", "8h")] == [30, 30, 90, 8 * 3600]
    for wrong in ("soon", "s", "1d", "0h", "infh", "nan"):
        with pytest.raises(typer.BadParameter, match=r"use for example 90m or 8h|more than 0 seconds"):
            parse_duration(wrong)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run --drivings a --driving b", "--drivings and --driving are one option with one value"),
        ("plan --portrait a.png --portrait b.png", "--portrait is given 2 times"),
        ("run jobs.csv --preset=draft --preset exact", "--preset is given 2 times"),
        ("catalog ls --identity ada --identity bob", "--identity is given 2 times"),
        ("runs --limit 1 --limit 2", "--limit is given 2 times"),
    ],
)
def test_an_option_of_one_value_is_refused_twice(words: str, message: str) -> None:
    """The last one would be taken, and nothing said of the others."""
    result = CliRunner().invoke(app, words.split(), env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.stderr


def test_options_that_may_be_repeated(delivered: str) -> None:
    words = ["catalog", "ls", "--min", "identity=0.5", "--min", "seconds=1", "--tag", "a=1", "--tag", "b=2"]
    result = CliRunner().invoke(app, [*words, "--store", delivered])
    assert result.exit_code == 0, result.output


def test_a_run_is_planned_by_replacing_the_word() -> None:
    from flows.cli.plan import plan
    from flows.cli.run import run

    names = [list(inspect.signature(command).parameters) for command in (run, plan)]
    assert {"jobs", "preview", "require_consent", "allow_input"} <= set(names[0])
    assert [name for name in names[1] if name not in names[0]] == ["price", "format"]
    assert [name for name in names[0] if name not in names[1]] == []


def test_options_of_columns_are_named_after_them() -> None:
    """So that messages name them."""
    options = {option for command in app.registered_commands for option in _options(command.callback)}
    assert {default_name(column) for column in OPTIONS} <= options


def _options(command: Any) -> set[str]:
    return {f"--{name.replace('_', '-')}" for name in inspect.signature(command).parameters}


def test_help_shows_no_type_for_flags_and_the_defaults_that_hold() -> None:
    wide = {"COLUMNS": "200"}
    shown = CliRunner().invoke(app, ["export", "--help"], env=wide).output
    assert "<bool>" not in shown
    assert "<bool>" not in CliRunner().invoke(app, ["--help"]).output + CliRunner().invoke(app, ["catalog"]).output
    assert "short for --review approved" in shown
    limit = CliRunner().invoke(app, ["catalog", "export", "--help"], env=wide).output.split("--limit")[1]
    assert "[default: (all)]" in limit.partition("--excel")[0]
    assert "main columns" not in CliRunner().invoke(app, ["catalog", "sql", "--help"], env=wide).output


def test_an_unknown_choice_is_named_without_the_librarys_words() -> None:
    result = CliRunner().invoke(app, ["export", "latest", "out", "--package", "avi"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "'--package': 'avi' is not one of 'mp4', 'mkv', 'hls'" in result.stderr


def test_a_file_that_does_not_exist_is_called_that(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(tmp_path / "no.toml")], env={"COLUMNS": "200"})
    assert (result.exit_code, "no.toml cannot be read as a training file: No such file" in result.stderr) == (2, True)
