"""Seconds to open, sort and search a run's report in a browser, with many jobs and their pictures.

Drives headless Chromium on a local file; medians of several openings in one browser.
"""

from __future__ import annotations

import shutil
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.report import render_page
from catalogs.table.schema import make_row
from troupe import Job
from troupe.errors import NoFace, SettingsError
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "parser", "write_page"]

MOST_SECONDS = 2.0
IDENTITIES, CLIPS = 50, 20
TIMES = """
const shown = performance.getEntriesByName('first-contentful-paint')[0];
const page = performance.getEntriesByType('navigation')[0];
return [shown.startTime / 1000, page.loadEventEnd / 1000];
"""
ACTION = """
const since = performance.now(), field = document.getElementById(arguments[0]);
field.value = arguments[1];
field.dispatchEvent(new Event(arguments[2]));
document.body.offsetHeight;
return (performance.now() - since) / 1000;
"""


def measure(args: Namespace) -> Findings:
    """Write the page; open, sort and search it a few times."""
    with scratch_folder() as folder, _browser() as browser:
        log(f"a page of {args.jobs} jobs")
        started = time.perf_counter()
        page = write_page(Path(folder), args.jobs)
        samples: dict[str, list[float]] = {}
        figures: dict[str, Any] = {"writing_seconds": time.perf_counter() - started, "page_bytes": page.stat().st_size}
        for _ in range(args.runs):
            browser.get(page.as_uri())
            time.sleep(0.5)
            seen, loaded = browser.execute_script(TIMES)
            sort = browser.execute_script(ACTION, "sort", "quality-identity", "change")
            search = browser.execute_script(ACTION, "search", "person 7", "input")
            found = {"first_view": seen, "loaded": loaded, "sort": sort, "search": search}
            for name, seconds in found.items():
                samples.setdefault(f"{name}_seconds", []).append(seconds)
    figures |= {name: statistics.median(values) for name, values in samples.items()}
    case = Case(figures, samples)
    return Findings({f"{args.jobs} jobs": case}, {"loaded": Check.at_most(case.number("loaded_seconds"), MOST_SECONDS)})


def write_page(folder: Path, jobs: int) -> Path:
    """Write the report of a run, with all its pictures."""
    random, noon = np.random.default_rng(0), datetime(2026, 1, 1, 12, tzinfo=UTC)
    for n in range(IDENTITIES):
        _picture(folder / f"cache/appearance/a{n}.jpg", random)
    for n in range(CLIPS):
        _picture(folder / f"cache/motion/m{n}.jpg", random)
    rows = []
    for n in range(jobs):
        job = Job(f"job-{n:05}", f"p{n}.png", f"clip-{n % CLIPS}.mp4", identity=f"person {n % IDENTITIES}")
        end = noon + timedelta(seconds=n)
        if n % 40 == 7:
            rows.append(make_row("r", job, "failed", started_at=noon, finished_at=end, error=NoFace("no face found")))
            continue
        rows.append(make_row("r", job, "done", started_at=noon, finished_at=end, **_columns(n, random)))
        _picture(folder / f"renders/k{n}/poster.jpg", random)
    page = folder / "runs/r/report/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(render_page(str(folder), "r", rows))
    return page


def _columns(n: int, random: np.random.Generator) -> Mapping[str, Any]:
    files = {"full_uri": "full.mp4", "poster_uri": "poster.jpg", "render_key": f"k{n}"}
    keys = {"appearance_key": f"a{n % IDENTITIES}", "motion_key": f"m{n % CLIPS}"}
    video = {"frames": 50, "seconds": 2.0, "width": 512, "height": 512, "fps_numerator": 25, "fps_denominator": 1}
    quality = {"quality_identity": random.normal(0.8, 0.03), "quality_flicker": random.normal(2, 0.2)}
    return {**files, **keys, **video, **quality}


def _picture(path: Path, random: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((256, 256)).save(path)


@contextmanager
def _browser() -> Iterator[Chrome]:
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        raise SettingsError(
            "chromium or chromedriver not found; install them: apt-get install chromium chromium-driver"
        )
    options = ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    with Chrome(options=options, service=Service(driver)) as browser:
        yield browser


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--jobs", type=positive_int, default=1000)
    options.add_argument("--runs", type=positive_int, default=5, metavar="N", help="times to open the page")
    return options


if __name__ == "__main__":
    main("report_page", parser(), measure)
