"""Every long-running command, as a user runs it: in a shell with job control on a terminal.

To its end, in the background (`&`), with Ctrl-C in every stage, with Ctrl-Z and `fg`, and with the terminal closed.
Prints for each trial the seconds from the key to the end, and what went wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from flows.observe.job_control import STOPPING
from tasks.weights.download import PARTIAL
from tests.faults.harness.shell import CTRL_C, CTRL_Z, PROMPT, Shell
from tests.faults.harness.workspace import TROUPE, Workspace, prepare, server, wait_until
from tests.tasks.weights.hub_server import TOKEN, hub_server, release

__all__ = ["EVENTS", "Command", "Trial", "commands"]

END_SECONDS = 300.0
STOP_SECONDS = 8.0
"""From Ctrl-C, or from the closed terminal, to the end of the last process."""
ACKNOWLEDGE_SECONDS = 2.0
"""From Ctrl-C to a line that says so, unless the command ends earlier."""
SUSPENDED_SECONDS = 6.0
"""Longer than any pause that the pool takes by itself."""

TRAINING = """
weights = "{folder}/trained"
base = "{weights}"
[clips]
source = "world"
count = 2
frames = 25
sittings = 2
[denoiser]
steps = 20
batch = 2
loaders = {loaders}
[denoiser.options]
frames = 2
"""

Stage = Callable[[Shell, Path], bool]
"""Returns whether a command has reached a stage, by its output and the files in the trial's folder."""


def shows_text(text: str) -> Stage:
    """Return a stage that is reached when the terminal shows the text."""
    return lambda shell, _: text in shell.text


def running(shell: Shell, _: Path) -> bool:
    """Whether the shell has started it, and Python is up."""
    children = psutil.Process(shell.pid).children()
    return any(time.time() - child.create_time() > 1 for child in children)


def file_exists(pattern: str) -> Stage:
    """Return a stage that is reached when a file matches the pattern."""
    return lambda _, folder: any(folder.glob(pattern))


@dataclass(frozen=True)
class Command:
    """A command and its stages.

    Attributes:
        words: its command line, for the folder of a trial.
        stages: its stages in their order.
        answer: keys typed when it asks a question.
        variables: its environment, beside the ground's.
    """

    words: Callable[[Path], Sequence[str]]
    stages: Mapping[str, Stage]
    answer: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def commands(workspace: Workspace) -> Iterator[dict[str, Command]]:
    """Yield the long-running commands by name."""
    cast, weights = workspace.request.parent, str(workspace.weights)
    jobs = (str(workspace.request), "--weights", weights)
    clips = ("--drivings", str(cast), "--limit", "1", "--preset", "draft", "--weights", weights)

    def training(folder: Path, *more: str, loaders: int = 0) -> list[str]:
        (folder / "training.toml").write_text(TRAINING.format(folder=folder, weights=weights, loaders=loaders))
        return ["train", str(folder / "training.toml"), *more]

    engine = {"prefect": shows_text("loading Prefect"), "ray": shows_text("preparing")}
    steps = {
        "clips": file_exists("trained.training/clips-*"),
        "steps": file_exists("trained.training/denoiser/curve.jsonl"),
    }
    run = {**engine, "encode": file_exists("store/cache/appearance"), "animate": file_exists("store/cache/motion")}
    with hub_server(release(1_500_000)) as hub:
        hub.pause = 0.02
        pull = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN}
        yield {
            "run": Command(lambda folder: ["run", *jobs, "--store", f"{folder}/store"], run),
            "run --local": Command(
                lambda folder: ["run", *jobs, "--store", f"{folder}/store", "--local"],
                {name: run[name] for name in ("encode", "animate")},
            ),
            "demo": Command(
                lambda folder: ["demo", f"{folder}/."],
                {"draw": file_exists("portraits"), **engine, "encode": run["encode"]},
            ),
            "plan": Command(lambda folder: ["plan", *jobs, "--store", f"{folder}/store"], {"read": running}),
            "evaluate": Command(lambda folder: ["evaluate", *clips, "--store", f"{folder}/store"], run),
            "train": Command(training, {"prefect": running, **steps}),
            "train --local": Command(lambda folder: training(folder, "--local", loaders=1), steps),
            "train --workers 2": Command(lambda folder: training(folder, "--workers", "2"), steps),
            "weights pull": Command(
                lambda folder: ["weights", "pull", f"{folder}/pulled"],
                {"ask": shows_text("Do you accept"), "fetch": file_exists(f"pulled/{PARTIAL}/*")},
                answer="y\n",
                variables=pull,
            ),
        }


