"""`python -m ops.backup.exchange A B`: two folders change their names in one step, which nothing can interrupt."""

from __future__ import annotations

import ctypes
import os
import sys

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(first: str, second: str) -> None:
    """Raises OSError where one of them is not there, or the file system cannot do it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, first.encode(), _AT_FDCWD, second.encode(), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), first)


if __name__ == "__main__":
    exchange(*sys.argv[1:3])
