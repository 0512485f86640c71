"""A headless browser, and the report of a real run."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from flows.local import animate_locally
from tasks.run.request import Request
from tests.flows.conftest import cast, weights

__all__ = ["cast", "weights"]

AXE = Path(__file__).parents[2] / "build/axe/node_modules/axe-core/axe.min.js"
"""Installed by `.ci/run`."""


class Browser(Chrome):
    """Chromium with helpers for the tests."""

    def set_screen(self, *, width: int = 1280, height: int = 900, dark: bool = False, touch: bool = False) -> None:
        """Set window size, colour scheme and touch."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def console_messages(self) -> list[str]:
        """Return the console messages since the last call."""
        return [entry["message"] for entry in self.get_log("browser")]  # type: ignore[no-untyped-call]

    def axe(self) -> list[str]:
        """Return the serious and critical violations that axe-core finds."""
        self.execute_script(AXE.read_text())
        found: Any = self.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run().then(found => done(found.violations))"
        )
        return [
            f"{rule['id']}: {node['html']}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[Browser]:
    """Start Debian's chromium with its driver."""
    with chromium() as started:
        yield started


@pytest.fixture
def browser(shared_browser: Browser) -> Iterator[Browser]:
    """Return the browser; leave its page afterwards, which would complain in the next test that its server is gone."""
    yield shared_browser
    shared_browser.get("about:blank")
    shared_browser.console_messages()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser of its own."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("chromium or chromedriver not found: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"):
        options.add_argument(argument)
    options.add_argument("--autoplay-policy=no-user-gesture-required")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})  # type: ignore[no-untyped-call]
    with Browser(options=options, service=Service(driver)) as chrome:
        chrome.set_script_timeout(60)
        yield chrome


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, cast: Path, weights: Path) -> Path:
    """Return the report of a run with two finished jobs and one without its portrait."""
    store = tmp_path_factory.mktemp("browser") / "a store"
    jobs = cast / "report.csv"
    jobs.write_text(
        "job_id,portrait,driving,identity,tags\n"
        "ruby,portraits/ruby.png,clips/hello.mp4,Ruby,scene=1\n"
        "olive,portraits/olive.png,clips/film.mp4,<i>Olive,\n"
        "nobody,portraits/nobody.png,clips/hello.mp4,,\n"
    )
    request = {"store": str(store), "weights": str(weights), "jobs": str(jobs), "run_id": "r1"}
    summary = animate_locally(Request(**request, defaults={"preset": "sketch"}, preview=0.2))
    assert summary.counts == {"done": 2, "failed": 1}
    return Path(summary.report)


@pytest.fixture(scope="session")
def served(report: Path) -> Iterator[str]:
    """Serve the store as static files, as a bucket does; yield the URL of the report."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    store = report.parents[3]
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(store))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{report.relative_to(store).as_posix()}"
        server.shutdown()
