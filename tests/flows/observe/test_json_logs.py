"""JSON logs of a run."""

from __future__ import annotations

import io
import json
import logging

from flows.observe.json_logs import json_logs
from tests.flows.observe.rows import DONE, FAILED
from troupe.process.log_context import job_context, set_run_id


def test_every_line_of_a_json_log_has_run_job_and_worker() -> None:
    stream = io.StringIO()
    set_run_id("r7")
    with json_logs(stream) as listener:
        listener.note("reading")
        listener.started(2)
        listener.finished(DONE)
        listener.finished(FAILED)
        with job_context("render:ab"):
            logging.getLogger("tasks.pool").warning("worker %d died", 3)
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("catalogs.store.store").exception("defect")
    logging.getLogger("tasks").warning("after the run")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(line["run"] == "r7" and "job" in line and "worker" in line and line["time"] for line in lines)
    note, started, done, failed, died, defect = lines
    assert (note["message"], started["jobs"]) == ("reading", 2)
    assert (done["job"], done["worker"], done["progress"], done["frames"]) == ("a", "node:7", "1/2", 10)
    assert done["stages"] == {"denoise": 2.5, "put": 0.5}
    assert (failed["level"], failed["error_kind"], failed["error"]) == ("error", "no_face", "nobody there")
    assert (died["job"], died["message"], died["level"]) == ("render:ab", "worker 3 died", "warning")
    assert "KeyError" in defect["trace"]
