"""How the sessions of a run were chosen, as `compare` and `replay` print it."""

from collections.abc import Iterator, Sequence

from phasewise_replay.sessions.selection import Selection

from phasewise_web.cli.output import stdout


def print_selections(selections: Sequence[Selection]) -> None:
    """Print the rule, the duplicates that were left out, and the secrets that were replaced."""
    for line in _lines(selections):
        stdout.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def _lines(selections: Sequence[Selection]) -> Iterator[str]:
    for one in selections:
        yield f"sessions: {one.in_words}"
        if len(one.strata) > 1 and one.drawn:
            parts = (f"{part.agent} {part.chosen:,} of {part.sessions:,}" for part in one.strata)
            yield f"by agent: {', '.join(parts)}"
        if one.duplicates:
            yield one.duplicates_in_words
        if one.started is not None:
            yield one.started_in_words
    if selections:
        yield f"secrets: {selections[-1].secrets_in_words}"  # a pack counts over all its choices
