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


def retry_call(call: Callable[[], T], retryable: Callable[[Exception], bool] = is_transient) -> T:
    """Return `call()`, tried up to three times while its error is `retryable`; raise the last error."""
    for pause in (_FIRST_PAUSE * 2**n for n in range(_ATTEMPTS - 1)):
        try:
            return call()
        except Exception as error:
            if not retryable(error):
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))
    return call()
