"""The command line: help without heavy imports, errors without tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli import app
from troupe import __version__
from troupe.errors import BadJob, Cancelled, StoreError, TroupeError

HEAVY = ("torch", "ray", "prefect", "diffusers", "onnxruntime", "pyarrow", "duckdb", "huggingface_hub")
HELP_OF_ALL = f"""
import sys
from typer.main import get_command
from typer.testing import CliRunner
from flows.cli import app

def walk(command, words):
    yield words
    for name, child in getattr(command, "commands", {{}}).items():
        yield from walk(child, [*words, name])

for words in walk(get_command(app), []):
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, (words, result.output)
    print(" ".join(words))
loaded = sorted(set(sys.modules) & set({HEAVY!r}))
assert not loaded, loaded
"""


def troupe(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a subprocess."""
    root = Path(__file__).parents[3]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from flows.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=cwd, check=False)


def test_help_imports_nothing_heavy() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", HELP_OF_ALL], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    commands = done.stdout.splitlines()
    assert {"run", "doctor", "catalog ls", "weights pull", "weights check", "weights convert"} <= set(commands)


@pytest.mark.parametrize(("typed", "offered"), [("troupe cat", "catalog"), ("troupe run --pres", "--preset")])
def test_shells_complete_commands_and_options(typed: str, offered: str) -> None:
    wanted = {"_TROUPE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    assert CliRunner().invoke(app, [], env=wanted, prog_name="troupe").output.split() == [offered]


WRONG_REQUESTS = f"""
import sys
from typer.testing import CliRunner
from flows.cli import app

for words in (
    ["run", "nothing.csv"],
    ["run", "--portraits", "nothing", "--drivings", "nothing", "--weights", "nothing"],
    ["run", "jobs.csv", "--weights", "nothing", "--device", "gpu", "--max", "beauty=1"],
    ["plan", "nothing.csv"],
    ["plan", "jobs.csv", "--weights", "nothing"],
    ["evaluate", "--drivings", "nothing", "--preset", "scetch", "--device", "gpu", "--lpips", "no.pt"],
    ["train", "nothing.toml"],
    ["train", "training.toml", "--device", "gpu", "--part", "ears"],
    ["train", "training.toml", "--device", "gpu", "--workers", "3"],
):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, (words, result.output, result.exception)
    print(result.stderr)
loaded = sorted(set(sys.modules) & ({set(HEAVY)!r} - {{"pyarrow"}}))
assert not loaded, loaded
"""


def test_wrong_requests_are_refused_before_heavy_imports(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("portrait,driving\na.png,b.mp4\n")
    (tmp_path / "training.toml").write_text('weights = "w"\nbase = "nowhere"\n[vae]\nsteps = 1\n')
    path = {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", WRONG_REQUESTS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env=os.environ | path,
    )
    assert done.returncode == 0, done.stderr
    for expected in ("the weights directory", "unknown preset 'scetch'", "no.pt", "base: nowhere", "by 3 workers"):
        assert expected in done.stdout


def test_help_of_every_command_has_examples() -> None:
    def leaves(command: object, words: list[str]) -> list[list[str]]:
        children = getattr(command, "commands", {})
        return [leaf for name, child in children.items() for leaf in leaves(child, [*words, name])] or [words]

    for words in leaves(get_command(app), []):
        text = CliRunner().invoke(app, [*words, "--help"]).output
        assert "Examples:" in text, words
        assert f"troupe {' '.join(words)}" in text.split("Examples:")[1], words


def test_version(tmp_path: Path) -> None:
    done = troupe("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"troupe {__version__}\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("the bucket is gone; look for it"), 2),
        (BadJob("2 rows are wrong", ["row 1: no portrait", "row 7: no driving"]), 2),
        (Cancelled("stopped"), 130),
    ],
)
def test_errors_are_one_message_and_a_code(error: TroupeError, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("tasks.doctor.examine", fail)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == code
    assert result.stdout == ""
    # To be stopped is what the user asked for.
    assert result.stderr == (f"{error}\n" if isinstance(error, Cancelled) else f"error: {error}\n")


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.doctor.examine", stop)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 130
    assert result.stdout == ""


def test_unexpected_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tasks.doctor.examine", fail)
    assert isinstance(CliRunner().invoke(app, ["doctor"]).exception, ZeroDivisionError)


def test_error_in_a_real_process_has_no_traceback(tmp_path: Path) -> None:
    done = troupe("weights", "check", "nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: nothing is not a directory")
    assert "Traceback" not in done.stderr


def test_unknown_command_and_option() -> None:
    assert CliRunner().invoke(app, ["weihgts"]).exit_code == 2
    assert CliRunner().invoke(app, ["doctor", "--nothing"]).exit_code == 2


@pytest.mark.parametrize(("own", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_passively_unless_the_user_wants_otherwise(own: dict[str, str], expected: str) -> None:
    """OpenMP reads the variable when torch is imported: a command sets it before."""
    text = """
import os, sys
from flows import cli
cli.app = lambda **_: print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules)
cli.main()
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | own
    ran = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True)
    assert ran.stdout.split() == [expected, "False"]
