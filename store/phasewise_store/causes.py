"""Tell errors that something outside caused, Ctrl-C or a full disk, whatever became of them.

DuckDB turns both into errors of its own. The command line ends with a word on either, and a replay
marks its run as interrupted.
"""

import errno
from collections.abc import Iterator

_QUERY_INTERRUPTED = "Query interrupted"
"""what DuckDB says where Ctrl-C came in the middle of a statement"""
_FULL = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}
"""what the operating system says; DuckDB quotes it"""


def was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C caused this; tidying up after it (closing a transaction) may fail in turn."""
    return any(
        isinstance(one, KeyboardInterrupt) or str(one) == _QUERY_INTERRUPTED
        for one in _chain(error)
    )


def disk_was_full(error: BaseException) -> bool:
    """Whether a disk without space caused this."""
    return any(
        (isinstance(one, OSError) and one.errno in _FULL)
        or any(words in str(one) for words in _FULL.values())
        for one in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
