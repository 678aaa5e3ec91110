"""Run the same calls through several simulated caches in one pass, and price the results."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.caches import families
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.breakpoints import breakpoints
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import MESSAGES, Asked, Marker, PromptCache, Served
from phasewise_analyzer.caches.requests import Recorded, Requests
from phasewise_analyzer.prices import PriceBook, Rates
from phasewise_analyzer.whatif.facts import Outcome
from phasewise_analyzer.whatif.first_token import FirstTokenModel
from phasewise_analyzer.whatif.metering import Meter, by_multipliers, filled
from phasewise_analyzer.whatif.scenario import MIXED, Scenario, can_mix, under_lifetime

Step = Callable[[int, int, str], None]
"""how many of how many calls are done, and what is worked on"""
Ints = npt.NDArray[np.int64]

EVERY = 200
"""calls between two words about the progress"""


@dataclass(frozen=True, slots=True)
class Books:
    """What rules and prices are looked up in."""

    rules: Book
    prices: PriceBook


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a recorded call beside its prompt."""

    provider: str | None
    model: str | None
    started_ns: int | None
    output: int
    reasoning: int


class Trial:
    """The calls under one scenario, one after another."""

    def __init__(self, scenario: Scenario, books: Books) -> None:
        self.scenario = scenario
        self._books = books
        self._caches: dict[str, PromptCache] = {}
        self._policies: dict[str, Policy] = {}
        self._rates: dict[tuple[Rates, str, bool], Rates] = {}
        self._meter = Meter()
        self._unruled = 0
        self._new: list[int] = []

    def take(self, one: Recorded, answer: Answer) -> Served:
        """Serve one call and price it."""
        policy = self._policy(answer)
        if policy is None:
            self._unruled += 1
            served, tokens = Served(0), one.asked.tokens
        else:
            asked = self._asked(one.under(policy), policy)
            served, tokens = self._cache(policy).serve(asked), asked.tokens
        rates = self._price(answer, tokens, policy)
        self._meter.take(served, tokens, (answer.output, answer.reasoning), rates, policy)
        self._new.append(tokens - served.read)
        return served

    def new_tokens(self) -> Ints:
        """Return the tokens of each call that were not read from the cache."""
        return np.array(self._new, dtype=np.int64)

    def outcome(self, calls: "Calls", waits: FirstTokenModel | None) -> Outcome:
        """Return the sums."""
        meter, scenario = self._meter, self.scenario
        first = None
        if waits is not None and scenario.same_machine:
            first = waits.of(self.new_tokens(), calls.input_tokens)
        return Outcome(
            name=scenario.name,
            calls=meter.calls,
            spent=meter.spent(),
            money=meter.money(),
            unpriced_calls=meter.calls - meter.priced,
            unruled_calls=self._unruled,
            policies=tuple(self._caches),
            first_token=first,
            capacity_tokens=None if scenario.policy is None else scenario.policy.capacity_tokens,
        )

    def _policy(self, answer: Answer) -> Policy | None:
        policy = self.scenario.policy
        if policy is None:
            policy = self._books.rules.policy(answer.provider, answer.model, answer.started_ns)
        if policy is None:
            return None
        if policy.id not in self._policies:
            self._policies[policy.id] = under_lifetime(policy, self.scenario.lifetime)
        return self._policies[policy.id]

    def _cache(self, policy: Policy) -> PromptCache:
        if policy.id not in self._caches:
            self._caches[policy.id] = families.make(policy)
        return self._caches[policy.id]

    def _asked(self, asked: Asked, policy: Policy) -> Asked:
        if self.scenario.on_engine:
            asked = replace(asked, space="engine")
        elif self.scenario.seller is not None:
            asked = replace(asked, space="seller")
        lifetime = self.scenario.lifetime
        if lifetime == MIXED and can_mix(policy):
            return replace(asked, markers=mixed(asked, policy))
        if lifetime in policy.lifetimes_s and asked.markers:
            return replace(
                asked, markers=tuple(replace(one, ttl=lifetime) for one in asked.markers)
            )
        return asked

    def _price(self, answer: Answer, tokens: int, policy: Policy | None) -> Rates | None:
        scenario = self.scenario
        if scenario.on_engine:
            return None
        seller = scenario.seller
        if seller is not None:
            price = self._books.prices.price(
                seller.provider, seller.model, input_tokens=tokens, at_ns=None
            )
        else:
            price = self._books.prices.price(
                answer.provider, answer.model, input_tokens=tokens, at_ns=answer.started_ns
            )
        if price is None or policy is None:
            return None if price is None else price.rates
        sold_by = price.ref.partition("/")[0]
        same = scenario.policy is None or sold_by in policy.providers
        key = (price.rates, policy.id, same)
        if key not in self._rates:
            self._rates[key] = (filled if same else by_multipliers)(price.rates, policy)
        return self._rates[key]


class Calls:
    """The recorded calls of a scope, ready to be asked of many caches."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        columns = ("provider", "model", "started_ns", "output_tokens", "reasoning_tokens")
        self._answers = [Answer(*row) for row in requests.calls.select(columns).iter_rows()]
        self.number = int((requests.tree.leaf >= 0).sum())
        self.rows: list[int] = []
        """places of the calls in the frame, in the order in which they are given"""

    def __iter__(self) -> Iterator[tuple[Recorded, Answer]]:
        """Return each call, earliest start first."""
        self.rows = []
        for one in self._requests:
            self.rows.append(one.row)
            yield one, self._answers[one.row]

    @property
    def input_tokens(self) -> Ints:
        """The tokens of each whole prompt, in the order in which the calls were given."""
        whole: Ints = self._requests.tokens.whole[self.rows]
        return whole

    def words(self, name: str) -> list[str]:
        """Return a column of the calls, in order of arrival."""
        found: list[str] = self._requests.calls[name].to_list()
        return found

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column of the calls, in that order; NaN where nothing is known."""
        values = self._requests.calls[name].cast(float).to_numpy()
        return np.asarray(values, dtype=np.float64)[self.rows]


def serve(calls: Calls, trials: Sequence[Trial], *, step: Step | None = None) -> None:
    """Ask all trials in one pass over the calls."""
    for done, (one, answer) in enumerate(calls):
        if step is not None and done % EVERY == 0:
            step(done, calls.number, "")
        for trial in trials:
            trial.take(one, answer)


def outcomes(
    requests: Requests,
    scenarios: Iterable[Scenario],
    books: Books,
    *,
    waits: FirstTokenModel | None = None,
    step: Step | None = None,
) -> tuple[Outcome, ...]:
    """Return what each scenario makes of the calls."""
    calls = Calls(requests)
    trials = [Trial(scenario, books) for scenario in scenarios]
    serve(calls, trials, step=step)
    return tuple(trial.outcome(calls, waits) for trial in trials)


def mixed(asked: Asked, policy: Policy) -> tuple[Marker, ...]:
    """Return the call's breakpoints, tools and system prompt at the longest lifetime."""
    by_length: Mapping[str, float] = policy.lifetimes_s
    longest = max(by_length, key=policy.lifetime_s)
    shortest = min(by_length, key=policy.lifetime_s)
    return tuple(
        Marker(one.place, longest if asked.tiers[one.place] < MESSAGES else shortest)
        for one in breakpoints(asked, policy)
    )
