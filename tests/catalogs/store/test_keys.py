"""catalogs.store.keys."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.store.keys import canonical, encode_parts, key_of, make_key, run_key, valid_id, valid_job_id
from troupe.errors import SettingsError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from("abcdefg"), VALUES))
def test_the_same_parts_give_the_same_key(parts: dict[str, Any]) -> None:
    key = make_key("motion", **parts)
    assert re.fullmatch(r"[0-9a-f]{32}", key)
    assert make_key("motion", **dict(reversed(parts.items()))) == key
    assert make_key("motion", **json.loads(json.dumps(parts))) == key
    assert make_key("appearance", **parts) != key
    assert make_key("motion", **parts, extra=None) != key


@given(VALUES, VALUES)
def test_other_parts_give_another_key(one: Any, other: Any) -> None:
    same = make_key("k", part=one) == make_key("k", part=other)
    assert same == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


@given(VALUES)
def test_canonical_json_is_that_of_the_library(value: Any) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":"))


@given(st.dictionaries(st.text(), VALUES), st.dictionaries(st.text(), VALUES))
def test_keys_of_parts_that_are_encoded_once(shared: dict[str, Any], own: dict[str, Any]) -> None:
    plain = json.dumps({"kind": "k", "parts": shared | own}, sort_keys=True, separators=(",", ":"))
    assert key_of("k", encode_parts(shared) | encode_parts(own)) == hashlib.sha256(plain.encode()).hexdigest()[:32]


def test_a_key_stays_what_it_is() -> None:
    """A changed key would invalidate every cache."""
    assert canonical({"b": (1, 2.5), "a": "é"}) == '{"a":"\\u00e9","b":[1,2.5]}'
    assert make_key("motion", clip="ab" * 32, window=25) == make_key("motion", window=25, clip="ab" * 32)
    assert make_key("motion", clip="00", window=25) == "9470da8f96ae2c97ec1c5afb8ef4dc35"


@pytest.mark.parametrize("part", [float("nan"), float("inf"), object(), b"bytes", {1: "a"}, [{None: 1}], {1, 2}])
def test_values_without_canonical_json_are_refused(part: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        make_key("k", part=part)


@pytest.mark.parametrize(
    "job_id",
    [
        "a.B_c-1",
        "\u738b\u5c0f\u660e__hello",
        "Zo\u00eb",
        "\u0928\u092e\u0938\u094d\u0924\u0947",
        "x" * 128,
        "\u754c" * 42,
    ],
)
def test_job_ids(job_id: str) -> None:
    assert valid_job_id(job_id)


@pytest.mark.parametrize(
    "job_id",
    [
        *("", ".", "..", "a/b", "a b", "a\n", "a\u200bb", "a\u202eb"),
        *("\u2215", "x" * 129, "\u754c" * 43, "a:b", "a\\b"),
    ],
)
def test_invalid_job_ids(job_id: str) -> None:
    assert not valid_job_id(job_id)


def test_ids() -> None:
    assert valid_id("a.B_c-1")
    assert valid_id("x" * 128)
    for wrong in ("", ".", "..", "...", "a/b", "../a", "a b", "a\n", "é", "x" * 129):
        assert not valid_id(wrong)
    assert run_key("r1", "manifest.parquet") == "runs/r1/manifest.parquet"
    with pytest.raises(SettingsError, match=r"run_id is '\.\./x'"):
        run_key("../x", "manifest.parquet")
