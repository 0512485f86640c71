"""Sends the events of a store to its webhooks."""

from tasks.events.sender import Sender, deliver_events, send_test, sending_events

__all__ = ["Sender", "deliver_events", "send_test", "sending_events"]
