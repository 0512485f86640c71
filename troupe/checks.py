"""Checks before expensive work, whose problems are reported together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from troupe.errors import SettingsError, TroupeError

__all__ = ["check_all"]


def check_all(
    checks: Iterable[Callable[[], object]],
    then: Callable[[], object] = lambda: None,
    otherwise: Callable[[Sequence[str]], Iterable[str]] = lambda _: (),
) -> None:
    """Call all the checks, which raise where they find problems, and `then` if there are none.

    Args:
        otherwise: returns further problems, given those that were found; called only if there are some.

    Raises:
        TroupeError: the only problem.
        SettingsError: several problems.
    """
    problems = [problem for check in checks if (problem := _problem(check)) is not None]
    lines = (line for problem in problems for line in getattr(problem, "problems", ()) or [str(problem)])
    messages = list(dict.fromkeys(lines))
    found = len(messages)
    if messages:
        messages += otherwise(messages)
    if (len(problems) == 1 and len(messages) == found) or len(messages) == 1:
        raise problems[0]
    if messages:
        raise SettingsError(f"the request has {len(messages)} problems:", messages)
    then()


def _problem(check: Callable[[], object]) -> TroupeError | None:
    try:
        check()
    except TroupeError as error:
        return error
    return None
