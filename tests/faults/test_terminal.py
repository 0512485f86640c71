"""Commands on a terminal; `python -m tests.faults.terminal` runs more of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.harness.workspace import Workspace, prepare, server
from tests.faults.office import hostile_names
from tests.faults.terminal import EVENTS, Command, Trial, commands

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    """Create a workspace with one portrait and one clip, and run a Prefect server.

    Commands run in a folder with modules of the user that have the names of packages.
    """
    # Not pytest's folder: Ray's sockets are in the folder for temporary files, and their paths must be short.
    with TemporaryDirectory(prefix="t") as folder:
        workspace = prepare(Path(folder) / "g", portraits=1, clips=1)
        hostile_names(workspace.folder, workspace.folder)
        with server(workspace):
            yield workspace


@pytest.fixture(scope="module")
def known(workspace: Workspace) -> Iterator[Mapping[str, Command]]:
    """The commands."""
    with commands(workspace) as known:
        yield known


@pytest.mark.parametrize(
    ("name", "event", "stage"),
    [
        *(("run", "ctrl-c", stage) for stage in ("prefect", "ray", "encode", "animate")),
        ("run", "ctrl-c twice", "encode"),
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
    workspace: Workspace, known: Mapping[str, Command], tmp_path: Path, name: str, event: str, stage: str
) -> None:
    EVENTS[event](Trial(workspace, known[name], tmp_path / "t"), stage)


def test_a_run_with_a_server_of_its_own(
    workspace: Workspace, known: Mapping[str, Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(workspace.variables, "PREFECT_API_URL")
    EVENTS["&"](Trial(workspace, known["run"], tmp_path / "t"), "animate")
