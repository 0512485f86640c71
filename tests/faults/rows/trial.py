"""One run of a jobs file with hostile rows and a good one among them."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed

from bench.support.machine import peak_memory
from catalogs.requests.access.input_policy import ANY_PUBLIC
from catalogs.table.schema import WITH_VIDEO
from flows.local import animate_locally
from models.miniature.init_weights import init_weights
from tasks.run.request import Request
from tests.faults.rows.hostile import FORMATS, Row, encoded, hostile_rows, write_inputs
from tests.faults.rows.servers import hostile_server
from tests.flows.cast import write_clip, write_portrait
from tests.small import QUICK
from troupe import errors
from troupe.errors import BadJob, TroupeError
from troupe.process.signals import stoppable

__all__ = ["MEMORY", "Trials", "trials"]

MEMORY = 1_500_000
"""kB of the process that plans, which is also the one that renders here."""
STOP_SECONDS = 5.0
EXAMPLES = 2
"""Jobs files of a seed."""
_ROW = re.compile(r"row (\d+)")
_KINDS = {value.kind for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TroupeError)}
_ENVIRONMENT = {
    "TROUPE_MAX_FETCH_SECONDS": "2",
    "TROUPE_MAX_INPUT_BYTES": "200000000",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_MAX_ATTEMPTS": "1",
}


@dataclass
class Trials:
    """What is used for all seeds, and what came of them.

    Attributes:
        wrong: what should not have happened, one line each.
        kinds: how many rows ended in which way.
        seconds, stop_seconds: of the slowest run, and of the slowest stop.
    """

    folder: Path
    paths: list[str]
    server: str
    wrong: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    stop_seconds: float = 0.0

    def run(self, seed: int) -> None:
        """Run a few jobs files, and one that is stopped by Ctrl-C at a random moment of its planning."""
        number = 0
        good = {"job_id": "good", "portrait": f"{self.folder}/p.png", "driving": f"{self.folder}/c.mp4"}
        good |= {"seed": str(seed)}

        @hypothesis_seed(seed)
        @settings(
            max_examples=EXAMPLES + 1,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(hostile_rows(self.paths, self.server, good))
        def example(rows: list[Row]) -> None:
            nonlocal number
            dice = random.Random(f"{seed} {number}")
            rows = [row | {"job_id": f"bad{place}"} for place, row in enumerate(rows)]
            rows.insert(dice.randrange(len(rows) + 1), good)
            form = dice.choice(FORMATS)
            where = f"seed {seed}, file {number} ({form})"
            if number < EXAMPLES:
                self._whole(rows, form, where)
            elif number == EXAMPLES:
                self._stopped(rows, form, where, dice.uniform(0.0, 2.0))
            number += 1

        example()
        memory = peak_memory() // 1024  # not by getrusage, which begins with what the parent had
        if memory > MEMORY:
            self.wrong.append(f"seed {seed}: the process had {memory} kB")

    def _whole(self, rows: list[Row], form: str, where: str) -> None:
        started = time.monotonic()
        try:
            found = self._manifest(rows, form)
        except BaseException as error:
            self.wrong.append(f"{where}: {_told(error)} for {rows}")
            if isinstance(error, KeyboardInterrupt):
                raise
            return
        self.seconds = max(self.seconds, time.monotonic() - started)
        for job, row in found.items():
            kind = row["error_kind"] or row["status"]
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            cells = next(cells for cells in rows if cells["job_id"] == job)
            if kind not in {*WITH_VIDEO} | (_KINDS - {"error", "worker_lost"}):
                self.wrong.append(f"{where}: {job} ended as {kind}: {row['error']}: {cells}")
            if row["error"] and re.search(r"\n|Traceback|defect of the program|\x1b", row["error"]):
                self.wrong.append(f"{where}: {job} has the error {row['error']!r}: {cells}")
        if found.get("good", {}).get("status") not in WITH_VIDEO:
            self.wrong.append(f"{where}: the good job is not done: {found.get('good')}")

    def _manifest(self, rows: list[Row], form: str) -> dict[str, Any]:
        """Run the rows, without those that the jobs file is refused for; return the manifest's rows by job."""
        try:
            return self._run(rows, form)
        except BadJob as error:
            # A file that is missing is named with the rest, and by itself fails only its job.
            invalid = [problem for problem in error.problems if "does not exist" not in problem]
            refused = {int(number) for problem in invalid for number in _ROW.findall(problem)[:1]}
            left = [row for number, row in enumerate(rows, 1) if number not in refused]
            self.kinds["bad_job"] = self.kinds.get("bad_job", 0) + len(rows) - len(left)
            if not refused or all(row["job_id"] != "good" for row in left):
                raise
            return self._run(left, form)

    def _run(self, rows: list[Row], form: str) -> dict[str, Any]:
        path = self.folder / f"jobs.{form}"
        path.write_bytes(encoded(rows, form))
        summary = animate_locally(
            Request(
                store=str(self.folder / "store"),
                weights=str(self.folder / "weights"),
                jobs=str(path),
                defaults={"preset": "sketch"},
                # A mute, endless or trickling server is reached only where a person allows it.
                allow_input=(*ANY_PUBLIC, self.server),
            )
        )
        return {row["job_id"]: row for row in pq.read_table(summary.manifest).to_pylist()}

    def _stopped(self, rows: list[Row], form: str, where: str, moment: float) -> None:
        signalled: list[float] = []

        def interrupt() -> None:
            signalled.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(moment, interrupt)
        try:
            with stoppable():
                timer.start()
                try:
                    self._manifest(rows, form)
                finally:
                    ended = time.monotonic()
                    timer.cancel()
                    timer.join()
        except TroupeError as error:
            if error.kind not in ("cancelled", "bad_job"):
                self.wrong.append(f"{where}: stopped after {moment:.2f} s: {_told(error)}")
        except BaseException as error:
            self.wrong.append(f"{where}: stopped after {moment:.2f} s: {_told(error)}")
        if signalled:
            self.stop_seconds = max(self.stop_seconds, ended - signalled[0])
            if ended - signalled[0] > STOP_SECONDS:
                self.wrong.append(f"{where}: took {ended - signalled[0]:.1f} s to stop, {moment:.2f} s in: {rows}")


@contextmanager
def trials(folder: Path) -> Iterator[Trials]:
    """Write what all seeds use."""
    init_weights(folder / "weights", 0, QUICK)
    write_portrait(folder / "p.png", 0)
    write_clip(folder / "c.mp4", frames=4, rate="25")
    paths = write_inputs(folder / "inputs", folder / "c.mp4")
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        with hostile_server() as server:
            yield Trials(folder, paths, server)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _told(error: BaseException) -> str:
    places: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {str(error)[:500]} at {places[-1].filename}:{places[-1].lineno}"
