"""A Prefect server and a process worker: deploy, trigger from the command line, a cron that fires, a cancelled run.

Everything is the real thing, started and ended here; the deployments are those of prefect.yaml with this folder's
places in them. Prints the state that every flow run came to, and fails if one is not as it should be.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import yaml

from catalogs.store.store import open_store
from flows.server.prefect_server import _free_port
from tests.faults.cancel import reached
from tests.faults.harness.workspace import ROOT, Workspace, prepare, wait_until

PREFECT = [sys.executable, "-m", "prefect"]


class Prefect:
    """A server and a worker, and what the command line says to them."""

    def __init__(self, workspace: Workspace, port: int) -> None:
        self.workspace = workspace
        self.api = f"http://127.0.0.1:{port}/api"
        workspace.variables |= {"PREFECT_API_URL": self.api, "PREFECT_SERVER_API_PORT": str(port)}

    def say(self, *words: str) -> str:
        """One command; what it printed."""
        done = subprocess.run(
            [*PREFECT, *words], cwd=ROOT, env=self.workspace.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"prefect {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The API's answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.api}/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def start(self, deployment: str, **parameters: object) -> str:
        """Trigger a deployment from the command line; the flow run's id."""
        words = [word for name, value in parameters.items() for word in ("--param", f"{name}={json.dumps(value)}")]
        printed = self.say("deployment", "run", deployment, *words)
        found = re.search(r"UUID: ([0-9a-f-]{36})", printed)
        assert found, printed
        return found[1]

    def state(self, run: str) -> str:
        """Of a flow run."""
        return str(self.ask(f"flow_runs/{run}")["state"]["type"])

    def wait(self, run: str, *states: str, seconds: float = 180) -> str:
        """Until it is in one of the states."""
        wait_until(lambda: self.state(run) in states, seconds)
        return self.state(run)


