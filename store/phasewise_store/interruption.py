"""Tell an error that Ctrl-C caused: DuckDB turns it into an error of its own.

The command line ends with 130 on one, and a replay marks its run as interrupted.
"""

_QUERY_INTERRUPTED = "Query interrupted"
"""what DuckDB says where Ctrl-C came in the middle of a statement"""


def was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused this; tidying up after it (closing a transaction) may fail in turn."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or str(error) == _QUERY_INTERRUPTED:
            return True
        error = error.__cause__ or error.__context__
    return False
