"""The steps of a run as plain calls."""

from __future__ import annotations

import threading

from flows.steps import call_directly


def test_the_shards_of_a_run_in_this_process_overlap_too() -> None:
    """Else a GPU waits at the end of each: for the last pictures to be written, and for the next to be prepared."""
    both = threading.Barrier(2)

    def step(first: str, second: str) -> str:
        both.wait(5)
        return first + second

    assert call_directly("animate shard", step, "a", each=["b", "c"]) == ["ab", "ac"]
