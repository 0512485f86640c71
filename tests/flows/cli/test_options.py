"""flows.cli.options: values of options."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from flows.cli.options import parse_time


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
