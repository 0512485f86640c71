"""Rules that decide about films by their measures: lines of the store's policy, in a grammar of their own.

    rule       = verdict "if" comparison { "and" comparison } | verdict "otherwise"
    verdict    = "approve" | "reject" | "review"
    comparison = column operator number
    operator   = "<" | "<=" | ">" | ">=" | "=" | "!="

A column is a numeric column of the catalog; `identity` is short for `quality_identity`, and so on, and
`sync_offset_frames` is compared without its sign, as in the filters of `troupe catalog ls`. The first rule that holds
decides. Where a measure is missing that the outcome of a rule depends on, the film goes to review, and so do films for
which no rule holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalogs.requests.column_names import suggestion
from catalogs.table.schema import EITHER_SIGN, QUALITIES, SCHEMA, number_column, number_names
from troupe.errors import SettingsError

__all__ = ["Comparison", "Rule", "outcomes", "parse_rules"]

RuleVerdict: TypeAlias = Literal["approved", "rejected", "review"]

_VERDICTS: Mapping[str, RuleVerdict] = {"approve": "approved", "reject": "rejected", "review": "review"}
_OPERATORS: Mapping[str, Any] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "=": pc.equal,
    "!=": pc.not_equal,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<operator><=|>=|!=|==|<|>|=)|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?(?![\w.]))"
    r"|(?P<word>[A-Za-z_]\w*))",
    re.ASCII,
)
_EXAMPLE = "write for example `approve if identity >= 0.6 and sync_offset_frames <= 1` or `review otherwise`"
_MOST = 100
"""Rules of a policy, and comparisons of a rule."""


@dataclass(frozen=True)
class Comparison:
    """A comparison of a measure with a number.

    Attributes:
        column: numeric column of the catalog.
        operator: key of `_OPERATORS`.
        magnitude: whether the column's absolute value is compared.
    """

    column: str
    operator: str
    number: float
    magnitude: bool

    def of(self, rows: pa.Table) -> Any:
        """Return for each row whether it holds; null where the measure is missing."""
        values: Any = pc.cast(rows.column(self.column), pa.float64(), safe=False)
        values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
        return _OPERATORS[self.operator](pc.abs(values) if self.magnitude else values, self.number)


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        text: the rule as it is written, with single spaces.
        verdict: what it decides; `review` leaves the film to people.
        comparisons: what must hold; none for `otherwise`.
    """

    text: str
    verdict: RuleVerdict
    comparisons: tuple[Comparison, ...]


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules that lines say.

    Raises:
        SettingsError: lines are invalid; all problems are reported together.
    """
    rules, problems = list[Rule](), list[str]()
    for number, text in enumerate(texts, 1):
        try:
            rules.append(_Parser(text).rule())
        except ValueError as error:
            problems.append(f"rule {number}, {text[:200]!r}: {error}")
    for number, rule in enumerate(rules[:-1], 1):
        if not problems and not rule.comparisons:
            problems.append(f"rule {number}, {rule.text!r}, must be the last one: no later rule can be reached")
    if len(texts) > _MOST:
        problems = [f"there are {len(texts)} rules; use at most {_MOST}"]
    if problems:
        raise SettingsError(problems[0]) if len(problems) == 1 else SettingsError("invalid rules:", problems)
    return tuple(rules)


def outcomes(rules: Iterable[Rule], rows: pa.Table) -> NDArray[np.int64]:
    """Return for each row the place of the rule that decides; -1 where it goes to review because none does."""
    result = np.full(len(rows), -1)
    left = np.ones(len(rows), bool)
    for place, rule in enumerate(rules):
        holds: Any = pa.array(np.ones(len(rows), bool))
        for comparison in rule.comparisons:
            holds = pc.and_kleene(holds, comparison.of(rows))
        known = np.asarray(pc.fill_null(holds, False))
        unknown = np.asarray(pc.is_null(holds))
        result[left & known] = place
        left &= ~known & ~unknown
    return result


class _Parser:
    """Parses one rule; errors are ValueErrors without the place."""

    def __init__(self, text: str) -> None:
        self._text = " ".join(text.split())
        self._tokens = list(_tokens(self._text))

    def rule(self) -> Rule:
        word = self._next("word", f"a rule starts with {', '.join(_VERDICTS)}; {_EXAMPLE}")
        if word not in _VERDICTS:
            raise ValueError(f"unknown verdict {word!r}{suggestion(word, _VERDICTS) or f'; {_EXAMPLE}'}")
        then = self._next("word", f"after {word}, write `if` and a comparison, or `otherwise`")
        if then not in ("if", "otherwise"):
            raise ValueError(f"after {word}, write `if` and a comparison, or `otherwise`, not {then!r}")
        comparisons: list[Comparison] = []
        while then in ("if", "and"):
            comparisons.append(self._comparison())
            if not self._tokens:
                break
            then = self._next("word", f"between comparisons, write `and`; {_EXAMPLE}")
            if then != "and":
                raise ValueError(f"between comparisons, write `and`, not {then!r}; there are no other words")
        if self._tokens:
            raise ValueError(f"nothing may follow `otherwise`, but {self._tokens[0][1]!r} does")
        if len(comparisons) > _MOST:
            raise ValueError(f"it has {len(comparisons)} comparisons; use at most {_MOST}")
        return Rule(self._text, _VERDICTS[word], tuple(comparisons))

    def _comparison(self) -> Comparison:
        name = self._next("word", f"a comparison starts with a column; {_EXAMPLE}")
        column = number_column(name)
        if column is None:
            if name in SCHEMA.names:
                raise ValueError(f"column {name!r} has no numbers to compare; use {', '.join(QUALITIES)}, frames, ...")
            near = suggestion(name, number_names()) or f"; use {', '.join(QUALITIES)}, sync_offset_frames, seconds, ..."
            raise ValueError(f"unknown column {name!r}{near}")
        operator = self._next("operator", f"after {name}, write one of {' '.join(_OPERATORS)}")
        number = self._next("number", f"after {name} {operator}, write a number, such as 0.6")
        operator = "=" if operator == "==" else operator
        return Comparison(column, operator, float(number), name in EITHER_SIGN)

    def _next(self, kind: str, expected: str) -> str:
        if not self._tokens:
            raise ValueError(f"it ends too early: {expected}")
        found, text = self._tokens.pop(0)
        if found != kind:
            raise ValueError(f"{text!r} is unexpected: {expected}")
        return text


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token."""
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{text[place : place + 20].strip()!r} is neither a word, an operator nor a number")
        yield match.lastgroup, match[match.lastgroup]
        place = match.end()
