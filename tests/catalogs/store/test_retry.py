"""catalogs.store.retry: which errors are retried."""

from __future__ import annotations

import errno

import pytest

from catalogs.store.retry import is_transient, retry_call


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("catalogs.store.retry.time.sleep", taken.append)
    return taken


def test_transient_errors_are_retried(pauses: list[float]) -> None:
    answers: list[Exception | str] = [ConnectionResetError("gone"), TimeoutError(), "here"]

    def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retry_call(call) == "here"
    first, second = pauses
    assert 0.125 <= first <= 0.375
    assert 0.25 <= second <= 0.75


def test_three_attempts_at_most(pauses: list[float]) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        raise ConnectionResetError(f"call {calls}")

    with pytest.raises(ConnectionResetError, match="call 3"):
        retry_call(call)
    assert len(pauses) == 2


def test_permanent_errors_are_raised_at_once(pauses: list[float]) -> None:
    with pytest.raises(FileNotFoundError):
        retry_call(lambda: (_ for _ in ()).throw(FileNotFoundError("x")))
    assert pauses == []


class NoCredentialsError(Exception):
    """Named as botocore's."""


class EndpointConnectionError(Exception):
    """Named as botocore's."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EBUSY, "busy"), True),
        (OSError(errno.EIO, "input/output"), True),
        (OSError("Generic S3 error"), True),
        (TimeoutError(), True),
        (BrokenPipeError(), True),
        (EndpointConnectionError(), True),
        (OSError(errno.ENOSPC, "full"), False),
        (OSError(errno.EROFS, "read-only"), False),
        (PermissionError(), False),
        (NotADirectoryError(), False),
        (ValueError(), False),
        (NoCredentialsError(), False),
    ],
)
def test_is_transient(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected
