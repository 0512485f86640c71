"""Prefect around a run, as in an office: proxies, a dead server, hostile file names, first starts at once.

Every trial has to end well, or with exit code 2 and one line that names the cause and what to do; `troupe doctor`
has to say the same. Prints a line per trial, and fails if one does not end so.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.harness.workspace import TROUPE, Workspace, prepare

__all__ = ["FIRST_STARTS", "Office", "first_starts"]

FIRST_STARTS = 5
NOWHERE = "http://127.0.0.1:9"
"""Port 9 is closed wherever nobody discards packets."""
HOSTILE = ("flows.py", "tasks.py", "models.py", "catalogs.py", "random.py", "prefect.py", "uvicorn.py", "ray.py")


@dataclass(frozen=True)
class Case:
    """A disturbed surrounding.

    Attributes:
        prepare: prepares the working folder and the fresh Prefect home.
        variables: environment variables.
        code: expected exit code of a run.
        says: text of the run's error.
        doctor: text of the finding.
    """

    prepare: Callable[[Path, Path], object] = lambda folder, home: None  # noqa: ARG005
    variables: Mapping[str, str] = field(default_factory=dict)
    code: int = 0
    says: str = ""
    doctor: str = ""


def hostile_names(folder: Path, _: Path) -> None:
    """Put modules with the names of packages into the working folder."""
    for name in HOSTILE:
        (folder / name).write_text(f"raise SystemExit('{name} of the working folder')\n")


def other_version(_: Path, home: Path) -> None:
    """Write a database as a later version of Prefect would."""
    home.mkdir()
    with sqlite3.connect(home / "prefect.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('ffffffffffff')")
    database.close()


def damaged(_: Path, home: Path) -> None:
    """Write a database that is none."""
    home.mkdir()
    (home / "prefect.db").write_bytes(b"not a database" * 1000)


CASES: dict[str, Case] = {
    "proxy": Case(
        variables=dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
        | {"NO_PROXY": "", "no_proxy": ""},
        doctor="past the proxy",
    ),
    "dead server": Case(
        variables={"PREFECT_API_URL": f"{NOWHERE}/api"}, code=2, says="does not answer", doctor="does not answer"
    ),
    "hostile names": Case(hostile_names, doctor="flows.py"),
    "other version": Case(other_version, code=2, says="another version", doctor="another version"),
    "damaged database": Case(damaged, code=2, says="damaged", doctor="damaged"),
    "home is a file": Case(lambda _, home: home.write_text(""), code=2, says="PREFECT_HOME", doctor="PREFECT_HOME"),
    "invalid setting": Case(
        variables={"PREFECT_API_REQUEST_TIMEOUT": "soon"}, code=2, says="invalid settings", doctor="invalid settings"
    ),
}


class Office:
    """A workspace with a store whose only job is done already, so that a run needs Prefect and no Ray."""

    def __init__(self, folder: Path) -> None:
        self.workspace: Workspace = prepare(folder, portraits=1, clips=1)
        self.store = folder / "store"
        self.workspace.run_in_process(self.store, "first")

    def start(
        self, home: Path, variables: Mapping[str, str], *, store: Path | None = None, folder: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start `troupe run` in a working folder."""
        words = ["run", str(self.workspace.request), "--weights", str(self.workspace.weights)]
        return self._start([*words, "--store", str(store or self.store)], home, variables, folder)

    def doctor(self, home: Path, variables: Mapping[str, str], folder: Path) -> str:
        """Return what `troupe doctor` finds about Prefect."""
        words = ["doctor", "--store", str(self.store), "--weights", str(self.workspace.weights)]
        text = self._start(words, home, variables, folder).communicate(timeout=200)[0]
        return next((line for line in text.splitlines() if "\tprefect\t" in line), text)

    def _start(
        self, words: list[str], home: Path, variables: Mapping[str, str], folder: Path | None
    ) -> subprocess.Popen[str]:
        environment = self.workspace.environment() | {"PREFECT_HOME": str(home)} | dict(variables)
        return subprocess.Popen(
            [*TROUPE, *words],
            cwd=folder or self.workspace.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def check_end(run: subprocess.Popen[str], code: int, says: str = "") -> None:
    """Wait for the end, and check it."""
    text = run.communicate(timeout=300)[0]
    assert run.returncode == code, f"exit code {run.returncode}: {text}"
    assert "Traceback" not in text, text
    assert says in text, text
    assert sum(line.startswith("error: ") for line in text.splitlines()) == (1 if code else 0), text


def first_starts(office: Office, home: Path, count: int) -> None:
    """Run the same command several times at once on a Prefect home that does not exist yet."""
    runs = [office.start(home, {}) for _ in range(count)]
    for run in runs:
        check_end(run, 0)


def disturbed(office: Office, case: Case, folder: Path) -> None:
    """Run, with Ray, and ask the doctor."""
    work, home = folder / "work", folder / "home"
    work.mkdir(parents=True)
    case.prepare(work, home)
    check_end(office.start(home, case.variables, store=folder / "store", folder=work), case.code, case.says)
    found = office.doctor(home, case.variables, work)
    assert case.doctor in found, found
    assert found.startswith("bad" if case.code else "ok"), found


def main() -> None:
    """Run the trials; the exit code is 1 if one fails."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    chosen = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="tf-") as name:
        folder = Path(name)
        office = Office(folder / "g")
        trials: dict[str, Callable[[], None]] = {
            case: lambda case=case: disturbed(office, CASES[case], folder / case.replace(" ", "-"))  # type: ignore[misc]
            for case in chosen.cases
        }
        for number in range(chosen.rounds):
            trials[f"{FIRST_STARTS} first starts, round {number}"] = lambda number=number: first_starts(  # type: ignore[misc]
                office, folder / f"home-{number}", FIRST_STARTS
            )
        for trial, perform in trials.items():
            began = time.monotonic()
            try:
                perform()
                result = "as it should be"
            except (AssertionError, subprocess.TimeoutExpired) as error:
                wrong += 1
                result = f"FAILED: {error}"
            print(f"{trial:26} {time.monotonic() - began:5.1f} s  {result}", flush=True)
    print(f"{wrong} failed", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
