"""Every error that Phasewise raises on purpose.

PhasewiseError                 something the user can act on; `exit_code` is that of the command
├── UsageError                 the command or a file it names is wrong (exit 2)
│   └── UnknownFormatError     no importer recognises a file
├── StoreError                 the database cannot do what was asked
│   ├── StoreLockedError       another process owns the database file
│   └── SchemaError            the file is newer than this program, or not a Phasewise database
├── MissingExtraError          an optional part is not installed; the text has the pip command
└── EngineError                an inference engine did not start, or gave a wrong response
    └── UnsupportedArmError    this machine or engine cannot run the arm, with the reason
"""


class PhasewiseError(Exception):
    """Something went wrong that a person can act on; the text says what to do."""

    exit_code = 1


class UsageError(PhasewiseError):
    """The command line, or a file it names, was wrong."""

    exit_code = 2


class UnknownFormatError(UsageError):
    """No importer recognises the file."""


class StoreError(PhasewiseError):
    """The database cannot do what was asked."""


class StoreLockedError(StoreError):
    """Another process owns the database file."""

    def __init__(self, text: str, *, pid: str | None = None, address: str | None = None) -> None:
        super().__init__(text)
        self.pid = pid
        """of the Phasewise process that has it; None where it is another program"""
        self.address = address
        """of that process's socket; None where it keeps the file to itself"""


class SchemaError(StoreError):
    """The file is newer than this program, or is no Phasewise database."""


class MissingExtraError(PhasewiseError):
    """An optional part is not installed; the text names the line that installs it."""

    exit_code = 2


class EngineError(PhasewiseError):
    """An inference engine did not start, or gave an answer that makes no sense."""


class UnsupportedArmError(EngineError):
    """This machine or engine cannot run the arm; the text is the engine's own reason."""
