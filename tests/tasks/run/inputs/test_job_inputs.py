"""What is wrong with the inputs of jobs is known when they are planned, and never guessed from headers alone."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions
from catalogs.store.store import open_store
from models.miniature.init_weights import init_weights
from tasks.run.inputs.model import Model
from tasks.run.planning import PlannedJob, plan_jobs
from tasks.run.policy import RunPolicy
from tests.clips import make, make_clip, numbered
from tests.small import SMALL
from troupe import Job

START = "has no frame from {start:g} s until {until}: it lasts {seconds:.3f} s; change start and end"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights, the portrait `p.png`, and `c.mp4`, which lasts 0.4 s."""
    folder = tmp_path_factory.mktemp("inputs")
    init_weights(folder / "weights", 0, SMALL)
    Image.new("RGB", (64, 64)).save(folder / "p.png")
    make_clip(folder / "c.mp4", numbered(10))
    return folder


def planned(folder: Path, jobs: list[Job]) -> dict[str, PlannedJob]:
    model = Model(folder / "weights", folder / "weights" / "detector.onnx", "float32")
    plan = plan_jobs("", jobs, open_store(f"{folder}/store"), model, RunPolicy())
    return {each.job.job_id: each for each in plan.jobs}


def test_a_start_behind_the_end_of_the_clip_is_refused_and_an_end_is_noted(folder: Path) -> None:
    def job(job_id: str, start: float = 0.0, end: float | None = None, driving: str = "c.mp4") -> Job:
        return Job(job_id, f"{folder}/p.png", f"{folder}/{driving}", start=start, end=end)

    jobs = [job("start", 5.0), job("both", 5.0, 6.0), job("border", 0.4), job("last", 0.36)]
    jobs += [job("end", end=99.0), job("exact", end=0.4), job("inside", 0.1, 0.3)]
    jobs += [job("picture", end=2.0, driving="p.png")]
    found = planned(folder, jobs)
    errors = {job_id: str(each.error) for job_id, each in found.items() if each.error is not None}
    assert errors == {
        "start": f"c.mp4 {START.format(start=5.0, until='its end', seconds=0.4)}",
        "both": f"c.mp4 {START.format(start=5.0, until='6 s', seconds=0.4)}",
    }
    notes = {job_id: note for job_id, each in found.items() for note in each.notes if note.startswith("end")}
    assert notes == {"end": "end: the clip ends at 0.40 s, before 99 s"}


def test_only_what_is_certain_is_refused(folder: Path) -> None:
    """Headers of a fragmented file count the first fragment, and times of joined recordings start again."""
    arguments = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=4", "-g", "25")
    make(folder / "fragments.mp4", *arguments, "-movflags", "frag_keyframe")
    make(folder / "once.ts", *arguments)
    (folder / "twice.ts").write_bytes((folder / "once.ts").read_bytes() * 2)
    (folder / "pictures").mkdir()
    for number in range(10):
        Image.new("RGB", (64, 64)).save(folder / "pictures" / f"{number}.png")
    starts = {"fragments.mp4": 3.5, "once.ts": 3.5, "twice.ts": 7.0}
    jobs = [Job(name, f"{folder}/p.png", f"{folder}/{name}", start=start, end=9.0) for name, start in starts.items()]
    jobs.append(Job("pictures", f"{folder}/p.png", f"{folder}/pictures", start=3.0, fps=Fraction(1)))
    found = planned(folder, jobs)
    assert {job_id: each.error for job_id, each in found.items()} == dict.fromkeys(found)
    notes = {job_id: [note for note in each.notes if note.startswith("end")] for job_id, each in found.items()}
    assert notes["twice.ts"] == notes["pictures"] == []
    assert notes["fragments.mp4"] == notes["once.ts"] == ["end: the clip ends at 4.00 s, before 9 s"]


def test_jobs_that_their_permission_does_not_cover_are_marked(folder: Path) -> None:
    add_permissions(
        open_store(f"{folder}/store"),
        [Permission("R-1", "Ada"), Permission("R-2", "Ada", valid_until=date(2020, 1, 1))],
    )
    files = f"{folder}/p.png", f"{folder}/c.mp4"
    jobs = [
        Job(f"job{reference}", *files, identity="Ada", consent=reference) for reference in ("", "R-1", "R-2", "R-3")
    ]
    found = planned(folder, [*jobs, Job("failed", *files, identity="Ada", consent="R-2", start=9.0)])
    assert [name for name, each in found.items() if each.uncovered] == ["jobR-2", "jobR-3"]
    assert "consent: R-3 is not in the register; did you mean R-2 or R-1?" in found["jobR-3"].notes
