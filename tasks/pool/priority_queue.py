"""The works of one role that could begin now."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import TypeAlias

from tasks.pool.work_item import WorkItem

__all__ = ["PriorityQueue"]

_Entry: TypeAlias = tuple[float, int, str]
"""(-cost, order, key): the heap's first is the longest, among equals the oldest."""


class PriorityQueue:
    """Finds the longest work: of all, of those that hold something given, of those nobody has a claim on.

    Finding does not remove. Every step costs O(log n): removed works stay in the heaps until they come up.

    Attributes:
        cost: of all works together.
    """

    def __init__(self) -> None:
        self.cost = 0.0
        self._works: dict[str, WorkItem] = {}
        self._all: list[_Entry] = []
        self._free: list[_Entry] = []
        self._by_hold: dict[str, list[_Entry]] = {}

    def __len__(self) -> int:
        return len(self._works)

    def __contains__(self, key: str) -> bool:
        return key in self._works

    def add(self, work: WorkItem, order: int) -> None:
        """Put a work in; `order` decides among equal costs and differs from work to work."""
        entry = (-work.cost, order, work.key)
        self._works[work.key] = work
        self.cost += work.cost
        heapq.heappush(self._all, entry)
        heapq.heappush(self._free, entry)
        if work.affinity_key:
            heapq.heappush(self._by_hold.setdefault(work.affinity_key, []), entry)

    def remove(self, key: str) -> None:
        """Take a work out."""
        work = self._works.pop(key)
        # Sums of floats drift; an empty backlog is the moment to be exact again.
        self.cost = self.cost - work.cost if self._works else 0.0

    def longest(self) -> WorkItem | None:
        """The longest of all."""
        return self._first(self._all)

    def held(self, holds: Iterable[str]) -> WorkItem | None:
        """The longest work of the first of `holds` that has any."""
        for hold in holds:
            heap = self._by_hold.get(hold)
            if heap is None:
                continue
            if work := self._first(heap):
                return work
            del self._by_hold[hold]
        return None

    def free(self, claimed: Callable[[str], bool]) -> WorkItem | None:
        """The longest work that holds nothing, or something that is not `claimed`.

        A claimed work found on the way is not found here again until `release`.
        """
        while work := self._first(self._free):
            if not (work.affinity_key and claimed(work.affinity_key)):
                return work
            heapq.heappop(self._free)
        return None

    def release(self, hold: str) -> None:
        """`hold` is claimed no more."""
        for entry in self._by_hold.get(hold, ()):
            if entry[2] in self._works:
                heapq.heappush(self._free, entry)

    def _first(self, heap: list[_Entry]) -> WorkItem | None:
        while heap:
            if work := self._works.get(heap[0][2]):
                return work
            heapq.heappop(heap)
        return None
