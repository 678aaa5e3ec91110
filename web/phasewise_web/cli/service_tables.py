"""The tables of throughput, cache hits, sessions and agents that `compare` and `replay` print."""

from collections.abc import Sequence

from phasewise_replay.verdicts.service_facts import AgentService, ArmService, CriticalPath
from phasewise_reports.words import UNKNOWN, percent, short, usd

from phasewise_web.cli.output import stdout, table

SERVICE = (
    ("arm", False),
    *((name, True) for name in ("sessions/h", "calls/s", "output tok/s", "preemptions")),
    *((name, True) for name in ("KV use %", "peak %", "energy J")),
)
GOODPUT = (
    ("arm", False),
    *((name, True) for name in ("calls in SLO %", "such calls/s", "sessions in SLO %")),
)
DRAFTS = (("arm", False), ("acceptance length", True), ("accepted % of drafted", True))
HITS = (
    ("arm", False),
    *((name, True) for name in ("of tokens %", "mean of calls %", "reachable %")),
    ("of reachable %", True),
)
PATHS = (
    ("arm", False),
    ("agent", False),
    *((name, True) for name in ("sessions", "calls", "completion s")),
    *((name, True) for name in ("model s", "queue s", "tools s", "$")),
)


def print_service(service: Sequence[ArmService]) -> None:
    """Print the tables; nothing where no arm served."""
    if not service:
        return
    table("throughput", SERVICE, list(map(_service, service)))
    _note(
        "  while a session was measured; preemptions per block; KV use: share of the KV cache that "
        "running requests hold; energy per session"
    )
    for reason in dict.fromkeys(one.no_energy for one in service if one.no_energy):
        arms = ", ".join(one.arm for one in service if one.no_energy == reason)
        _note(f"  no energy of {arms}: {reason}")
    good = [one for one in service if one.goodput is not None]
    if good and good[0].goodput is not None:
        table(f"goodput: {good[0].goodput.limits}", GOODPUT, list(map(_goodput, good)))
    drafting = [one for one in service if one.acceptance_length is not None]
    if drafting:
        table("speculation, as the engine counted", DRAFTS, list(map(_drafts, drafting)))
    table("cached tokens", HITS, list(map(_hits, service)))
    _note("  reachable: what an endless prefix cache would have had")
    rows = [
        row for one in service for row in (_all(one), *(_agent(one, part) for part in one.agents))
    ]
    table("sessions and agents: time, critical path, engine dollars, per session", PATHS, rows)


def _note(text: str) -> None:
    stdout.print(text, highlight=False, markup=False, soft_wrap=True)


def _service(one: ArmService) -> list[str]:
    return [
        one.arm,
        *map(short, (one.sessions_hour, one.calls_s, one.output_tokens_s, one.preemptions)),
        percent(one.kv_use_mean),
        percent(one.kv_use_peak),
        short(one.energy_j),
    ]


def _goodput(one: ArmService) -> list[str]:
    good = one.goodput
    if good is None:
        return [one.arm, *[UNKNOWN] * 3]
    return [one.arm, percent(good.share), short(good.calls_s), percent(good.sessions_share)]


def _drafts(one: ArmService) -> list[str]:
    return [one.arm, short(one.acceptance_length), percent(one.accepted_share)]


def _hits(one: ArmService) -> list[str]:
    rates = one.hit_rates
    shares = (rates.by_tokens, rates.by_calls, rates.reachable, rates.of_reachable)
    return [one.arm, *map(percent, shares)]


def _all(one: ArmService) -> list[str]:
    head = [one.arm, "all", f"{len(one.sessions):,}", short(one.calls), short(one.completion_s)]
    return [*head, *_path(one.path), usd(one.usd)]


def _agent(arm: ArmService, one: AgentService) -> list[str]:
    head = [arm.arm, one.agent, f"{one.sessions:,}", short(one.calls), short(one.completion_s)]
    return [*head, *_path(one.path), usd(one.usd)]


def _path(path: CriticalPath | None) -> list[str]:
    if path is None:
        return [UNKNOWN] * 3
    return [short(path.model_s), short(path.queue_s), short(path.tool_s)]
