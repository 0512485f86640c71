"""The page about Python, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from catalogs.store.store import open_store
from tasks.api.options import OPTIONS
from tasks.demo import prepare_demo
from tasks.media import probe
from tests.catalogs.conftest import record, row

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()


@pytest.mark.long
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_demo(Path("demo"))
    record(open_store("demo/store"), "r1", [row("r1", "ruby__hello", identity="Ruby", quality_identity=0.5)])
    variables: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), variables)
    assert {path.name: probe(path).frames for path in sorted(Path().glob("*.mp4"))} == {
        "again.mp4": 5,
        "olive.mp4": 6,
        "ruby.mp4": 5,
    }
    assert (probe(Path("ruby.mp4")).audio, probe(Path("again.mp4")).audio) == (True, False)
    printed = capsys.readouterr().out
    for part in (
        "5 frames, 25 per second\n0.00 s (320, 256, 3)\n0.04 s",
        "olive.mp4: tracking 1",
        "the request has 4 problems:\n  option 'presett' is unknown; did you mean 'preset'?\n  call: fps is 'x'; use 1",
        "nowhere.mp4 does not exist",
        "ruby.avi does not end in .mp4",
        "no_face no face found in",
        "miniature's detector supports drawn people only",
        "[{'job_id': 'ruby__hello', 'full_uri': ",
        "[{'identity': 'Ruby', 'avg(quality_identity)': 0.5}]\n1\n",
    ):
        assert part in printed


def test_the_page_names_all_options() -> None:
    (cell,) = re.findall(r"^\| others \| (.*) \|$", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", cell.replace("(`full` or `crop`)", "")) == list(OPTIONS)
