"""Embeddings and rerankings: each once, with its agent, beside the LLM calls and not among them."""

from pathlib import Path

import pytest
from phasewise_analyzer import analyse, rollups, timeline
from phasewise_collector.dialects.content import take
from phasewise_collector.dialects.derive import Derived, derive
from phasewise_collector.loader import Loader
from phasewise_collector.otlp import protobuf
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, acceptor, request
from tests.collector.test_loader import post

EMBEDDING = {
    "gen_ai.operation.name": "embeddings",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "text-embedding-3-small",
    "gen_ai.usage.input_tokens": 1_000_000,
}
OUTER = {
    "ai.operationId": "ai.embed",
    "ai.model.id": "text-embedding-3-small",
    "ai.model.provider": "openai.embedding",
    "ai.usage.tokens": 1000,
}
INNER = OUTER | {"ai.operationId": "ai.embed.doEmbed"}


def derived(*spans: Made) -> Derived:
    """Derive the facts of spans that arrive together."""
    return derive([take(s) for s in protobuf.decode(request(*spans).SerializeToString()).spans])


@pytest.mark.parametrize(
    ("attributes", "kind", "tokens"),
    [
        (EMBEDDING, "embedding", 1_000_000),
        (OUTER, "embedding", 1000),
        (
            {
                "openinference.span.kind": "EMBEDDING",
                "embedding.model_name": "text-embedding-3-small",
                "llm.token_count.total": 12,
            },
            "embedding",
            12,
        ),
        (
            {"openinference.span.kind": "RERANKER", "reranker.model_name": "rerank-v3.5"},
            "rerank",
            0,
        ),
        (
            {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.request.model": "text-embedding-3-small",
                "phasewise.wire.usage": '{"usage": {"prompt_tokens": 8, "total_tokens": 8}}',
            },
            "embedding",
            8,
        ),
        ({"llm.request.type": "embedding", "llm.usage.total_tokens": 7}, "embedding", 7),
    ],
)
def test_every_convention_s_embeddings_are_known(
    attributes: dict[str, object], kind: str, tokens: int
) -> None:
    """OpenTelemetry, OpenInference, Traceloop, Vercel: a side call, and no LLM call."""
    found = derived(Made(1, attributes=attributes))
    assert found.llm_calls == ()
    assert [(one.kind, one.input_tokens) for one in found.side_calls] == [(kind, tokens)]


def test_two_spans_around_one_embedding_are_one() -> None:
    """The innermost that counts tokens is the call; one without tokens is none beside it."""
    silent = {"openinference.span.kind": "EMBEDDING"}
    nested = (
        Made(1, attributes=OUTER),
        Made(2, 1, attributes=INNER),
        Made(3, 2, attributes=silent),
    )
    (one,) = derived(*nested).side_calls
    assert one.span_id == f"{2:016x}"


def test_an_inner_span_that_arrives_late_takes_the_outer_s_place(
    tmp_path: Path, store: Store
) -> None:
    """Stored, then known to be described twice: one row is left, with its price."""
    agent = {"openinference.span.kind": "AGENT", "agent.name": "finder", "session.id": "s"}
    with acceptor(tmp_path) as running:
        loader = Loader(store, tmp_path)
        for spans in (
            [Made(1, attributes=agent), Made(2, 1, attributes=OUTER)],
            [Made(3, 2, attributes=INNER)],
        ):
            post(running.address, request(*spans).SerializeToString())
            loader.load()
            analyse.analyse(store)
            assert store.frame("SELECT count(*) FROM side_calls").item() == 1
    (row,) = rollups.agents(store)
    assert (row.agent, row.totals.calls, row.totals.side_calls) == ("finder", 0, 1)
    assert row.totals.total_usd == row.totals.other_usd == row.totals.side_usd
    assert str(row.totals.total_usd) == "0.000020000000"
    (session,) = rollups.sessions(store)
    assert (session.session_id, session.totals.total_usd) == ("s", row.totals.total_usd)
    (step,) = timeline.timeline(store, "s").side_calls
    assert (step.model, step.price_ref) == (
        "text-embedding-3-small",
        "openai/text-embedding-3-small",
    )


def test_llm_calls_and_embeddings_of_an_agent_sum(tmp_path: Path, store: Store) -> None:
    """prefill$ + decode$ + other$ = the bill, the embedding in other$."""
    call = EMBEDDING | {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.output_tokens": 10,
    }
    with acceptor(tmp_path) as running:
        spans = (Made(1, attributes=call), Made(2, attributes=EMBEDDING, trace=2))
        post(running.address, request(*spans).SerializeToString())
        Loader(store, tmp_path).load()
    analyse.analyse(store)
    totals = rollups.totals(store)
    assert (totals.calls, totals.side_calls, totals.input_tokens) == (1, 1, 1_000_000)
    assert totals.prefill_usd is not None
    assert totals.decode_usd is not None
    assert totals.other_usd is not None
    assert totals.prefill_usd + totals.decode_usd + totals.other_usd == totals.total_usd
    assert str(totals.side_usd) == "0.020000000000"
    assert {row.model for row in rollups.models(store)} == {"gpt-4o", "text-embedding-3-small"}
