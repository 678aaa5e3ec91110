"""Which endpoints for chats a server has, and why one of them cannot be used."""

from collections.abc import Mapping, Set
from dataclasses import replace

from phasewise_replay.client.endpoint_forms import PATHS
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import SGLANG, Dialect
from phasewise_replay.engine import Endpoint

IGNORES_EOS = "preferred_sampling_params.ignore_eos"
"""a setting of SGLang that holds for requests that do not say otherwise; Responses cannot"""
_CURE = "; SGLang forces it when started with  --preferred-sampling-params '{\"ignore_eos\": true}'"


def of_sglang(settings: Mapping[str, object]) -> Dialect:
    """Return what an SGLang server with these settings understands."""
    unfree: Set[Endpoint] = frozenset()
    if settings.get(IGNORES_EOS) is True:
        unfree = frozenset({"responses"})
    return replace(
        SGLANG,
        forced_endpoints=SGLANG.forced_endpoints | unfree,
        unfree_endpoints=unfree,
        omits_zero_cached=settings.get("enable_cache_report") is True,
    )


def cannot_send(client: OpenAiClient, endpoint: Endpoint, *, forced: bool) -> str | None:
    """Return why a server cannot serve chats on an endpoint, `forced` to a length or not."""
    path, dialect = PATHS[endpoint], client.dialect
    if endpoint in ("chat", "completions"):
        return None
    if not client.serves(path):
        return f"this server has no `{path}`"
    # of an unknown server nothing can be forced, on no endpoint: fidelity then judges the lengths
    if forced and dialect.forced_length and endpoint not in dialect.forced_endpoints:
        cure = _CURE if endpoint == "responses" else ""
        return f"`{path}` of this server has no field that forces the output length{cure}"
    if not forced and endpoint in dialect.unfree_endpoints:
        return f"`{path}` of this server was started so that no answer ends by itself"
    return None
