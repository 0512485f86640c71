"""The benchmark of memory, on clips of a few frames."""

from __future__ import annotations

import pytest

from bench.models import memory
from bench.models.memory import frame_bytes, measure
from models.config import ModelConfig
from models.miniature.init_weights import MINIATURE_CONFIG


@pytest.mark.long
def test_short_clips() -> None:
    findings = measure(memory.parser().parse_args(["--seconds", "0.2", "0.08"]))
    short, long = findings.cases.values()
    assert list(findings.cases) == ["0.08 s", "0.2 s"]
    assert (short.figures["frames"], long.figures["frames"]) == (2, 5)
    assert 0 < short.number("loaded_bytes") <= short.number("peak_while_encoding_bytes") <= short.number("peak_bytes")
    assert short.number("latents_and_tokens_bytes") == frame_bytes(MINIATURE_CONFIG) * 32
    growth = findings.checks["growth"]
    assert growth.value == long.number("peak_beyond_them_bytes") / short.number("peak_beyond_them_bytes")
    assert growth.target == 1.15


def test_a_frame_of_the_released_model() -> None:
    assert frame_bytes(ModelConfig()) == 4 * (4 * 64 * 64 + 64 * 1024)