@dataclass
class Trial:
    """A command in its own shell, in a new folder."""

    workspace: Workspace
    command: Command
    folder: Path

    @contextmanager
    def shell(self) -> Iterator[Shell]:
        """The shell; afterwards no process is left, and there was no traceback."""
        others = {process.pid for process in self.workspace.processes()}
        with Shell(self.workspace.folder, self.workspace.environment() | self.command.variables) as shell:
            try:
                yield shell
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self._processes(others)}\n{last_output(shell)}") from None
            assert "Traceback" not in shell.text, last_output(shell)
            shell.close()
            gone = wait_until(lambda: self._processes(others | {shell.pid}) == "", STOP_SECONDS)
            assert gone, f"left: {self._processes(others | {shell.pid})}\n{last_output(shell)}"

    def _processes(self, others: set[int]) -> str:
        lines = []
        for process in self.workspace.processes():
            with suppress(psutil.Error):
                if process.pid not in others:
                    lines.append(f"{process.pid} {process.status()} {' '.join(process.cmdline())[:100]}")
        return "\n".join(lines)

    def type(self, shell: Shell, after: str = "") -> None:
        """Type its command line."""
        self.folder.mkdir()
        shell.run(*TROUPE, *self.command.words(self.folder), after=after)

    def wait_for(self, shell: Shell, stage: str) -> None:
        """Wait until it has reached the stage; questions before are answered."""
        for name, reached in self.command.stages.items():
            arrived = wait_until(lambda reached=reached: reached(shell, self.folder), 120)  # type: ignore[misc]
            assert arrived, f"did not reach {name}"
            if name == stage:
                return
            if name == "ask":
                shell.press(self.command.answer)


def to_its_end(trial: Trial, stage: str) -> None:
    """In the foreground, left alone."""
    with trial.shell() as shell:
        trial.type(shell)
        trial.wait_for(shell, stage)
        ends_well(shell)


def in_the_background(trial: Trial, stage: str) -> None:
    """With `&`, then `fg`, Ctrl-Z, `bg`, `fg`, and to its end; what it asks stops it until the first `fg`."""
    with trial.shell() as shell:
        trial.type(shell, "&")
        if trial.command.answer:
            trial.wait_for(shell, "ask")
            shell.press("\n")
            assert wait_until(lambda: stopped(shell), 10), "it does not wait to be asked in the foreground"
        else:
            assert usable(shell), "the shell cannot be used"
            trial.wait_for(shell, stage)
        shell.press("fg\n")
        time.sleep(0.5)
        if trial.command.answer:
            shell.press(trial.command.answer)
            trial.wait_for(shell, stage)
        suspend(shell)
        shell.press("bg\n")
        assert usable(shell), "the shell cannot be used"
        shell.press("fg\n")
        ends_well(shell)


def interrupted(trial: Trial, stage: str) -> float:
    """Ctrl-C."""
    with trial.shell() as shell:
        trial.type(shell)
        trial.wait_for(shell, stage)
        time.sleep(0.5)
        started = time.monotonic()
        shell.press(CTRL_C)
        code = shell.exit_code(60)
        seconds = time.monotonic() - started
        assert code == 130, f"exit code {code}"
        assert seconds < STOP_SECONDS, f"{seconds:.1f} s"
        assert seconds < ACKNOWLEDGE_SECONDS or STOPPING in shell.text, "Ctrl-C is not acknowledged"
        assert "error:" not in shell.text, "an error, where the user asked for it"
        assert shell.cursor_visible, "the cursor is hidden"
    return seconds


