"""Heaps of a process with many threads."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from troupe.process.memory import ARENAS

HEAPS = """
import ctypes, sys, threading
from troupe.process.memory import limit_arenas
if sys.argv[1] == "limited":
    limit_arenas()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(16)

def allocate():
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep no heap per thread")
def test_threads_share_few_heaps(tmp_path: Path) -> None:
    """Each run has new threads: with a heap for each, the process grew by 10 MB a run."""
    heaps = {}
    for kind in ("plain", "limited"):
        subprocess.run([sys.executable, "-c", HEAPS, kind, str(tmp_path / kind)], check=True)
        heaps[kind] = (tmp_path / kind).read_text().count("<heap nr=")
    assert heaps["limited"] <= ARENAS < heaps["plain"]
