"""Damage to any file of a store, and to inputs, before, during and after runs.

`python -m tests.faults.integrity --seeds 0-29` renders a few small jobs once, and then, for every seed, damages a copy
of the store: bits are flipped, and files are truncated, deleted or exchanged for others, before a run, after its
planning, between its jobs, or after it. Then it exports, runs `troupe store check --deep --repair`, runs again, and
exports again.

Wrong are: a render under a key that differs from the one that an undamaged store has there; a delivered file that
differs from its row; an error that is not troupe's own; damage to a cached file or a render that is neither logged nor
found by the check; anything that is still damaged or undelivered at the end. What had to be done by hand is listed.
Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from catalogs.export.deliver import deliver
from catalogs.query.jobs import list_jobs
from catalogs.retention.check_store import check_store
from catalogs.store.store import open_store
from catalogs.table.schema import WITH_VIDEO
from flows.local import animate_locally
from flows.observe.progress import use_listener
from models.miniature.init_weights import init_weights
from tasks import media
from tasks.run.request import Request
from tests.flows.cast import write_clip, write_portrait
from tests.small import QUICK
from troupe.errors import TroupeError
from troupe.files import file_sha256
from troupe.process.scratch import scratch_folder
from troupe.progress import Progress

__all__ = ["Result", "main", "prepare", "run_seed"]

MOMENTS = ("before", "planned", "between", "after")
KINDS = ("flip", "truncate", "delete", "exchange")
WITH_DIGEST = ("cache/", "renders/")


@dataclass
class Result:
    """What a seed damaged, and what came of it.

    Attributes:
        damage: what was damaged, and when.
        wrong: what should not have happened.
        by_hand: what had to be done by hand, as the check said.
    """

    damage: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)


class Hook:
    """Calls a function at a moment of a run."""

    def __init__(self, moment: str, damage: Callable[[], None]) -> None:
        self._left = {moment}
        self._damage = damage

    def note(self, text: str) -> None:
        """Ignore it."""

    def started(self, jobs: int) -> None:
        """The run is planned."""
        self._at("planned")

    def working(self, progress: Progress) -> None:
        """Ignore it."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """A job has ended."""
        self._at("between")

    def _at(self, moment: str) -> None:
        if moment in self._left:
            self._left.clear()
            self._damage()


class Trial:
    """A copy of the workspace that one seed damages.

    Args:
        base: what `prepare` made.
        folder: folder of the copy.
        truth: hash of the frames by render key in an undamaged store.
    """

    def __init__(self, base: Path, folder: Path, truth: Mapping[str, str]) -> None:
        self.base, self.folder, self.truth = base, folder, truth
        self.store = folder / "store"
        self.inputs = folder / "inputs"
        self.result = Result()
        shutil.copytree(base / "store", self.store)
        shutil.copytree(base / "inputs", self.inputs)

    def run(self, listener: Hook | None = None) -> str:
        """Run all jobs and check what is in the store afterwards; return the error that ended the run."""
        request = Request(str(self.store), str(self.base / "weights"), jobs=str(self.inputs / "jobs.jsonl"))
        request = replace(request, defaults={"preset": "sketch"})
        error = ""
        try:
            with use_listener(listener or Hook("", lambda: None)):
                animate_locally(request)
        except TroupeError as stopped:
            error = str(stopped)
        except Exception as crash:
            self.wrong(f"a run ended with {type(crash).__name__}: {crash}")
        return error

    def deliver(self, name: str) -> int:
        """Export all finished jobs of the last run; check every file against its row and the truth."""
        source, target = open_store(str(self.store)), self.folder / name
        try:
            rows = list_jobs(source)
            rows = rows.filter(pc.field("status").isin(WITH_VIDEO))
            deliver(source, rows, open_store(str(target)), "{run_id}/{job_id}.mp4")
        except TroupeError:
            return 0
        except Exception as crash:
            self.wrong(f"an export ended with {type(crash).__name__}: {crash}")
            return 0
        for row in rows.to_pylist():
            path = target / row["run_id"] / f"{row['job_id']}.mp4"
            if not path.exists():
                continue
            if file_sha256(path) != row["checksum"]:
                self.wrong(f"{name}: {path.name} of {row['run_id']} is not what its row says")
            elif self.truth.get(row["render_key"]) not in (None, pictures(path)):
                self.wrong(f"{name}: {path.name} of {row['run_id']} is a wrong picture")
            for suffix in ("vtt", "srt"):
                text = path.with_suffix(f".{suffix}")
                whole = self.base / "store" / "renders" / row["render_key"] / f"subtitles.{suffix}"
                if text.exists() and whole.exists() and text.read_bytes() != whole.read_bytes():
                    self.wrong(f"{name}: {text.name} of {row['run_id']} is not what was made")
        return len(list(target.rglob("*.mp4")))

    def check_renders(self) -> None:
        """Check that every record is that of an undamaged store, and every video that of its record."""
        for path in self.store.glob("renders/*/render.json"):
            record = json.loads(path.read_bytes())
            video = self.store / record["outputs"]["full"]
            if file_sha256(video) != record["checksum"]:
                self.wrong(f"the video of {path.parent.name} is not that of its record")
            elif self.truth.get(path.parent.name) not in (None, pictures(video)):
                self.wrong(f"the video of {path.parent.name} is a wrong picture")

    def wrong(self, text: str) -> None:
        """Note what is wrong."""
        self.result.wrong.append(text)


def prepare(folder: Path) -> dict[str, str]:
    """Make inputs, weights and a store with half of the jobs rendered; return the hash of frames by render key."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    init_weights(folder / "weights", 0, QUICK)
    for number in range(2):
        write_portrait(inputs / f"p{number}.png", 5 * number)
    write_clip(inputs / "c.mp4", frames=5, rate="25")
    (inputs / "c.srt").write_text("1\n00:00:00,000 --> 00:00:00,160\nHello\n")
    jobs = [
        {"job_id": f"p{number}-{seed}", "portrait": f"p{number}.png", "driving": "c.mp4", "seed": seed}
        | ({} if number else {"subtitles": "c.srt"})
        for seed in range(2)
        for number in range(2)
    ]
    truth: dict[str, str] = {}
    for name, count in (("store", 2), ("whole", 4)):
        (inputs / "jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs[:count]))
        request = Request(str(folder / name), str(folder / "weights"), jobs=str(inputs / "jobs.jsonl"))
        animate_locally(replace(request, defaults={"preset": "sketch"}))
        for row in list_jobs(open_store(str(folder / name))).to_pylist():
            found = pictures(Path(row["full_uri"]))
            assert truth.setdefault(row["render_key"], found) == found, "renders differ from run to run"
    shutil.rmtree(folder / "whole")
    assert len(truth) == 4
    return truth


def pictures(video: Path) -> str:
    """Return a hash of a video's frames; the file itself differs from run to run, because it names the run."""
    digest = hashlib.sha256()
    try:
        for frame in media.decode(video):
            digest.update(frame.tobytes())
    except TroupeError as error:
        return str(error)
    return digest.hexdigest()


def run_seed(base: Path, truth: Mapping[str, str], seed: int) -> Result:
    """Damage a copy of the store as the seed says; return what came of it."""
    choose = random.Random(seed)
    moment = MOMENTS[seed % len(MOMENTS)]
    with scratch_folder() as folder, _warnings() as said:
        trial = Trial(base, folder, truth)
        damaged: list[str] = []

        def damage() -> None:
            for _ in range(choose.choice((1, 1, 2, 3))):
                damaged.extend(_damage(trial, choose, moment, damaged))

        if moment == "before":
            damage()
        stopped = trial.run(Hook(moment, damage))
        if moment == "after":
            damage()
        trial.deliver("first")
        found = _repair(trial)
        text = "\n".join([*said, *found, stopped])
        for key in damaged:
            if key.startswith(WITH_DIGEST) and _unit(key) not in text and not _made_again(trial, key):
                trial.wrong(f"damage to {key} was not reported")
        shutil.rmtree(trial.inputs)
        shutil.copytree(base / "inputs", trial.inputs)
        if error := trial.run():
            trial.wrong(f"the last run ended with {error}")
        left = check_store(open_store(str(trial.store)), deep=True).problems
        for problem in left:
            if "request.parquet" in problem.what or "/audit/" in problem.what:
                trial.result.by_hand.append(problem.what)
            else:
                trial.wrong(f"still damaged: {problem.what}")
        trial.check_renders()
        if (count := trial.deliver("last")) < len(truth):
            trial.wrong(f"only {count} files were delivered at the end")
        return trial.result


def _damage(trial: Trial, choose: random.Random, moment: str, before: list[str]) -> Iterator[str]:
    """Damage one file of the store, or an input before a run is over; yield the keys of the damaged files."""
    stems = {Path(key).with_suffix("") for key in before}
    files = [path for path in sorted(trial.store.rglob("*")) if path.is_file()]
    if moment != "after":
        files += sorted(path for path in trial.inputs.iterdir() if path.suffix != ".jsonl") * 3
    files = [path for path in files if path.relative_to(trial.folder).with_suffix("") not in stems]
    path, kind = choose.choice(files), choose.choice(KINDS)
    data = path.read_bytes()
    if kind == "delete":
        path.unlink()
    elif kind == "truncate":
        path.write_bytes(data[: choose.randrange(max(1, len(data)))])
    elif kind == "exchange":
        others = [other for other in files if other != path and other.suffix == path.suffix] or [
            trial.base / "inputs/c.mp4"
        ]
        path.write_bytes(choose.choice(others).read_bytes())
    else:
        changed = bytearray(data)
        for _ in range(choose.choice((1, 3)) if changed else 0):
            changed[choose.randrange(len(changed))] ^= 1 << choose.randrange(8)
        path.write_bytes(changed)
    key = path.relative_to(trial.store).as_posix() if path.is_relative_to(trial.store) else f"inputs/{path.name}"
    trial.result.damage.append(f"{moment}: {kind} {key}")
    if not path.exists() or path.read_bytes() != data:
        yield key


def _repair(trial: Trial) -> list[str]:
    """Run the check with repair, and do what it says; return what it found."""
    store = open_store(str(trial.store))
    found = [*check_store(store, deep=True, repair=True).problems]
    for problem in found:
        if problem.remedy.startswith("move the folder catalog"):
            trial.result.by_hand.append(problem.what)
            shutil.rmtree(trial.store / "catalog")
            found += check_store(store, deep=True, repair=True).problems
            break
    return [problem.what for problem in found]


def _unit(key: str) -> str:
    """Return what a report has to name: a film or a picture as a whole, or a cached file."""
    return key.split("/")[-2] if _is_video(key) else key.rpartition("/")[2]


def _is_video(key: str) -> bool:
    return key.startswith(("renders/", "cache/pictures/"))


def _made_again(trial: Trial, key: str) -> bool:
    """Return whether nothing has to be said of damage: what was damaged counts as absent, and was made again if needed.

    A film or picture without its record is unfinished, a deleted file of the cache is a cache miss, and a cached file
    without its digest or thumbnail gets them anew.
    """
    if _is_video(key):
        record = f"{key.rpartition('/')[0]}/render.json"
        deleted = any(f"delete {record}" in done for done in trial.result.damage)
        return deleted and (key.startswith("cache/") or (trial.store / record).exists())
    deleted = any(f"delete {key}" in done for done in trial.result.damage)
    return deleted or key.endswith((".sha256", ".jpg")) or not (trial.store / key).exists()


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what is logged as a warning."""
    said: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler = Collect(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(handler)


def main() -> None:
    """Run all seeds and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", default="0-29", help="first and last seed")
    first, _, last = options.parse_args().seeds.partition("-")
    counts: Counter[str] = Counter()
    with scratch_folder() as base:
        truth = prepare(base / "base")
        for seed in range(int(first), int(last or first) + 1):
            result = run_seed(base / "base", truth, seed)
            counts.update("wrong" for _ in result.wrong)
            counts.update("damaged" for _ in result.damage)
            counts.update("by hand" for _ in result.by_hand)
            print(f"seed {seed}: {'; '.join(result.damage)}", flush=True)
            for text in result.by_hand:
                print(f"  by hand: {text}")
            for text in result.wrong:
                print(f"  WRONG: {text}", flush=True)
    print(f"{counts['damaged']} files damaged, {counts['by hand']} repaired by hand, {counts['wrong']} wrong")
    sys.exit(bool(counts["wrong"]))


if __name__ == "__main__":
    main()
