"""Events of a store, and the webhooks that they are sent to."""

from catalogs.events.crashes import record_crashes
from catalogs.events.endpoints import (
    Endpoint,
    State,
    add_endpoint,
    find_endpoint,
    list_endpoints,
    read_state,
    remove_endpoint,
    write_state,
)
from catalogs.events.event import TYPES, Event, decision_event, export_event, job_event, run_event, trial_event
from catalogs.events.outbox import Outbox, Outcome, Retries
from catalogs.events.queue import Queue
from catalogs.events.signature import SECRET_VARIABLE, Signer, create_secret_file, load_signer

__all__ = [
    "SECRET_VARIABLE",
    "TYPES",
    "Endpoint",
    "Event",
    "Outbox",
    "Outcome",
    "Queue",
    "Retries",
    "Signer",
    "State",
    "add_endpoint",
    "create_secret_file",
    "decision_event",
    "export_event",
    "find_endpoint",
    "job_event",
    "list_endpoints",
    "load_signer",
    "read_state",
    "record_crashes",
    "remove_endpoint",
    "run_event",
    "trial_event",
    "write_state",
]
