"""catalogs.review.rules: a grammar of its own, and rows whose measures are missing."""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.review.rules import outcomes, parse_rules
from catalogs.table.schema import EITHER_SIGN, number_column
from troupe.errors import SettingsError

NAMES = ("identity", "flicker", "sync_offset_frames", "seconds", "quality_pose")
OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
numbers = st.one_of(st.integers(-9, 9).map(float), st.floats(-1e6, 1e6, allow_nan=False, width=32))
comparisons = st.tuples(st.sampled_from(NAMES), st.sampled_from([*OPERATORS]), numbers)
conditions = st.lists(comparisons, max_size=3)
verdicts = st.sampled_from(["approve", "reject", "review"])
values = st.fixed_dictionaries({name: st.one_of(st.none(), numbers, st.just(float("nan"))) for name in NAMES})
Conditions = list[tuple[str, str, float]]


def written(verdict: str, compared: Conditions) -> str:
    """The text of a rule."""
    return (
        f"{verdict} if " + " and ".join(f"{n} {o} {x!r}" for n, o, x in compared)
        if compared
        else f"{verdict} otherwise"
    )


def expected(rules: list[tuple[str, Conditions]], row: dict[str, float | None]) -> int:
    """The place of the rule that decides, in the slowest way."""
    for place, (_, compared) in enumerate(rules):
        results: list[bool | None] = []
        for name, sign, number in compared:
            value = row[name]
            missing = value is None or value != value
            left = None if missing else abs(value or 0.0) if name in EITHER_SIGN else value
            results.append(None if left is None else OPERATORS[sign](left, number))
        if all(results):
            return place
        if False not in results:
            return -1
    return -1


def table(rows: list[dict[str, float | None]]) -> pa.Table:
    return pa.table(
        {
            str(number_column(name)): pa.array([row[name] for row in rows], pa.float64(), from_pandas=False)
            for name in NAMES
        }
    )


@given(st.lists(st.tuples(verdicts, conditions), max_size=4), st.lists(values, min_size=1, max_size=5))
def test_rules_decide_as_they_are_written(rules: list[Any], rows: list[Any]) -> None:
    rules = [rule for rule in rules[:-1] if rule[1]] + rules[-1:]
    parsed = parse_rules([f"  {written(*rule)} ".replace(" ", "  ") for rule in rules])
    assert [rule.text for rule in parsed] == [written(*rule) for rule in rules]
    assert parse_rules([rule.text for rule in parsed]) == parsed
    assert outcomes(parsed, table(rows)).tolist() == [expected(rules, row) for row in rows]


@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["approve", "reject", "if", "and", "otherwise", "identity", "<=", "=", "1", "0.5", "-3", ";"]
            ),
            max_size=9,
        ).map(" ".join),
    )
)
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    with suppress(SettingsError):
        (rule,) = parse_rules([text])
        assert rule.text == " ".join(text.split())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["accept if identity > 1"], "unknown verdict 'accept'; write for example"),
        (["aprove if identity > 1"], "did you mean 'approve'?"),
        (["approve"], "it ends too early: after approve"),
        (["approve when identity > 1"], "not 'when'"),
        (["approve if idenity >= 0.6"], r"rule 1, 'approve if idenity >= 0.6': unknown column 'idenity'; did you mean"),
        (["reject if flickr > 5"], "did you mean 'flicker'"),
        (["reject if zzz > 5"], "use identity, landmarks"),
        (["reject if status = 5"], "column 'status' has no numbers"),
        (["reject if tags > 5"], "has no numbers"),
        (["reject if flicker"], "after flicker, write one of < <="),
        (["reject if flicker > x"], "'x' is unexpected: after flicker >, write a number"),
        (["reject if flicker > 1.2.3"], "neither a word"),
        (["reject if flicker > 5s"], "neither a word"),
        (["reject if flicker > 5 or pose > 2"], "write `and`, not 'or'"),
        (["reject if flicker > 5 and"], "it ends too early"),
        (["reject if flicker > 5; drop table"], "'; drop table' is neither"),
        (["review otherwise now"], "nothing may follow"),
        (["review otherwise", "reject if flicker > 5"], "must be the last one"),
        ([""], "it ends too early"),
        (["review otherwise"] * 101, "at most 100"),
        (["reject if " + " and ".join(["flicker > 5"] * 101)], "at most 100"),
    ],
)
def test_what_is_wrong_is_said(lines: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_rules(lines)


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_rules(["approve if x > 1", "review otherwise", "drop"])
    assert [problem.split(",")[0] for problem in caught.value.problems] == ["rule 1", "rule 3"]


def test_an_absent_value_goes_to_review() -> None:
    rules = parse_rules(
        ["approve if identity >= 0.6 and sync_offset_frames <= 1", "reject if flicker > 5", "approve otherwise"]
    )
    rows = pa.table(
        {
            "quality_identity": pa.array([0.7, 0.7, 0.7, 0.1, 0.1, 0.1, None]),
            "sync_offset_frames": pa.array([-1, 2, None, None, None, 0, 5]),
            "quality_flicker": pa.array([9.0, 9.0, 9.0, 9.0, None, 1.0, 6.0]),
        }
    )
    assert np.array_equal(outcomes(rules, rows), [0, 1, -1, 1, -1, 2, 1])
