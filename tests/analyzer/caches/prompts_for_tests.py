"""Prompts put together from named segments, as caches are asked about them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from phasewise_analyzer.caches.prompt_cache import Asked, Marker


@dataclass(frozen=True)
class Part:
    """A segment, or a stretch of one: equal names behind equal fronts are the same prefix."""

    name: Hashable
    tokens: int
    tier: int = 2
    whole: bool = True


def parts(*tokens: int, name: str = "", tier: int = 2) -> list[Part]:
    """Give parts of these sizes, named by their place."""
    return [Part(f"{name}{place}", size, tier) for place, size in enumerate(tokens)]


@dataclass
class Prompts:
    """Numbers prefixes, so that equal ones have equal numbers."""

    numbers: dict[tuple[int, Part], int] = field(default_factory=dict)

    def asked(
        self,
        prompt: Sequence[Part],
        at_s: float = 0.0,
        *,
        answers_s: float = 1.0,
        marked: Sequence[int] | Sequence[Marker] | None = None,
        more_tokens: int = 0,
        space: Hashable = "here",
        settings: tuple[Hashable, Hashable, Hashable] = (None, None, None),
        sharding: Hashable = None,
        implicit: bool = True,
    ) -> Asked:
        """Make a call that starts at `at_s` and begins to answer `answers_s` later."""
        path: list[int] = []
        above = -1
        for part in prompt:
            above = self.numbers.setdefault((above, part), len(self.numbers))
            path.append(above)
        ends = list(accumulate(part.tokens for part in prompt))
        markers = None
        if marked is not None:
            markers = tuple(Marker(one) if isinstance(one, int) else one for one in marked)
        return Asked(
            space=space,
            started_s=at_s,
            available_s=at_s + answers_s,
            path=path,
            ends=ends,
            whole=[part.whole for part in prompt],
            tiers=[part.tier for part in prompt],
            tokens=(ends[-1] if ends else 0) + more_tokens,
            settings=settings,
            markers=markers,
            sharding=sharding,
            implicit=implicit,
        )
