"""Trouble that passes, and trying again."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["again", "transient"]

T = TypeVar("T")

_TRIES = 3
_FIRST_PAUSE = 0.25
"""Seconds; doubled from try to try, and jittered, so that many workers do not come back together."""

_LASTING = frozenset(
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
_LASTING_NAMES = frozenset(
    {"ClientAuthenticationError", "NoCredentialsError", "ParamValidationError", "PartialCredentialsError"}
    | {"ProfileNotFound", "SchemaMismatchError", "TableNotFoundError", "DeltaProtocolError", "UnknownServiceError"}
)


def transient(error: Exception) -> bool:
    """Whether trying again may help: lost connections, time-outs and busy servers, not missing files or rights."""
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(
        error, FileNotFoundError | FileExistsError | PermissionError | IsADirectoryError | NotADirectoryError
    ):
        return False
    if isinstance(error, OSError):
        return error.errno not in _LASTING
    if isinstance(error, ValueError | TypeError | LookupError | AttributeError | ImportError | NotImplementedError):
        return False
    return type(error).__name__ not in _LASTING_NAMES


def again(call: Callable[[], T], worth: Callable[[Exception], bool] = transient) -> T:
    """`call()`, up to three times while it fails with an error that is `worth` another try; the last error else."""
    for pause in (_FIRST_PAUSE * 2**n for n in range(_TRIES - 1)):
        try:
            return call()
        except Exception as error:
            if not worth(error):
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))
    return call()