@contextmanager
def prefect(workspace: Workspace) -> Iterator[Prefect]:
    """A server with its services and a worker of the pool `troupe`; both gone afterwards."""
    port = _free_port()
    known, log = Prefect(workspace, port), (workspace.folder / "server.log").open("wb")
    started = []

    def begin(*words: str) -> None:
        started.append(
            subprocess.Popen(
                [*PREFECT, *words],
                cwd=ROOT,
                env=workspace.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )

    try:
        begin("server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui")

        def healthy() -> bool:
            with suppress(OSError):
                return bool(known.ask("health"))
            return False

        assert wait_until(healthy, 120), "the server does not start"
        known.say("work-pool", "create", "troupe", "--type", "process")
        begin("worker", "start", "--pool", "troupe", "--limit", "4")
        yield known
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


def deployments(workspace: Workspace, store: Path) -> Path:
    """prefect.yaml with this ground's places; maintenance every minute."""
    text = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for deployment in text["deployments"]:
        deployment["parameters"] |= {"store": str(store)}
        if deployment["name"] == "maintenance":
            deployment["schedules"] = [{"cron": "* * * * *", "timezone": "UTC", "active": True}]
    text["pull"] = [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
    path = workspace.folder / "prefect.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


ALERTS = """
from prefect.blocks.notifications import CustomWebhookNotificationBlock
block = CustomWebhookNotificationBlock(
    name="troupe",
    url={url!r},
    json_data={{"subject": "{{{{subject}}}}", "body": "{{{{body}}}}"}},
    allow_private_urls=True,
)
print(block.save("alerts"))
"""


@contextmanager
def notified(known: Prefect) -> Iterator[list[dict[str, str]]]:
    """Receive the alerts that the page on scheduling describes, on a local web hook."""
    alerts: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            alerts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    page = (ROOT / "docs" / "scheduling.md").read_text()
    (text,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "send-notification" in block)
    code = ALERTS.format(url=f"http://127.0.0.1:{hook.server_port}/")
    block = subprocess.run(
        [sys.executable, "-c", code], env=known.workspace.environment(), capture_output=True, text=True, check=True
    )
    alert = known.workspace.folder / "alert.yaml"
    alert.write_text(text.replace("ID-OF-A-NOTIFICATION-BLOCK", block.stdout.strip()))
    known.say("automation", "create", "--from-file", str(alert))
    try:
        yield alerts
    finally:
        hook.shutdown()


def fails(known: Prefect, given: dict[str, str]) -> str:
    """Start a run that cannot succeed, check the alert, and return the state of the run."""
    with notified(known) as alerts:
        run = known.start("animate/animate", **given | {"weights": str(known.workspace.folder / "nowhere")})
        state = known.wait(run, "COMPLETED", "FAILED", "CRASHED")
        assert wait_until(lambda: bool(alerts), 60), f"no alert for a run that is {state}"
    name = known.ask(f"flow_runs/{run}")["name"]
    print(f"a run without weights: {state}; alert: {alerts[0]['subject']!r}, {alerts[0]['body'][:120]!r}", flush=True)
    assert alerts[0]["subject"] == f"{name} failed"
    assert "nowhere" in alerts[0]["body"], alerts
    return state


def cancelled(known: Prefect, stage: str, given: dict[str, str]) -> None:
    """Cancel a run in a stage through the server."""
    workspace = known.workspace
    store, log = workspace.folder / f"store-{stage}", workspace.folder / "server.log"
    run = known.start("animate/animate", **given | {"store": str(store)}, run_id="stopped")
    assert wait_until(reached(stage, workspace, open_store(str(store)), log), 180), log.read_text()[-6000:]
    before = len(log.read_text())
    started = time.monotonic()
    # What `prefect flow-run cancel` says, without the seconds that it takes to start.
    known.ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

    def left(*of: str) -> list[str]:
        found = []
        for process in workspace.processes():
            with suppress(psutil.Error):
                found.append(f"{process.name()} {' '.join(process.cmdline())}")
        return [line for line in found if any(part in line for part in of)]

    wait_until(lambda: not left("ray"), 60)
    idle = time.monotonic()
    wait_until(lambda: not left("ray", "prefect.engine"), 60)
    ended = time.monotonic()
    state = known.wait(run, "CANCELLED", "COMPLETED", "FAILED", "CRASHED", seconds=120)
    print(
        f"cancelled in {stage}: {state}; after the request, work had ended in {idle - started:.1f} s and the "
        f"flow's own process in {ended - started:.1f} s, {len(left('ray', 'prefect.engine'))} left",
        flush=True,
    )
    text = log.read_text()[before:]
    assert state == "CANCELLED", text
    assert "TypeError" not in text, text
    assert not left("ray", "prefect.engine"), left("ray", "prefect.engine")
    record = json.loads((store / "runs" / "stopped" / "run.json").read_text())
    assert record["state"] == "cancelled", f"{record}{text}"
    assert (store / "runs" / "stopped" / "manifest.parquet").exists()
    folders = [path.name for path in workspace.scratch.iterdir() if path.name.startswith("troupe-")]
    assert not folders, f"left {folders}"


def main() -> None:
    """All of it; the exit code is 1 if something is not as it should be."""
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        workspace = prepare(Path(folder))
        store = workspace.folder / "store"
        with prefect(workspace) as known:
            known.say("--no-prompt", "deploy", "--all", "--prefect-file", str(deployments(workspace, store)))
            names = sorted(found["name"] for found in known.ask("deployments/filter", {}))
            print(f"deployed: {', '.join(names)}", flush=True)
            assert names == ["animate", "maintenance", "nightly", "train"]
            schema = known.ask("deployments/name/animate/animate")["parameter_openapi_schema"]
            print(f"form: {len(schema['properties'])} fields, {len(schema['required'])} required", flush=True)
            given = {"jobs": str(workspace.request), "weights": str(workspace.weights), "store": str(store)}

            run = known.start("animate/animate", **given)
            state = known.wait(run, "COMPLETED", "FAILED", "CRASHED")
            print(f"triggered from the command line: {state}", flush=True)
            assert state == "COMPLETED", known.ask("logs/filter", {})
            artifacts = {found["key"]: found["type"] for found in known.ask("artifacts/filter", {}) if found["key"]}
            print(f"artifacts: {artifacts}", flush=True)

            def fired() -> list[str]:
                runs = known.ask("flow_runs/filter", {"flows": {"name": {"any_": ["maintenance"]}}})
                return [str(found["state"]["type"]) for found in runs if found["auto_scheduled"]]

            assert wait_until(lambda: "COMPLETED" in fired(), 150), fired()
            print(f"a cron fired: {fired().count('COMPLETED')} COMPLETED", flush=True)

            assert fails(known, given) == "FAILED"

            for stage in ("plan", "raylet", "encode", "animate"):
                cancelled(known, stage, given)
        print("as it should be", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
