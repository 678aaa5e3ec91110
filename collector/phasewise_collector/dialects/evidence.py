"""Evidence that a request was made: a span marked as an LLM call does not count without it."""

import re
from collections.abc import Iterable, Iterator, Sequence

from phasewise_store.facts import Span

from phasewise_collector.dialects import aliases, usage_aliases
from phasewise_collector.dialects.log_records import KIND as LOG
from phasewise_collector.dialects.tree import Tree, text_of

_ANSWERED = (
    usage_aliases.ESTIMATED_OUTPUT,
    aliases.FIRST_TOKEN_NS,
    aliases.FIRST_TOKEN_S,
    aliases.FIRST_TOKEN_MS,
    aliases.FIRST_TOKEN_AT,
    aliases.FINISH_REASON,
    usage_aliases.COST_USD,
)
_STATUS = re.compile(r"(?:status|code|http)\D{0,12}\b[45]\d\d\b", re.IGNORECASE)
"""how SDKs write what a server refused: `Error code: 429`, `status_code: 400`, `HTTP/1.1 503`"""
_ANSWERED_ERRORS = frozenset({"AI_APICallError"})
"""errors of the AI SDK that tell of an answer, without its code"""
_NO_ANSWER = "Cannot connect to API"
"""how that error begins where there was none"""


def is_request(tree: Tree, members: Sequence[str]) -> bool:
    """Return whether any description of a call shows that its request left the process."""
    return any(_shows_request(tree, key) for key in members)


def _shows_request(tree: Tree, key: str) -> bool:
    span, usage = tree.span(key), tree.taken[key].usage
    if usage.origin == "reported" or tree.kinds[key] == "engine" or span.kind == LOG:
        return True
    if span.response_id is not None or span.scope_name in aliases.WIRE_SCOPES:
        return True
    if any(aliases.first(span.attributes, names) is not None for names in _ANSWERED):
        return True
    if span.status == "error":
        return _was_refused(span)
    return span.kind == "client"


def _was_refused(span: Span) -> bool:
    """Return whether an error came from a server: some never left the process."""
    code = text_of(span, aliases.HTTP_STATUS) or ""
    if code in _ANSWERED_ERRORS:
        return not span.status_message.startswith(_NO_ANSWER)
    return (code.isdecimal() and int(code) >= 100) or bool(_STATUS.search(span.status_message))


def summing_spans(tree: Tree, called: Iterable[str]) -> Iterator[str]:
    """Return the agents' and chains' spans that alone carry the usage of what is below them.

    `called` are the spans that describe calls: above them, a usage is a sum.
    """
    summed: set[str] = set()
    for key in called:
        summed.update(tree.above(key))
    carriers = [
        key
        for key, kind in tree.kinds.items()
        if kind in ("agent", "plumbing")
        and key not in summed
        and tree.taken[key].usage.origin == "reported"
    ]
    for key in carriers:
        summed.update(tree.above(key))
    yield from (key for key in carriers if key not in summed)
