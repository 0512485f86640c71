"""A child process of `Sandbox`: it calls one function after the other, with limits on what each may take.

Requests and replies are lines of JSON, so that a damaged reply cannot run code in the parent as pickle could.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from troupe.errors import TroupeError

_MEMORY = Path("/proc/self/statm")


def serve(requests: IO[str], replies: IO[str]) -> None:
    """Answer requests until there are no more, or one exceeded its memory: what libraries leave then is undefined."""
    functions: dict[str, Callable[[Path], Any]] = {}
    normal = 0
    for line in requests:
        request = json.loads(line)
        name = request["function"]
        if name not in functions:
            _limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
            functions[name] = _function(name)
            normal = _virtual_bytes()
        if normal:  # other systems than Linux do not say, and do not enforce the limit either
            _limit(resource.RLIMIT_AS, normal + request["bytes"])
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + request["seconds"]))
        try:
            reply = {"value": functions[name](Path(request["path"]))}
        except TroupeError as error:
            reply = {"error": type(error).__name__, "message": error.message}
        except MemoryError:
            reply = {"error": MemoryError.__name__}
        except Exception as error:
            reply = {"error": "", "message": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
        if reply.get("error") == MemoryError.__name__:
            break


def _function(name: str) -> Callable[[Path], Any]:
    module, _, function = name.partition(":")
    found: Callable[[Path], Any] = getattr(importlib.import_module(module), function)
    return found


def _limit(kind: int, soft: int) -> None:
    resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))


def _virtual_bytes() -> int:
    return int(_MEMORY.read_text().split()[0]) * resource.getpagesize() if _MEMORY.exists() else 0


def main() -> None:
    """Serve on standard input and output, which libraries that print must not reach."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _limit(resource.RLIMIT_CORE, 0)
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
