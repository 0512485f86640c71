"""Sends the events of a store to its webhooks."""

from tasks.events.sender import Sender, deliver_events, sending_events

__all__ = ["Sender", "deliver_events", "sending_events"]
