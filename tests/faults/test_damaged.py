"""A sample of `python -m tests.faults.damaged`, which looks at hundreds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.clips import beep, make_clip, numbered
from tests.faults.damaged import Case, Outcome, judge, run, run_case


@pytest.mark.long
def test_a_sample_of_damaged_and_hostile_inputs(tmp_path: Path) -> None:
    results = run(tmp_path, seed=7, damaged=24, only_every=3)
    assert len(results) > 36
    assert {case.name: outcome for case, outcome in results if outcome.kind.startswith("WRONG")} == {}
    assert any(outcome.kind == "rendered" for _, outcome in results)


def test_the_judge_is_strict() -> None:
    case, refused = Case("a", Path("a.mp4")), Case("b", Path("b.mp4"), refused=True)
    assert judge(case, Outcome("unreadable_media", "x"), lambda _: True).kind == "WRONG: others read it"
    assert judge(case, Outcome("unreadable_media", "x"), lambda _: False).kind == "unreadable_media"
    assert judge(case, Outcome("too_large", "x"), lambda _: True).kind == "too_large"
    assert judge(refused, Outcome("rendered", "x")).kind == "WRONG: it should have been refused"
    assert judge(case, Outcome("WRONG: KeyError", "x")).kind == "WRONG: KeyError"


def test_sound_that_jumps_an_hour_ahead_takes_no_memory(tmp_path: Path) -> None:
    jump = ("-af", "aresample=192000,asetpts='PTS+gte(N,10)*3000/TB'", "-ac", "2", "-c:a", "flac")
    clip = make_clip(tmp_path / "clip.mkv", numbered(30), Fraction(25), *jump, sound=beep(1.2, 0.5))
    outcome = run_case(Case("jump", clip), tmp_path)
    assert outcome.kind == "rendered", outcome
