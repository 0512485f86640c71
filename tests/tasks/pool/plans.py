"""Random plans: items that depend on each other and fail in every way, and how they must end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from tasks.pool.scheduler import MAX_TRIES
from tasks.pool.work_item import WorkItem
from troupe.errors import NoFace, OutOfMemory, StoreError, TroupeError, WorkerLost

_ERRORS: dict[str, TroupeError | str | None] = {
    "well": None,
    "input": NoFace("no face found"),
    "busy": StoreError("busy"),
    "full": OutOfMemory("full"),
    "die": "die",
}

_MAX_FAILURES = {"well": 0, "input": 1, "busy": MAX_TRIES, "full": 2, "die": 2}
"""Number of failed calls of each kind with which an item fails."""


@dataclass(frozen=True)
class Plan:
    """Items, and how many of their calls end in which way before one succeeds.

    Attributes:
        items: the items, in the order of their submission.
        fates: kind of failure and number of failing calls, by key.
    """

    items: list[WorkItem]
    fates: Mapping[str, tuple[str, int]]

    def fate(self, item: WorkItem, call: int) -> TroupeError | str | None:
        """Return how a call ends; the first is 0."""
        kind, calls = self.fates[item.key]
        return _ERRORS[kind] if call < calls else None

    def expected(self) -> dict[str, set[str]]:
        """Return how each item may end: as planned, or like an item that it needs."""
        kinds: dict[str, set[str]] = {}
        for item in self.items:
            needs = [kinds[need] for need in item.needs]
            kind, calls = self.fates[item.key]
            own = {kind if calls >= _MAX_FAILURES[kind] else "well"}
            if kind == "die":
                own.add("die")  # It may have been beside another killer, the first time.
            kinds[item.key] = set().union(*needs) - {"well"}
            if all("well" in need for need in needs):
                kinds[item.key] |= own
        return kinds


class PlanWorker:
    """A worker whose calls end as planned.

    Args:
        plan: the plan.
        calls: number of finished calls, by key; shared by all workers.
    """

    def __init__(self, plan: Plan, calls: Counter[str]) -> None:
        self.items = {item.key: item for item in plan.items}
        self.plan = plan
        self.calls = calls

    def act(self, key: str) -> str:
        """End as the item's plan says."""
        fate = self.plan.fate(self.items[key], self.calls[key])
        self.calls[key] += 1
        if fate == "die":
            raise SystemExit(1)
        if isinstance(fate, TroupeError):
            raise fate
        return key


def kind(error: BaseException | None) -> str:
    """Return a plan's name for how an item ended."""
    names: dict[type[BaseException], str] = {
        NoFace: "input",
        StoreError: "busy",
        OutOfMemory: "full",
        WorkerLost: "die",
    }
    return names[type(error)] if error else "well"


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw up to 25 items of the roles `play` and `prepare`."""
    items: list[WorkItem] = []
    fates: dict[str, tuple[str, int]] = {}
    for i in range(draw(st.integers(1, 25))):
        needs = draw(st.lists(st.sampled_from(items), max_size=3)) if items else []
        item = WorkItem(
            f"w{i}",
            draw(st.sampled_from(["play", "prepare"])),
            PlanWorker.act,
            args=(f"w{i}",),
            needs=tuple(need.key for need in needs),
            affinity_key=draw(st.sampled_from(["", "a", "b"])),
            cost=draw(st.floats(0, 10)),
        )
        items.append(item)
        fates[item.key] = (draw(st.sampled_from(list(_ERRORS))), draw(st.integers(1, 4)))
    return Plan(items, fates)
