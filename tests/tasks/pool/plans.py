"""Works that depend on each other and go wrong in every way, and how they must end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from tasks.pool.scheduler import TRIES
from tasks.pool.work_item import WorkItem
from troupe.errors import NoFace, OutOfMemory, StoreError, TroupeError, WorkerLost

_ERRORS: dict[str, TroupeError | str | None] = {
    "well": None,
    "input": NoFace("nobody there"),
    "busy": StoreError("busy"),
    "full": OutOfMemory("full"),
    "die": "die",
}

_PATIENCE = {"well": 0, "input": 1, "busy": TRIES, "full": 2, "die": 2}
"""So many failed calls are too many."""


@dataclass(frozen=True)
class Plan:
    """Works, and how many calls of each end in which way before one ends well."""

    work_items: list[WorkItem]
    fates: Mapping[str, tuple[str, int]]

    def fate(self, work: WorkItem, call: int) -> TroupeError | str | None:
        """How a call ends; the first is 0."""
        kind, calls = self.fates[work.key]
        return _ERRORS[kind] if call < calls else None

    def expected(self) -> dict[str, set[str]]:
        """How each work may end: as it is fated, or like something it needs."""
        kinds: dict[str, set[str]] = {}
        for work in self.work_items:
            needs = [kinds[need] for need in work.needs]
            kind, calls = self.fates[work.key]
            own = {kind if calls >= _PATIENCE[kind] else "well"}
            if kind == "die":
                own.add("die")  # It may have been beside another killer, the first time.
            kinds[work.key] = set().union(*needs) - {"well"}
            if all("well" in need for need in needs):
                kinds[work.key] |= own
        return kinds


def kind(error: BaseException | None) -> str:
    """The name that a plan has for how a work ended."""
    names: dict[type[BaseException], str] = {
        NoFace: "input",
        StoreError: "busy",
        OutOfMemory: "full",
        WorkerLost: "die",
    }
    return names[type(error)] if error else "well"


class Player:
    """Acts a plan."""

    def __init__(self, plan: Plan, calls: Counter[str]) -> None:
        self.work_items = {work.key: work for work in plan.work_items}
        self.plan = plan
        self.calls = calls

    def act(self, key: str) -> str:
        """Do what a work is fated to."""
        fate = self.plan.fate(self.work_items[key], self.calls[key])
        self.calls[key] += 1
        if fate == "die":
            raise SystemExit(1)
        if isinstance(fate, TroupeError):
            raise fate
        return key


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Up to 25 works of the roles `play` and `prepare`."""
    work_items: list[WorkItem] = []
    fates: dict[str, tuple[str, int]] = {}
    for i in range(draw(st.integers(1, 25))):
        needs = draw(st.lists(st.sampled_from(work_items), max_size=3)) if work_items else []
        work = WorkItem(
            f"w{i}",
            draw(st.sampled_from(["play", "prepare"])),
            Player.act,
            args=(f"w{i}",),
            needs=tuple(need.key for need in needs),
            affinity_key=draw(st.sampled_from(["", "a", "b"])),
            cost=draw(st.floats(0, 10)),
        )
        work_items.append(work)
        fates[work.key] = (draw(st.sampled_from(list(_ERRORS))), draw(st.integers(1, 4)))
    return Plan(work_items, fates)
