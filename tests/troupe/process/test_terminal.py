"""Access of a process and its children to a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness.shell import Shell
from tests.faults.harness.workspace import wait_until

ROOT = Path(__file__).parents[3]
STDIN_OF_CHILD = "import os; print(os.readlink('/proc/self/fd/0'))"
EVERYTHING = """
import importlib, pkgutil
for name in ("troupe", "models", "catalogs", "tasks", "flows"):
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, name + "."):
        importlib.import_module(module.name)
"""
PROMPTS = """
import subprocess, sys
from troupe.process.terminal import private_terminal
private_terminal()
child = "import os; print(os.readlink('/proc/self/fd/0'))"
print("child:", subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
print("answer:", input(f"name {6 * 7}? "), sys.stdin.isatty())
"""
CLOSED = """
import pathlib, signal, sys, time
from troupe.process.terminal import private_terminal
private_terminal()
signal.signal(signal.SIGHUP, lambda *_: pathlib.Path("closed").touch())
print("waits", 6 * 7)
while not pathlib.Path("closed").exists():
    time.sleep(0.05)
time.sleep(0.5)
print("nobody reads this")
print("nor this", file=sys.stderr, flush=True)
pathlib.Path("written").touch()
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Shell(tmp_path, os.environ | {"PYTHONPATH": str(ROOT)}) as shell:
        yield shell


@pytest.mark.long
def test_no_import_uses_the_terminal(shell: Shell) -> None:
    """Importing scenedetect did: in the background the kernel stopped the importing process."""
    shell.run(sys.executable, "-c", EVERYTHING, after="& wait $!")
    assert shell.exit_code(120) == 0, shell.text


def test_children_do_not_inherit_the_terminal_and_questions_work(shell: Shell) -> None:
    shell.run(sys.executable, "-c", PROMPTS)
    assert shell.shows("name 42? ", 20), shell.text
    shell.press("Ada\n")
    assert shell.exit_code(20) == 0, shell.text
    assert "child: /dev/null" in shell.text
    assert "answer: Ada True" in shell.text


def test_writing_to_a_closed_terminal_is_no_error(shell: Shell, tmp_path: Path) -> None:
    shell.run(sys.executable, "-c", CLOSED)
    assert shell.shows("waits 42", 20), shell.text
    shell.close()
    assert wait_until((tmp_path / "written").exists, 10)


def test_a_pipe_without_reader_is_no_error() -> None:
    """Such as `2>&1 | head -1`: the run goes on."""
    program = "import sys; from troupe.process.terminal import private_terminal; private_terminal(); "
    program += "print('first', flush=True); sys.stdin.read(); print('x' * 100_000, flush=True); "
    program += "print('message', file=sys.stderr)"
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    process.stdin.close()
    assert process.wait(20) == 0


def test_a_worker_closes_its_standard_input() -> None:
    program = "import subprocess, sys; from troupe.process.terminal import close_stdin; close_stdin(); "
    program += f"subprocess.run([sys.executable, '-c', {STDIN_OF_CHILD!r}])"
    done = subprocess.run([sys.executable, "-c", program], input=b"x", capture_output=True, cwd=ROOT, check=True)
    assert done.stdout == b"/dev/null\n"


def test_a_closed_standard_input_stays_harmless() -> None:
    program = "from troupe.process.terminal import *\nprivate_terminal()\nwith without_stdin(): pass"
    subprocess.run(["sh", "-c", '"$@" <&-', "sh", sys.executable, "-c", program], cwd=ROOT, check=True)
