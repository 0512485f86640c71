"""The benchmark of dubbing, on two languages of a short clip."""

from __future__ import annotations

import pytest

from bench import dubbing
from bench.dubbing import measure


@pytest.mark.long
def test_two_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dubbing, "LANGUAGES", ("en", "fr"))
    findings = measure(dubbing.parser().parse_args(["--runs", "1", "--preset", "sketch", "--preview", "0.08"]))
    for name in ("evaluations", "different_pictures", "evaluations_of_the_eleventh"):
        assert findings.checks[name].ok, name
    assert findings.cases["one language"].number("evaluations") > 0
