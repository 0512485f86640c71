"""Every command on a terminal: `python -m tests.faults.terminal` does more of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.ground import Ground, prepare, server
from tests.faults.terminal import EVENTS, Command, Trial, commands

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One portrait, one clip, and a Prefect server."""
    ground = prepare(tmp_path_factory.mktemp("t") / "g", portraits=1, clips=1)
    with server(ground):
        yield ground


@pytest.fixture(scope="module")
def known(ground: Ground) -> Iterator[Mapping[str, Command]]:
    """The commands."""
    with commands(ground) as known:
        yield known


@pytest.mark.parametrize(
    ("name", "event", "stage"),
    [
        *(("run", "ctrl-c", stage) for stage in ("prefect", "ray", "encode", "animate")),
        ("run", "closed", "animate"),
        ("demo", "ctrl-c", "draw"),
        ("demo", "ctrl-c", "ray"),
        ("plan", "&", "read"),
        ("plan", "ctrl-c", "read"),
        ("evaluate", "&", "animate"),
        ("evaluate", "ctrl-c", "ray"),
        ("train", "&", "steps"),
        *(("train", "ctrl-c", stage) for stage in ("prefect", "clips", "steps")),
        ("train", "closed", "steps"),
        ("train --local", "ctrl-c", "steps"),
        ("train --workers 2", "ctrl-c", "steps"),
        ("weights pull", "&", "fetch"),
        *(("weights pull", "ctrl-c", stage) for stage in ("ask", "fetch")),
        ("weights pull", "closed", "fetch"),
    ],
)
def test_a_command_on_a_terminal(
    ground: Ground, known: Mapping[str, Command], tmp_path: Path, name: str, event: str, stage: str
) -> None:
    EVENTS[event](Trial(ground, known[name], tmp_path / "t"), stage)


def test_a_run_with_a_server_of_its_own(
    ground: Ground, known: Mapping[str, Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ground.variables, "PREFECT_API_URL")
    EVENTS["&"](Trial(ground, known["run"], tmp_path / "t"), "animate")
