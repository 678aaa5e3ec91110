"""Choose an agent's breakpoints and their lifetimes: simulate every placement, keep the best.

The simulator decides, so all its rules (lookback, minimum, lifetime, write price) are taken into
account. Of placements with equal cost, the one with fewer breakpoints is kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from phasewise_analyzer.caches import families
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Marker
from phasewise_analyzer.caches.requests import Recorded
from phasewise_analyzer.prices import Rates
from phasewise_analyzer.whatif import candidates
from phasewise_analyzer.whatif.candidates import CLASSES, LAST, SYSTEM_END, TOOLS_END, Marks, Spots
from phasewise_analyzer.whatif.facts import BreakpointPlan, Money, Placement
from phasewise_analyzer.whatif.metering import Meter, filled
from phasewise_analyzer.whatif.repricing import Answer, Books, Calls

MOST_CALLS = 1500
"""of one agent that are simulated once for each placement"""

Tell = Callable[[int, int, str], None]
Mark = Callable[[Spots], tuple[Marker, ...] | None]


@dataclass(frozen=True, slots=True)
class Planned:
    """A call of an agent, ready to be asked with other breakpoints."""

    spots: Spots
    rates: Rates | None
    session_id: str

    @property
    def asked(self) -> Asked:
        """The call as it was recorded."""
        return self.spots.asked


def plans(calls: Calls, books: Books, *, tell: Tell | None = None) -> tuple[BreakpointPlan, ...]:
    """Plan every agent's breakpoints under each policy of its calls that has any."""
    groups = _groups(calls, books)
    found = []
    for (agent, _), (policy, group) in groups.items():
        kept = shortened(group, MOST_CALLS)
        if kept:
            found.append(plan(kept, policy, agent, left_out=len(group) - len(kept), tell=tell))
    return tuple(found)


def plan(
    calls: Sequence[Planned],
    policy: Policy,
    agent: str,
    *,
    left_out: int = 0,
    tell: Tell | None = None,
) -> BreakpointPlan:
    """Choose the best placement for some calls."""
    lives = sorted(policy.lifetimes_s, key=policy.lifetime_s, reverse=True)
    classes = [name for name in CLASSES if any(name in one.spots.place for one in calls)]
    most = policy.max_breakpoints or len(classes)
    if policy.implicit_breakpoint != "none":
        most -= 1
    every = list(candidates.placements(classes, lives or [policy.lifetime_name()], most))
    naive = _placement(calls, policy, naive_marks(classes, policy))
    best = naive
    for done, marks in enumerate(every):
        if tell is not None:
            tell(done, len(every), f"breakpoints of {agent}")
        tried = _placement(calls, policy, marks)
        if (tried.cost, len(tried.marks)) < (best.cost, len(best.marks)):
            best = tried
    recorded = any(one.asked.markers is not None for one in calls)
    return BreakpointPlan(
        agent=agent,
        policy=policy.id,
        calls=len(calls),
        left_out_calls=left_out,
        in_usd=_priced(calls),
        sent=_simulated(calls, policy, (), lambda spots: spots.asked.markers) if recorded else None,
        naive=naive,
        best=best,
        tried=len(every),
    )


def naive_marks(classes: Iterable[str], policy: Policy) -> Marks:
    """Return what good clients set without thinking: end of the fixed part, and last segment."""
    there = list(classes)
    fixed = [name for name in (SYSTEM_END, TOOLS_END) if name in there][:1]
    return tuple((name, policy.lifetime_name()) for name in (*fixed, LAST))


def shortened(calls: Sequence[Planned], most: int) -> list[Planned]:
    """Return whole sessions from the front until there are enough calls; at least one session."""
    sizes: dict[str, int] = {}
    for one in calls:
        sizes[one.session_id] = sizes.get(one.session_id, 0) + 1
    kept: set[str] = set()
    total = 0
    for session_id, size in sizes.items():
        if kept and total + size > most:
            break
        kept.add(session_id)
        total += size
    return [one for one in calls if one.session_id in kept]


def _placement(calls: Sequence[Planned], policy: Policy, marks: Marks) -> Placement:
    return _simulated(calls, policy, marks, lambda spots: spots.marked(marks))


def _simulated(calls: Sequence[Planned], policy: Policy, marks: Marks, mark: Mark) -> Placement:
    """Ask a fresh cache all calls with these breakpoints."""
    cache, meter = families.make(policy), Meter()
    in_usd = _priced(calls)
    for one in calls:
        asked = replace(one.asked, markers=mark(one.spots))
        rates = one.rates if in_usd else _in_tokens(policy)
        meter.take(cache.serve(asked), asked.tokens, (0, 0), rates, policy)
    money, spent = meter.money(), meter.spent()
    cost = Decimal(0) if money is None else _prompts(money)
    return Placement(marks, cost, spent.read / spent.input if spent.input else 0.0)


def _prompts(money: Money) -> Decimal:
    return money.input_usd


def _priced(calls: Sequence[Planned]) -> bool:
    return all(one.rates is not None for one in calls)


def _in_tokens(policy: Policy) -> Rates:
    """Return rates at which a token of input costs one; a million of them, as rates are."""
    one = Decimal(10**6)
    free = Rates(one, None, one, one, Decimal(0), Decimal(0))
    return filled(free, policy)


def _groups(calls: Calls, books: Books) -> dict[tuple[str, str], tuple[Policy, list[Planned]]]:
    """Put the calls of each agent and breakpoint policy together, in order."""
    groups: dict[tuple[str, str], tuple[Policy, list[Planned]]] = {}
    before: dict[str, Asked] = {}
    agents = calls.words("agent")
    streams = calls.words("agent_id")
    sessions = calls.words("session_id")
    for one, answer in calls:
        policy = books.rules.policy(answer.provider, answer.model, answer.started_ns)
        stream = streams[one.row]
        if policy is not None and policy.family == "breakpoint_hash":
            planned = Planned(
                candidates.spots(one.under(policy), before.get(stream)),
                _rates(one, answer, policy, books),
                sessions[one.row],
            )
            group = groups.setdefault((agents[one.row], policy.id), (policy, []))
            group[1].append(planned)
        before[stream] = one.asked
    return groups


def _rates(one: Recorded, answer: Answer, policy: Policy, books: Books) -> Rates | None:
    price = books.prices.price(
        answer.provider,
        answer.model,
        input_tokens=one.asked.tokens,
        at_ns=answer.started_ns,
    )
    return None if price is None else filled(price.rates, policy)
