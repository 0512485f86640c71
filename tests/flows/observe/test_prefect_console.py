"""Prefect's log lines on troupe's terminal."""

from __future__ import annotations

import io
import logging
from logging.config import dictConfig

import pytest
from rich.console import Console
from rich.progress import Progress

from flows.observe.prefect_console import ConsoleHandler, use_console_handler


def test_prefect_uses_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.logging.configuration import DEFAULT_LOGGING_SETTINGS_PATH, load_logging_config

    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS", "")
    monkeypatch.delenv("PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS")
    use_console_handler()
    console = load_logging_config(DEFAULT_LOGGING_SETTINGS_PATH)["handlers"]["console"]
    assert console["class"] == "flows.observe.prefect_console.ConsoleHandler"
    logger = {"handlers": ["console"], "propagate": False}
    formatters = {console["formatter"]: {"format": "%(message)s"}}
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": formatters,
            "handlers": {"console": console},
            "loggers": {"test.console": logger},
        }
    )
    assert isinstance(logging.getLogger("test.console").handlers[0], ConsoleHandler)


def test_lines_are_written_above_a_bar_that_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    handler = ConsoleHandler()
    with Progress(console=Console(stderr=True, force_terminal=True, width=60, color_system=None)) as bar:
        bar.add_task("animating")
        bar.refresh()
        handler.handle(logging.makeLogRecord({"name": "tasks.pool", "msg": "a worker died"}))
        handler.handle(logging.makeLogRecord({"name": "prefect.flow_runs", "msg": "Crash detected!"}))
        for text in ("Still processing items: 3 items remaining...", "queue is full, dropping item"):
            handler.handle(logging.makeLogRecord({"name": "EventsWorker", "msg": text}))
        bar.refresh()
    (line,) = [line for line in file.getvalue().split("\n") if "a worker died" in line]
    assert line.endswith("a worker died")
    assert line.rpartition("\r")[2].replace("\x1b[2K", "") == "a worker died"
    assert "Crash" not in file.getvalue()
    assert "Still processing" not in file.getvalue()
    assert "dropping item" in file.getvalue()
