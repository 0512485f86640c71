"""What an evaluation asks a run for."""

from __future__ import annotations

from pathlib import Path

from catalogs.retention.store_policy import change_policy
from catalogs.retention.store_rules import StoreRules
from catalogs.store.policy import read_policy
from catalogs.store.store import open_store
from models.miniature import SHIPPED_WEIGHTS
from tasks.evaluation.pipeline import prepare_evaluation
from tasks.evaluation.request import EvaluationRequest
from tests.flows.cast import write_clip


def test_evaluations_obey_the_policy_of_their_store(tmp_path: Path) -> None:
    """Their renders can be exported as all others: they are marked, and need permissions where these are required."""
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "wave.mp4", frames=2, rate="25", voiced=False)
    store = open_store(str(tmp_path / "store"))
    change_policy(store, {"watermark": True, "label": "ai-generated"})
    request = EvaluationRequest(store.url, str(SHIPPED_WEIGHTS), str(tmp_path / "clips"), "e1")
    (job,) = prepare_evaluation(request).job_list
    rules = StoreRules(store, read_policy(store))
    governed = rules.governed(job)
    assert (governed.watermark, governed.label) == ("required", "ai-generated")
    assert rules.refusal(governed, "") is None
    change_policy(store, {"require_consent": True})
    assert "consent is empty" in str(StoreRules(store, read_policy(store)).refusal(governed, ""))
