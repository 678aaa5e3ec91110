"""What a store of prefixes has of a prompt: between the families and the stores they keep it in."""

from dataclasses import dataclass
from typing import Protocol

from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Reason
from phasewise_analyzer.caches.sent_prefixes import Scopes
from phasewise_analyzer.prefixes.live_tree import Fork


@dataclass(frozen=True, slots=True)
class Found:
    """The front of a prompt that can be read."""

    places: int
    """so many places of the path are there as a whole"""
    tokens: int
    """that can be read; more than those of the places where a part of the next one is left"""
    why: Reason
    """what is the matter with the next place"""


class Prefixes(Protocol):
    """A store that keeps whole prompts, so that any shorter prefix of one can be read."""

    def look(self, call: Asked, scopes: Scopes) -> Found:
        """Return what can be read of a prompt now."""
        ...

    def keep(self, call: Asked, scopes: Scopes, found: Found) -> None:
        """Use what was found and keep the rest."""
        ...

    def fork(self, fork: Fork) -> None:
        """Keep of a new place what is kept of the one below it."""
        ...


def keep_answers(prefixes: Prefixes, policy: Policy, call: Asked, scopes: Scopes) -> None:
    """Keep the prompt with each of its answers, where the policy keeps what a model writes."""
    for answer in call.answers if policy.keeps_answers else ():
        prefixes.keep(answer, scopes, prefixes.look(answer, scopes))
