"""The process of a temporary Prefect server: a script that is run by its path.

It imports nothing of troupe, and is to be run with `-P`: files of the working folder, such as a `flows.py`, are not
imported in place of packages.
"""

from __future__ import annotations

import os
import sys
import threading

import uvicorn
from prefect.server.api.server import create_app


def serve(port: int) -> None:
    """Serve until standard input closes."""

    def exit_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=exit_with_parent, daemon=True).start()
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
