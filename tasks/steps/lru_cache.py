"""A small cache that the threads of a worker share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LRUCache"]

T = TypeVar("T")


class _Slot(Generic[T]):
    """Place of one value, empty until it is made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: list[T] = []


class LRUCache(Generic[T]):
    """The most recently used values by key, so that neighbouring jobs need not fetch or load them again. Thread-safe.

    Threads that want the same value wait until the first has made it; those that want others do not.

    Args:
        size: number of values.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots: OrderedDict[str, _Slot[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], T]) -> T:
        """Return the value of the key, made if it is not cached."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            while len(self._slots) > self._size:
                self._slots.popitem(last=False)
        with slot.lock:
            if not slot.values:
                try:
                    slot.values.append(make())
                except BaseException:
                    with self._lock:
                        if self._slots.get(key) is slot:
                            del self._slots[key]
                    raise
            return slot.values[0]
