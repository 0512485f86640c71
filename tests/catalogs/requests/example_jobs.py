"""Jobs for tests: one with every field set, and strategies for any."""

from __future__ import annotations

import dataclasses
import json
import string
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from catalogs.store.keys import valid_id
from troupe import FaceChoice, Job

FULL = Job(
    "a.b_c-1",
    "/data/ana.png",
    "/clips/wave.mp4",
    identity="Ana Ö.",
    face=FaceChoice("index:1"),
    driving_face=FaceChoice("10,20.5"),
    tracks="s3://tracks/wave.parquet",
    start=1.5,
    end=12.0,
    audio="/data/voice.wav",
    language="pt-BR",
    output="both",
    fps=Fraction(30000, 1001),
    gaps="cut",
    crop="follow",
    blend="reference",
    quality=20,
    master="prores",
    preset="draft",
    seed=2**63 - 1,
    consent="form 12, page 3",
    tags={"campaign": "spring", "take": "2"},
    audio_track="language:en-GB",
    video_track="index:1",
    size="1280x720",
    fit="stretch+bounce",
    stretch_limit=0.25,
    loudness=-23.0,
    subtitles="/data/ana.vtt",
    subtitles_language="pt-BR",
    subtitles_burn=True,
    label="ai-generated",
    watermark="required",
    lips="sound",
    replaces="0123abcd",
)


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn"]), max_size=30).map(str.strip)


PATHS = st.text(string.ascii_letters + string.digits + "äß =-._,;'\"@%", min_size=1, max_size=30).map(
    lambda path: "/data/" + path.strip() + "x"
)


JOBS = st.builds(
    Job,
    job_id=st.text(string.ascii_letters + "0123456789._-", min_size=1, max_size=128).filter(valid_id),
    portrait=PATHS,
    driving=PATHS,
    identity=WORDS,
    face=st.sampled_from([FaceChoice(), FaceChoice("index:2"), FaceChoice("1.5,-2")]),
    driving_face=st.sampled_from([FaceChoice(), FaceChoice("index:0")]),
    tracks=st.just("") | PATHS,
    start=st.floats(0, 1e6),
    end=st.none() | st.floats(1e6, 1e9, exclude_min=True),
    audio=st.sampled_from(["driving", "none", "s3://sounds/a.wav"]),
    language=st.sampled_from(["", "en", "zh-Hant-TW"]),
    output=st.sampled_from(["full", "crop", "both"]),
    preset=st.sampled_from(["exact", "draft", "sketch"]),
    seed=st.integers(0, 2**63 - 1),
    consent=WORDS,
    tags=st.dictionaries(WORDS.filter(bool), WORDS, max_size=3),
)


def cells_of(job: Job) -> dict[str, Any]:
    cells = {field.name: getattr(job, field.name) for field in dataclasses.fields(Job)}
    return {**cells, "face": job.face.text, "driving_face": job.driving_face.text, "tags": json.dumps(job.tags)}
