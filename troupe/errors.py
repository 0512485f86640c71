"""The error tree.

A message says what failed, where (job, URI, frame) and what to do about it; `kind` is the short name in the
catalog's `error_kind` column.

    TroupeError
     ├─ InputError           an input cannot be used; retrying does not help
     │   ├─ BadJob           invalid rows in the jobs file
     │   ├─ MissingInput     a URI is invalid, or points at nothing
     │   ├─ NotAllowed       a URI is outside of what the run may read, or access to it is refused
     │   ├─ UnreadableMedia  a picture or clip cannot be decoded
     │   ├─ NoFace           no face was found
     │   ├─ Withdrawn        the person withdrew consent
     │   ├─ NotPermitted     no permission covers the job
     │   └─ TooLarge         an input exceeds a limit
     ├─ QualityError         a render misses a quality threshold
     ├─ SettingsError        a setting, option or combination of them is invalid
     ├─ WeightsError         the weights directory is incomplete or invalid
     ├─ SigningError         Content Credentials cannot be signed; retry once the signer works
     ├─ FfmpegError          ffmpeg is missing, or failed on a valid input
     ├─ StoreError           the store could not read, write or list; retrying may help
     │   ├─ UnreachableInput the server of an input does not answer, is busy, or breaks off
     │   ├─ NoSpace          no space left in the store or in the temporary folder
     │   └─ DamagedFile      a stored file is not what was written
     ├─ WorkerLost           a worker process died
     ├─ Overdue              a work item timed out
     ├─ OutOfMemory          the device ran out of memory
     └─ Cancelled            the work was cancelled
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from troupe.job import Job

__all__ = [
    "BadJob",
    "Cancelled",
    "DamagedFile",
    "FfmpegError",
    "InputError",
    "MissingInput",
    "NoFace",
    "NoSpace",
    "NotAllowed",
    "NotPermitted",
    "OutOfMemory",
    "Overdue",
    "QualityError",
    "SettingsError",
    "SigningError",
    "StoreError",
    "TooLarge",
    "TroupeError",
    "UnreachableInput",
    "UnreadableMedia",
    "WeightsError",
    "Withdrawn",
    "WorkerLost",
]


class TroupeError(Exception):
    """Base class of all errors that troupe raises on purpose."""

    kind = "error"

    @property
    def message(self) -> str:
        """The text without the class name."""
        return str(self.args[0]) if self.args else self.kind

    @property
    def line(self) -> str:
        """The text on one line, with all problems."""
        return str(self)


class _ErrorList(TroupeError):
    """An error that may contain several problems, reported together."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        # Both are args, so that the error can be pickled between processes.
        super().__init__(message, tuple(problems))

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems, one line each; empty where the message is complete."""
        return tuple(self.args[1])

    @property
    def line(self) -> str:
        """The text on one line, with all problems."""
        return f"{self.message} {'; '.join(self.problems)}" if self.problems else self.message

    def __str__(self) -> str:
        return "\n  ".join((self.message, *self.problems))


class InputError(TroupeError):
    """An input cannot be used."""

    kind = "input"


class BadJob(InputError, _ErrorList):
    """Rows of the jobs file are invalid; `problems` lists them with their row numbers.

    Attributes:
        jobs: the jobs as far as their cells are valid, so that what they need is checked as well; not pickled.
    """

    kind = "bad_job"
    jobs: Sequence[Job] = ()


class MissingInput(InputError):
    """A URI is invalid, or points at nothing."""

    kind = "missing_input"


class NotAllowed(InputError):
    """A URI is outside of the folders, buckets and hosts that the run may read, or access to it is refused."""

    kind = "not_allowed"


class UnreadableMedia(InputError):
    """A picture or clip cannot be decoded."""

    kind = "unreadable_media"


class NoFace(InputError):
    """No face was found in a portrait or clip."""

    kind = "no_face"


class Withdrawn(InputError):
    """The person shown withdrew consent."""

    kind = "withdrawn"


class NotPermitted(InputError):
    """No permission of the person shown covers the job."""

    kind = "consent"


class TooLarge(InputError):
    """An input exceeds the limit on pixels, frames, seconds or bytes."""

    kind = "too_large"


class QualityError(TroupeError):
    """A render misses a quality threshold of the run."""

    kind = "quality"


class SettingsError(_ErrorList, ValueError):
    """A setting is invalid, or conflicts with another one; `problems` lists them where there are several."""

    kind = "settings"


class WeightsError(_ErrorList):
    """The weights directory is incomplete or invalid; `problems` lists the files and tensors concerned."""

    kind = "weights"


class SigningError(_ErrorList):
    """Content Credentials cannot be signed; `problems` lists what is wrong with the signer's settings."""

    kind = "signing"


class FfmpegError(TroupeError):
    """ffmpeg is missing, or failed on a valid input."""

    kind = "ffmpeg"


class StoreError(TroupeError):
    """The store could not read, write or list."""

    kind = "store"


class UnreachableInput(StoreError):
    """The server of an input does not answer, is busy, or breaks off; a `StoreError`, because retrying may help."""

    kind = "unreachable_input"


class NoSpace(StoreError):
    """No space is left in the store or in the temporary folder."""

    kind = "no_space"


class DamagedFile(StoreError):
    """A stored file is unreadable, or differs from its digest."""

    kind = "damaged"


class WorkerLost(TroupeError):
    """A worker process died."""

    kind = "worker_lost"


class Overdue(TroupeError):
    """A work item timed out."""

    kind = "overdue"


class OutOfMemory(TroupeError):
    """The device ran out of memory."""

    kind = "out_of_memory"


class Cancelled(TroupeError):
    """The work was cancelled."""

    kind = "cancelled"
