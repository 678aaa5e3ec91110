"""Which parts of Phasewise can run here: checked by importing them.

Used by `phasewise doctor`. An installed package can still fail to import its own dependencies.
"""

import importlib
import importlib.util
from dataclasses import dataclass

SERVER = "pip install 'phasewise[server]'"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of Phasewise, and the module to import for it."""

    name: str
    module: str
    cure: str
    """the line that installs what it needs"""


TRACER = Part("tracer", "phasewise.setup", "pip install --force-reinstall phasewise")
PROGRAM = (
    Part("store", "phasewise_store.store", SERVER),
    Part("OTLP receiver", "phasewise_collector.acceptor", SERVER),
    Part("importers", "phasewise_collector.importing", SERVER),
    Part("analysis", "phasewise_analyzer.analyse", SERVER),
    Part("replay", "phasewise_replay.runs.run", SERVER),
    Part("reports", "phasewise_reports.run_report", SERVER),
    Part("web UI", "phasewise_web.database_process", SERVER),
)
"""parts of the `server` extra"""
TOKENIZERS = Part("own tokenizers", "tokenizers", "pip install 'phasewise[tokenizers]'")


def has_program() -> bool:
    """Return whether more than the tracer was installed: the database is there."""
    return importlib.util.find_spec("duckdb") is not None


def fault(part: Part) -> str | None:
    """Import a part; give why it cannot be, None where it can."""
    try:
        importlib.import_module(part.module)
    except ModuleNotFoundError as error:
        return f"`{error.name}` is not installed"
    except ImportError as error:
        return str(error)
    return None
