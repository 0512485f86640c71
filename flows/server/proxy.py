"""Proxies of the environment, which offices set for what is outside of a machine."""

from __future__ import annotations

import os

__all__ = ["LOOPBACK", "bypass_proxies_on_loopback"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""


def bypass_proxies_on_loopback() -> None:
    """Exempt this machine's own services from `HTTP_PROXY` and the like, for this process and its children.

    Without an entry in `NO_PROXY`, HTTP clients ask the proxy for 127.0.0.1, and so never reach a server on this
    machine: the Prefect server of a run, or a store.
    """
    # Clients read either spelling, and the lower-case one first.
    entries = [entry.strip() for name in ("no_proxy", "NO_PROXY") for entry in os.environ.get(name, "").split(",")]
    exempt = ",".join(dict.fromkeys((*filter(None, entries), *LOOPBACK)))
    os.environ |= {"NO_PROXY": exempt, "no_proxy": exempt}
