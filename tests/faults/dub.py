"""A dub on S3 through Ray is killed again and again at random moments, and resumed: every film is made once.

One portrait, one clip, sounds in several languages, two render workers. Each seed is a run that is killed `--kills`
times: the run's own process, or one with an actor, a random number of published files and a random part of a second
after it went on. Then it is resumed until it ends well. There has to be one picture, a film for every language, whose
files have their checksums and whose record was written once, and a row for every job. What was published when the run
was killed has to stay as it was.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from subprocess import Popen

import boto3
import psutil

from catalogs.query.jobs import list_jobs
from catalogs.retention.evict import CACHES
from catalogs.store.renders import PICTURES
from catalogs.store.store import Store, open_store
from tests.faults.harness.seeds import run_seeds
from tests.faults.harness.workspace import Workspace, prepare, server, wait_until
from tests.flows.cast import write_sound
from tests.s3 import BUCKET, endpoint

LANGUAGES = (
    *("ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he"),
    *("hi", "it", "ja", "ko", "nl", "pl", "pt-BR", "sv", "tr", "uk"),
)
RECORD = "/render.json"
MOST_FILES = 4
"""Files that are made at most between two kills: fewer than there are, so that all kills find a run."""


def published(store: Store) -> dict[str, bytes]:
    """Return the records of the finished films and pictures."""
    keys = [key for folder in ("renders", PICTURES) for key in store.list(folder) if key.endswith(RECORD)]
    return {key: store.read(key) for key in keys}


def made(store: Store) -> int:
    """Return the number of files of encoded inputs, pictures and films, of which some may be unfinished."""
    return sum(len(store.list(folder)) for folder in (*CACHES, PICTURES, "renders"))


def kill(workspace: Workspace, run: Popen[bytes], store: Store, random: Random) -> str:
    """Kill a run at a random moment; return what was killed, empty if it ended before."""
    before, files = made(store), random.randint(0, MOST_FILES)
    if not wait_until(lambda: made(store) >= before + files, 300, run):
        return ""
    time.sleep(0.3 * random.random() if files else 20 * random.random())
    actors = []
    for process in workspace.processes():
        with suppress(psutil.Error):
            if "ray::_Worker" in " ".join(process.cmdline()):
                actors.append(process)
    if run.poll() is not None:
        return ""
    if actors and random.random() < 0.3:
        with suppress(psutil.Error):
            random.choice(actors).kill()
            return "actor"
    run.kill()
    return "driver"


def dub(workspace: Workspace, url: str, seed: int, kills: int) -> str:
    """One round; what happened, in a line."""
    store, log, random = open_store(url), workspace.folder / f"log-{seed}", Random(seed)
    seen: dict[str, bytes] = {}
    killed: Counter[str] = Counter()
    found: list[int] = []
    attempts, code = 0, None
    while code != 0:
        attempts += 1
        assert attempts <= 3 * kills + 3, f"seed {seed}: exit code {code} again\n{log.read_text()}"
        run = workspace.start(url, "run", log, "--workers", "2")
        while killed.total() < kills and run.poll() is None:
            if victim := kill(workspace, run, store, random):
                killed[victim] += 1
                found.append(made(store))
            if victim == "driver":
                break
        code = run.wait(600)
        assert wait_until(lambda: not workspace.processes(), 120), f"seed {seed}: processes outlive their run"
        now = published(store)
        changed = [key for key, record in seen.items() if now.get(key) != record]
        assert not changed, f"seed {seed}: published and changed: {changed}"
        seen = now
    check(store, seen)
    what = f"killed {dict(killed)} with {found} files made; {attempts} attempts"
    return f"seed {seed}: {what}; {len(LANGUAGES)} films of one picture, each once"


def check(store: Store, records: Mapping[str, bytes]) -> None:
    """Every film and the picture are there once, are what their records say, and have a row."""
    films = [key for key in records if key.startswith("renders/")]
    assert (len(films), len(records)) == (len(LANGUAGES), len(LANGUAGES) + 1), sorted(records)
    sums = {}
    for key in films:
        record = json.loads(records[key])
        data = store.read(record["outputs"]["full"])
        assert hashlib.sha256(data).hexdigest() == record["checksum"], f"{key}: the video is not what its record says"
        sums[record["key"]] = record["checksum"]
    rows = list_jobs(store).to_pylist()
    assert Counter(row["job_id"] for row in rows) == Counter(f"ada.{language}" for language in LANGUAGES)
    assert {row["status"] for row in rows} == {"done"}, [(row["job_id"], row["status"], row["error"]) for row in rows]
    assert {row["render_key"]: row["checksum"] for row in rows} == sums
    prefix = store.url.removeprefix(f"s3://{BUCKET}/")
    pages = boto3.client("s3").get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix)
    versions = Counter(one["Key"] for page in pages for one in page.get("Versions", ()) if one["Key"].endswith(RECORD))
    assert set(versions.values()) == {1}, f"records that were written again: {versions}"


def main(arguments: list[str] | None = None) -> None:
    """Run the rounds on a server of their own; the exit code is 1 if one fails."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-0", help="FIRST-LAST, both included")
    parser.add_argument("--kills", type=int, default=10, help="number of kills per seed")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tf-") as folder, endpoint():
        boto3.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        workspace = prepare(Path(folder), portraits=1, clips=1, frames=20)
        cast = workspace.request.parent
        for number, language in enumerate(LANGUAGES):
            write_sound(cast / f"{language}.wav", 20 / 25 - number / 200)
        row = {"job_id": "ada", "portrait": "p0.png", "driving": "c0.mp4", "audio": "{language}.wav", "preset": "draft"}
        workspace.request.write_text(json.dumps(row | {"languages": ";".join(LANGUAGES)}))
        with server(workspace) as address:
            workspace.variables["PREFECT_API_URL"] = address
            failed = run_seeds(
                chosen.seeds, lambda seed: dub(workspace, f"s3://{BUCKET}/dub-{seed}", seed, chosen.kills)
            )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
