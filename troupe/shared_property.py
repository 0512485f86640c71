"""A property that is computed once, also where threads ask for it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar, overload

__all__ = ["shared_property"]

T = TypeVar("T")


class shared_property(cached_property[T]):
    """`functools.cached_property` with a lock, which Python 3.12 removed from it.

    Threads that ask while the value is computed wait for it, also those that ask it of another instance.

    Example:
        >>> class Worker:
        ...     @shared_property
        ...     def model(self) -> str:
        ...         return "loaded once"
        >>> Worker().model
        'loaded once'
    """

    def __init__(self, func: Callable[[Any], T]) -> None:
        super().__init__(func)
        self._computing = threading.RLock()

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> shared_property[T]: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> shared_property[T] | T:
        """Return the value, or the property itself if it is asked of the class."""
        if instance is None:
            return self
        with self._computing:
            return super().__get__(instance, owner)
