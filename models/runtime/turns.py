"""Turns at a device: of the threads that use a model, one computes at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Turns"]


class Turns:
    """Decides which thread computes on a device, so that never more than one needs memory for activations.

    Denoising a clip is a long turn; it gives way to short ones, such as decoding a few frames of another clip, between
    two calls of the denoiser. The device is idle only while nobody wants it. Turns of one thread may be nested.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: int | None = None
        self._short_waiting = 0
        self._long = threading.RLock()

    @contextmanager
    def long(self) -> Iterator[None]:
        """Wait for a long turn, of which there is one at a time; it ends with the `with` block."""
        with self._long, self._turn(short=False):
            yield

    @contextmanager
    def short(self) -> Iterator[None]:
        """Wait for a short turn: the device is free, or a long turn gives way."""
        with self._turn(short=True):
            yield

    @property
    def wanted(self) -> bool:
        """Whether a short turn waits for the device."""
        return self._short_waiting > 0

    def give_way(self) -> None:
        """In a long turn, let all short turns that wait go first."""
        with self._changed:
            self._owner = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._owner is None and not self._short_waiting)
            self._owner = threading.get_ident()

    @contextmanager
    def _turn(self, *, short: bool) -> Iterator[None]:
        this_thread = threading.get_ident()
        if self._owner == this_thread:
            yield
            return
        with self._changed:
            self._short_waiting += short
            try:
                self._changed.wait_for(lambda: self._owner is None and (short or not self._short_waiting))
            finally:
                self._short_waiting -= short
            self._owner = this_thread
        try:
            yield
        finally:
            with self._changed:
                if self._owner == this_thread:
                    self._owner = None
                self._changed.notify_all()
