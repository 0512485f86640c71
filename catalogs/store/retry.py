"""Retry calls that fail with a transient error."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from typing import TypeVar

from troupe.errors import Cancelled, InputError, SettingsError

__all__ = ["is_transient", "retry_call"]

T = TypeVar("T")

_ATTEMPTS = 3
_FIRST_PAUSE = 0.25
"""Seconds before the second attempt; doubled before each further one, with jitter, so that many workers do not come
back together."""
_POLL_SECONDS = 1.0
"""Between two looks whether the work is cancelled."""

_PERMANENT_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOSYS,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
# By name, because the libraries that raise them are optional and belong to one kind of store each.
_PERMANENT_CLASSES = frozenset(
    {"ClientAuthenticationError", "NoCredentialsError", "ParamValidationError", "PartialCredentialsError"}
    | {"ProfileNotFound", "SchemaMismatchError", "TableNotFoundError", "DeltaProtocolError", "UnknownServiceError"}
)


def is_transient(error: Exception) -> bool:
    """Return whether a retry may help: for lost connections, time-outs and busy servers, not for missing files."""
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, InputError | SettingsError | Cancelled):
        return False
    if isinstance(
        error, FileNotFoundError | FileExistsError | PermissionError | IsADirectoryError | NotADirectoryError
    ):
        return False
    if isinstance(error, OSError):
        return error.errno not in _PERMANENT_ERRNOS
    if isinstance(error, ValueError | TypeError | LookupError | AttributeError | ImportError | NotImplementedError):
        return False
    return type(error).__name__ not in _PERMANENT_CLASSES


def retry_call(
    call: Callable[[], T],
    retryable: Callable[[Exception], bool] = is_transient,
    least_pause: Callable[[Exception], float] = lambda _: 0.0,
    raise_if_cancelled: Callable[[], None] = lambda: None,
) -> T:
    """Return `call()`, tried up to three times while its error is `retryable`; raise the last error.

    Args:
        least_pause: seconds to wait at least after an error.
        raise_if_cancelled: called often in the pauses; stops the work by raising.
    """
    for pause in (_FIRST_PAUSE * 2**n for n in range(_ATTEMPTS - 1)):
        try:
            return call()
        except Exception as error:
            if not retryable(error):
                raise
            pause = max(pause * random.uniform(0.5, 1.5), least_pause(error))
        _sleep(pause, raise_if_cancelled)
    return call()


def _sleep(seconds: float, raise_if_cancelled: Callable[[], None]) -> None:
    while seconds > 0:
        raise_if_cancelled()
        time.sleep(min(seconds, _POLL_SECONDS))
        seconds -= _POLL_SECONDS