def interrupted_twice(trial: Trial, stage: str) -> float:
    """Ctrl-C, and again before it has ended."""
    with trial.shell() as shell:
        trial.type(shell)
        trial.wait_for(shell, stage)
        time.sleep(0.5)
        since = time.monotonic()
        shell.press(CTRL_C)
        time.sleep(0.5)
        shell.press(CTRL_C)
        code = shell.exit_code(60)
        seconds = time.monotonic() - since
        assert code == 130, f"exit code {code}"
        assert shell.cursor_visible, "the cursor is hidden"
        for alarm in ("Crash", "Error logging", "error:"):
            assert alarm not in shell.text, f"it says {alarm}"
        records = list((trial.folder / "store").glob("runs/*/run.json"))
        assert all(json.loads(record.read_text())["state"] == "cancelled" for record in records), "not cancelled"
    return seconds


def suspended(trial: Trial, stage: str) -> None:
    """Ctrl-Z, some seconds at the prompt, `fg`, and to its end."""
    with trial.shell() as shell:
        trial.type(shell)
        trial.wait_for(shell, stage)
        suspend(shell)
        shell.press("fg\n")
        ends_well(shell)


def closed(trial: Trial, stage: str) -> float:
    """Close the terminal; `shell` checks that no process is left."""
    with trial.shell() as shell:
        trial.type(shell)
        trial.wait_for(shell, stage)
        started = time.monotonic()
    return time.monotonic() - started


def ends_well(shell: Shell) -> None:
    """Check that it succeeds and leaves the terminal as it was."""
    code = shell.exit_code(END_SECONDS)
    assert code == 0, f"exit code {code}"
    assert shell.cursor_visible, "the cursor is hidden"


def suspend(shell: Shell) -> None:
    """Ctrl-Z, and some seconds at the prompt."""
    shell.press(CTRL_Z)
    assert wait_until(lambda: stopped(shell), 5), "it is not stopped"
    assert shell.cursor_visible, "the cursor is hidden at the prompt"
    time.sleep(SUSPENDED_SECONDS)


def usable(shell: Shell) -> bool:
    """Whether the shell answers, and shows what is typed."""
    shell.asked += 1
    shell.press(f"echo $((6*7)).{shell.asked}\n")
    return shell.shows(f"42.{shell.asked}", 5)


def last_output(shell: Shell) -> str:
    """Return the end of the terminal's output, without progress bars."""
    return "\n".join(line for line in shell.text.splitlines() if "\u2501" not in line)[-5000:]


def stopped(shell: Shell) -> bool:
    """Whether the shell reports that its job is stopped, and shows its prompt."""
    _, stopped, then = shell.raw[shell.typed :].rpartition("Stopped")
    return bool(stopped) and PROMPT in then


EVENTS: dict[str, Callable[[Trial, str], float | None]] = {
    "end": to_its_end,
    "&": in_the_background,
    "ctrl-c": interrupted,
    "ctrl-c twice": interrupted_twice,
    "ctrl-z": suspended,
    "closed": closed,
}


def trials(command: Command, events: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Event and stage of each: the first two without a stage, Ctrl-C in every stage, the others in the last."""
    last = list(command.stages)[-1]
    for event in events:
        yield from ((event, stage) for stage in (command.stages if event.startswith("ctrl-c") else (last,)))


def main() -> None:
    """Run the trials; the exit code is 1 if one fails."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--commands", nargs="+")
    parser.add_argument("--events", nargs="+", choices=list(EVENTS), default=list(EVENTS))
    chosen = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        workspace = prepare(Path(folder) / "g", portraits=1, clips=1)
        with server(workspace), commands(workspace) as all_of_them:
            for name in chosen.commands or all_of_them:
                for event, stage in trials(all_of_them[name], chosen.events):
                    trial = Trial(workspace, all_of_them[name], Path(tempfile.mkdtemp(dir=folder)) / "t")
                    started = time.monotonic()
                    try:
                        seconds = EVENTS[event](trial, stage)
                    except AssertionError as error:
                        wrong += 1
                        print(f"FAILED {name}, {event} in {stage}: {error}", flush=True)
                        continue
                    ended = f"ended after {seconds:.1f} s" if seconds is not None else ""
                    print(f"{name:18} {event:7} {stage:8} {time.monotonic() - started:5.1f} s {ended}", flush=True)
    print(f"{wrong} failed", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
