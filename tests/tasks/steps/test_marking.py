"""Label and watermark of frames, as the spec of their picture asks for them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from catalogs.requests.access.content_hashes import Input
from tasks.media.watermark import PUBLIC_KEY, load_key, read_frames
from tasks.media.watermark.keys import KEY
from tasks.steps.marking import PAYLOAD_DIGITS, Marking
from tasks.steps.specs import MotionSpec, PictureSpec, PortraitSpec, TrackSpec
from troupe import LARGEST, Job, SamplerSettings
from troupe.errors import SettingsError

RATE = Fraction(25)
SPEC = PictureSpec(
    "0123456789abcdef0123456789abcdef",
    "run",
    Job("job", "p.png", "c.mp4"),
    PortraitSpec("p", Input("p.png"), LARGEST),
    MotionSpec("m", TrackSpec("t", Input("c.mp4"), 0.0, None, LARGEST)),
    SamplerSettings(),
)
FRAME = np.full((200, 256, 3), 128, np.uint8)


def test_frames_are_marked_as_the_spec_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "one key of this run")
    assert Marking(SPEC, RATE)(FRAME, 0) is FRAME
    key = load_key()
    marking = Marking(replace(SPEC, watermark=key.id, label="AI-generated"), RATE)
    frames = [(marking(FRAME, index), index / 25) for index in range(3)]
    found = read_frames(frames, key)
    assert found is not None
    assert found.payload == SPEC.key[:PAYLOAD_DIGITS]
    assert read_frames(frames, PUBLIC_KEY) is None
    assert frames[0][0][:20, -60:].max() > 200, "the label"
    assert np.abs(frames[0][0][40:].astype(int) - 128).max() < 10


def test_a_machine_with_another_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "one key of this run")
    spec = replace(SPEC, watermark=load_key().id)
    monkeypatch.setenv(KEY, "another key elsewhere")
    with pytest.raises(SettingsError, match="the run was planned with"):
        Marking(spec, RATE)
