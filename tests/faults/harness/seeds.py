"""The rounds of a trial, one for each seed."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["run_seeds"]


def run_seeds(seeds: str, trial: Callable[[int], object]) -> list[int]:
    """Run a trial with every seed, print what it returns or why it failed, and return the seeds that failed.

    Args:
        seeds: FIRST-LAST, both included, or one.
        trial: raises AssertionError if something is wrong.
    """
    first, _, last = seeds.partition("-")
    failed: list[int] = []
    for seed in range(int(first), int(last or first) + 1):
        try:
            print(trial(seed), flush=True)
        except AssertionError as error:
            failed.append(seed)
            print(f"FAILED {error}", flush=True)
    print(f"{len(failed)} failed {failed or ''}", flush=True)
    return failed
