"""Our tracer's spans of the HTTP requests themselves, scope `phasewise.wire`.

They contain the provider's own bodies in `input.value` and `output.value`, and its usage object, so
they are read like a recorded response.
"""

from phasewise_store.facts import Span, Usage

from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.dialects.chat_values import mapping
from phasewise_collector.dialects.usage import usage_of
from phasewise_collector.importers.model_names import provider_at
from phasewise_collector.usage.reader import usage_of_body

SCOPE = "phasewise.wire"
USAGE = "phasewise.wire.usage"
ABANDONED = "phasewise.wire.abandoned"
_PROVIDER = "gen_ai.provider.name"
_REFUSED = 400
"""HTTP statuses from here on are errors"""


def is_wire(span: Span) -> bool:
    """Return whether a span is of the wire."""
    return span.scope_name == SCOPE


def provider(attributes: Attributes) -> dict[str, str]:
    """Return the attribute that names who answered: by the address, else by the model."""
    address, model = attributes.get("url.full"), attributes.get("gen_ai.request.model")
    named = provider_at(str(address), model if isinstance(model, str) else None)
    return {_PROVIDER: named} if named else {}


def usage(span: Span) -> Usage:
    """Return the usage: the provider's, none for a rejected request, else an estimate from text.

    A stream without usage, and one that the program left, were read and written all the same.
    """
    reported = usage_of_body(mapping(span.attributes.get(USAGE)))
    if reported is not None:
        return reported
    status = span.attributes.get("http.response.status_code")
    unanswered = status is None and ABANDONED not in span.attributes
    if unanswered or (isinstance(status, int) and status >= _REFUSED):
        return Usage(origin="absent", cache_reported=False)
    return usage_of(span.attributes, span.scope_name, span.scope_version)
