"""A look into the files of a request that has other problems, so that all of them are reported together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from troupe.errors import InputError

if TYPE_CHECKING:
    from tasks.media.sandbox import Sandbox

__all__ = ["FileProblems"]

_MOST_FILES = 200
"""Files that are looked into, each of which takes a moment; planning reads those of valid requests, all of them."""


class FileProblems:
    """Finds why portraits, clips, sounds and subtitles cannot be used; a context manager."""

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._left = _MOST_FILES

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def __call__(self, column: str, path: Path, cells: Mapping[str, Any]) -> str | None:
        """Return why a file cannot be used; None if it can be, or is of another kind.

        Args:
            column: column of the jobs file that names it.
            cells: values of its row.
        """
        if self._left == 0 or not path.is_file():
            return None
        self._left -= 1
        # Imported late: most requests are valid.
        from tasks import media
        from tasks.media.sound import sound_traits
        from tasks.media.subtitles import read_subtitles
        from tasks.run.inputs.traits import portrait_traits

        try:
            if column == "portrait":
                portrait_traits(self._sandbox, path)
            elif column == "driving":
                self._sandbox(media.read_length, path)
            elif column == "subtitles":
                read_subtitles(path, cells.get("subtitles_language") or cells.get("language") or "")
            elif column == "audio" and not self._sandbox(sound_traits, path)["seconds"]:
                return f"{path.name} has no sound; name another file, or `none`"
        except InputError as error:
            return error.message
        return None

    @cached_property
    def _sandbox(self) -> Sandbox:
        from tasks.media.sandbox import Sandbox

        return self._resources.enter_context(Sandbox())
