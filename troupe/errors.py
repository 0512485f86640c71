"""Everything that can go wrong, as one tree.

A message says what happened, where (job, URI, frame) and what to do about it; `kind` is the short name
that the catalog's `error_kind` column carries.

    TroupeError
     ├─ InputError           what the user gave cannot be used; retrying does not help
     │   ├─ BadJob           a row, or several, of the jobs file
     │   ├─ MissingInput     a URI that points at nothing
     │   ├─ UnreadableMedia  not a picture or clip that can be decoded
     │   ├─ NoFace           no face where one is needed
     │   ├─ Withdrawn        the person shown does not want it any more
     │   └─ TooLarge         over a stated limit
     ├─ QualityError         a render that is not as good as was asked for
     ├─ SettingsError        a setting, option or combination of them
     ├─ WeightsError         the weights directory is incomplete or wrong
     ├─ FfmpegError          ffmpeg is not there, or failed through no fault of its input
     ├─ StoreError           the store did not do what it was asked; retrying may help
     │   └─ NoSpace          no room left, in the store or in the folder for temporary files
     ├─ WorkerLost           a worker process died
     ├─ Overdue              it took far longer than it should
     ├─ OutOfMemory          the device's memory did not suffice
     └─ Cancelled            somebody asked to stop
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BadJob",
    "Cancelled",
    "FfmpegError",
    "InputError",
    "MissingInput",
    "NoFace",
    "NoSpace",
    "OutOfMemory",
    "Overdue",
    "QualityError",
    "SettingsError",
    "StoreError",
    "TooLarge",
    "TroupeError",
    "UnreadableMedia",
    "WeightsError",
    "Withdrawn",
    "WorkerLost",
]


class TroupeError(Exception):
    """The root: catch this to catch everything troupe raises on purpose."""

    kind = "error"

    @property
    def message(self) -> str:
        """The text without the class name."""
        return str(self.args[0]) if self.args else self.kind


class _Listing(TroupeError):
    """An error that may hold several problems, all reported at once."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        # Both go into args, so that the error survives pickling between processes.
        super().__init__(message, tuple(problems))

    @property
    def problems(self) -> tuple[str, ...]:
        """One line each; empty where the message says it all."""
        return tuple(self.args[1])

    def __str__(self) -> str:
        return "\n  ".join((self.message, *self.problems))


class InputError(TroupeError):
    """What the user gave cannot be used."""

    kind = "input"


class BadJob(InputError, _Listing):
    """One or more rows of the request are wrong; `problems` names every one with its row number."""

    kind = "bad_job"


class MissingInput(InputError):
    """A URI points at nothing, or may not be read."""

    kind = "missing_input"


class UnreadableMedia(InputError):
    """Bytes that are no picture or clip that can be decoded."""

    kind = "unreadable_media"


class NoFace(InputError):
    """No face was found where one is needed."""

    kind = "no_face"


class Withdrawn(InputError):
    """The person shown withdrew the consent."""

    kind = "withdrawn"


class TooLarge(InputError):
    """More pixels, frames, seconds or bytes than the stated limit."""

    kind = "too_large"


class QualityError(TroupeError):
    """A render that misses a threshold the run was given."""

    kind = "quality"


class SettingsError(TroupeError, ValueError):
    """A setting that has no meaning, or not together with another one."""

    kind = "settings"


class WeightsError(_Listing):
    """The weights directory is incomplete or wrong; `problems` lists every file and tensor concerned."""

    kind = "weights"


class FfmpegError(TroupeError):
    """ffmpeg is not there, or failed at something that is not the input's fault."""

    kind = "ffmpeg"


class StoreError(TroupeError):
    """The store could not read, write or list."""

    kind = "store"


class NoSpace(StoreError):
    """There is no room left, in the store or in the folder for temporary files."""

    kind = "no_space"


class WorkerLost(TroupeError):
    """The process that did the work died."""

    kind = "worker_lost"


class Overdue(TroupeError):
    """Something took far longer than its length explains."""

    kind = "overdue"


class OutOfMemory(TroupeError):
    """The device's memory did not suffice."""

    kind = "out_of_memory"


class Cancelled(TroupeError):
    """Somebody asked to stop."""

    kind = "cancelled"
