"""The benchmark of decoding, following and cropping, on a drawn clip of a few frames."""

from __future__ import annotations

import pytest

from bench import media
from bench.media import measure


def test_a_short_drawn_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPE_SHARED", raising=False)
    # Fresh processes are for measuring, and cost seconds.
    monkeypatch.setattr(media, "isolated", lambda function, *args: function(*args))
    findings = measure(media.parser().parse_args(["--frames", "6", "--runs", "1"]))
    assert list(findings.cases) == ["region", "full frame", "region, 4x as long"]
    assert [case.figures["frames"] for case in findings.cases.values()] == [6, 6, 24]
    assert findings.checks["unseen_frames"].ok
    assert findings.checks["memory_growth_bytes"].ok
    assert findings.checks["frames_per_second"].target == 100
