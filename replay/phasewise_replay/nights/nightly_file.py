"""Read a nightly file: a plan, the paths to import first, and gates.  See `docs/nightly.md`."""

from dataclasses import dataclass, replace
from pathlib import Path

from phasewise_store.errors import UsageError

from phasewise_replay.plans import plan_file
from phasewise_replay.plans import plan_keys as keys
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_keys import Keys
from phasewise_replay.sessions.selection import DRAWN
from phasewise_replay.verdicts.measures import MEASURES


@dataclass(frozen=True, slots=True)
class Gate:
    """The most that a measure may worsen from one night to the next."""

    metric: str
    worse_percent: float


DEFAULT_GATES = (Gate("prefill_s", 5.0), Gate("decode_s", 5.0), Gate("ttft_s", 10.0))


@dataclass(frozen=True, slots=True)
class NightlyFile:
    """A nightly job."""

    plan: Plan
    imports: tuple[Path, ...] = ()
    """files and folders to import first"""
    gates: tuple[Gate, ...] = DEFAULT_GATES
    reports: Path | None = None
    """folder for the night's report"""
    keep_nights: int | None = None
    """nights whose calls and reports are kept; None keeps all"""


def read(path: Path) -> NightlyFile:
    """Read a nightly file; raises UsageError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {error.strerror}") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> NightlyFile:
    """Read a nightly file from its YAML; `where` names it in errors."""
    top = keys.document(text, where)
    imports = tuple(map(Path, top.maybe("import", keys.words) or ()))
    reports = top.maybe("reports", keys.word)
    keep_nights = top.maybe("keep_nights", keys.whole)
    gates = tuple(map(_gate, top.items("gates"))) if top.has("gates") else DEFAULT_GATES
    plan = plan_file.plan(top)
    drawn = plan.sessions.sample in DRAWN
    return NightlyFile(
        plan if drawn else replace(plan, sessions=replace(plan.sessions, sample="newest")),
        imports,
        gates,
        None if reports is None else Path(reports),
        keep_nights,
    )


def _gate(found: Keys) -> Gate:
    gate = Gate(found.take("metric", _metric), found.take("worse_percent", keys.number))
    found.finish()
    return gate


def _metric(value: object) -> str:
    known = [measure.name for measure in MEASURES]
    if value not in known:
        raise UsageError(f"must be one of {', '.join(known)}, not `{value}`")
    return str(value)
