"""catalogs.retention.store_rules: a run may tighten the policy of a store, and never loosen it."""

from __future__ import annotations

from typing import Any

import pytest

from catalogs.retention.store_rules import StoreRules
from catalogs.store.policy import StorePolicy
from catalogs.store.store import Store
from troupe import Job


@pytest.mark.parametrize(
    ("policy", "fields", "expected"),
    [
        ({}, {"label": "own text", "watermark": "off"}, {"label": "own text", "watermark": "off"}),
        ({"label": "ai-generated"}, {}, {"label": "ai-generated"}),
        ({"label": "ai-generated"}, {"label": "ai-modified"}, {"label": "ai-modified"}),
        ({"label": "Made by AI"}, {"label": "Made by AI"}, {"label": "Made by AI"}),
        ({"label": "ai-generated"}, {"label": "hello"}, "label is 'hello'"),
        ({"watermark": True}, {}, {"watermark": "required"}),
        ({"watermark": True}, {"watermark": "required"}, {"watermark": "required"}),
        ({"watermark": True}, {"watermark": "off"}, "watermark is off"),
        ({"require_consent": True}, {}, "consent is empty"),
    ],
)
def test_rules(folder_store: Store, policy: dict[str, Any], fields: dict[str, Any], expected: Any) -> None:
    rules = StoreRules(folder_store, StorePolicy().changed(policy))
    job = rules.governed(Job("a", "p.png", "c.mp4", **fields))
    refusal = rules.refusal(job, "")
    if isinstance(expected, str):
        assert expected in str(refusal)
    else:
        assert refusal is None
        assert {name: getattr(job, name) for name in expected} == expected
