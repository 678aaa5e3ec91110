"""The lock file beside a database, which keeps other Phasewise processes out.

It needs nothing but the standard library: `phasewise up` looks at it before it starts anything.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

from phasewise_store.errors import StoreError, StoreLockedError, UsageError


def take(path: Path) -> IO[str]:
    """Take the lock of a database file until the handle is closed.

    Raises StoreLockedError when another process has it, UsageError when the file is a folder,
    StoreError when its folder is not there or cannot be written.
    """
    if not path.parent.is_dir():
        raise StoreError(
            f"`{path}`: the folder `{path.parent}` does not exist; create it first, "
            "or choose another file with --db"
        )
    if path.is_dir():
        raise UsageError(f"`{path}` is a folder; choose a database file with --db")
    try:
        handle = path.with_name(path.name + ".lock").open("a+")
    except OSError as error:
        raise StoreError(
            f"`{path}`: its folder cannot be written ({error.strerror}); change its permissions, "
            "or choose another file with --db"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        pid, _, address = handle.read().strip().partition("\n")
        handle.close()
        raise StoreLockedError(
            f"`{path}` is in use by another Phasewise process (pid {pid or 'unknown'}); stop it, "
            "or choose another file with --db",
            pid=pid or "unknown",
            address=address or None,
        ) from None
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
