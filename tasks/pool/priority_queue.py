"""The priority queue of a role: work items that are ready to run."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import TypeAlias

from tasks.pool.work_item import WorkItem

__all__ = ["PriorityQueue"]

_Entry: TypeAlias = tuple[bool, float, int, str]
"""(not finishing, -cost, submission number, key): the heap's first is one that finishes, then the longest, among
equals the oldest."""


class PriorityQueue:
    """Finds the longest item of all, of given affinity keys, or of keys that no worker has claimed.

    Items that finish what others prepared come before all others.

    Finding does not remove. Every step costs O(log n): removed items stay in the heaps until they come up.

    Attributes:
        cost: total cost of the items.
        finishing: number of items that finish what others prepared.
    """

    def __init__(self) -> None:
        self.cost = 0.0
        self.finishing = 0
        self._items: dict[str, WorkItem] = {}
        self._all: list[_Entry] = []
        self._unclaimed: list[_Entry] = []
        self._by_affinity: dict[str, list[_Entry]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def add(self, item: WorkItem, number: int) -> None:
        """Add an item; `number` is unique and decides among equal costs, the lower first."""
        entry = (not item.finishing, -item.cost, number, item.key)
        self._items[item.key] = item
        self.cost += item.cost
        self.finishing += item.finishing
        heapq.heappush(self._all, entry)
        heapq.heappush(self._unclaimed, entry)
        if item.affinity_key:
            heapq.heappush(self._by_affinity.setdefault(item.affinity_key, []), entry)

    def remove(self, key: str) -> None:
        """Remove an item."""
        item = self._items.pop(key)
        self.finishing -= item.finishing
        # Sums of floats drift; an empty queue is the moment to be exact again.
        self.cost = self.cost - item.cost if self._items else 0.0

    def longest(self) -> WorkItem | None:
        """Return the longest item of all."""
        return self._first(self._all)

    def longest_of(self, affinity_keys: Iterable[str]) -> WorkItem | None:
        """Return the longest item of the first of `affinity_keys` that has any."""
        for affinity_key in affinity_keys:
            heap = self._by_affinity.get(affinity_key)
            if heap is None:
                continue
            if item := self._first(heap):
                return item
            del self._by_affinity[affinity_key]
        return None

    def longest_unclaimed(self, claimed: Callable[[str], bool]) -> WorkItem | None:
        """Return the longest item without an affinity key, or with one that is not `claimed`.

        A claimed item met on the way is not returned here again until `release`.
        """
        while item := self._first(self._unclaimed):
            if not (item.affinity_key and claimed(item.affinity_key)):
                return item
            heapq.heappop(self._unclaimed)
        return None

    def release(self, affinity_key: str) -> None:
        """Make the items of a key that is no longer claimed available to all workers."""
        for entry in self._by_affinity.get(affinity_key, ()):
            if entry[3] in self._items:
                heapq.heappush(self._unclaimed, entry)

    def _first(self, heap: list[_Entry]) -> WorkItem | None:
        while heap:
            if item := self._items.get(heap[0][3]):
                return item
            heapq.heappop(heap)
        return None
