"""What cells must add up to: the same sums, straight over the rows of calls."""

import polars as pl
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

_SUMS = """
count(DISTINCT c.session_id) AS sessions,
count(*) FILTER (NOT c.is_side) AS calls,
coalesce(sum(c.input_tokens), 0)::BIGINT AS input_tokens,
coalesce(sum(c.uncached_tokens), 0)::BIGINT AS uncached_tokens,
coalesce(sum(c.cache_read_tokens), 0)::BIGINT AS cache_read_tokens,
coalesce(sum(c.cache_write_5m_tokens + c.cache_write_1h_tokens), 0)::BIGINT AS cache_write_tokens,
coalesce(sum(c.output_tokens), 0)::BIGINT AS output_tokens,
coalesce(sum(c.reasoning_tokens), 0)::BIGINT AS reasoning_tokens,
coalesce(sum(k.sent_before_tokens), 0)::BIGINT AS sent_before_tokens,
coalesce(sum(k.missed_tokens), 0)::BIGINT AS missed_tokens,
coalesce(sum(k.unreported_tokens), 0)::BIGINT AS unreported_tokens,
coalesce(sum(b.lost_tokens) FILTER (b.wasteful), 0)::BIGINT AS wasted_tokens,
count(k.prefill_usd) AS priced_calls,
sum(k.prefill_usd) AS prefill_usd,
sum(k.prefill_low_usd) AS prefill_low_usd,
sum(k.prefill_high_usd) AS prefill_high_usd,
sum(k.cached_usd) AS cached_usd,
sum(k.unreported_usd) AS unreported_usd,
sum(k.missed_usd) AS missed_usd,
CASE WHEN count(k.missed_usd) > 0
     THEN coalesce(sum(b.lost_usd) FILTER (b.wasteful), 0) END AS wasted_usd,
sum(k.decode_usd) AS decode_usd,
coalesce(sum(k.other_usd) + coalesce(sum(c.side_usd), 0), sum(c.side_usd)) AS other_usd,
coalesce(
    sum(k.prefill_usd) + sum(k.decode_usd) + sum(k.other_usd) + coalesce(sum(c.side_usd), 0),
    sum(c.side_usd)
) AS total_usd,
count(*) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL) AS timed_calls,
sum(k.prefill_ns) FILTER (k.decode_ns IS NOT NULL)::BIGINT AS prefill_ns,
sum(k.saved_ns) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL)::BIGINT AS saved_ns,
sum(k.prefill_low_ns) FILTER (k.decode_ns IS NOT NULL)::BIGINT AS prefill_low_ns,
sum(k.prefill_high_ns) FILTER (k.decode_ns IS NOT NULL)::BIGINT AS prefill_high_ns,
sum(k.decode_ns) FILTER (k.prefill_ns IS NOT NULL)::BIGINT AS decode_ns,
sum(k.other_ns) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL)::BIGINT AS other_ns,
count(*) FILTER (k.latency_basis = 'estimated') AS estimated_calls,
count(*) FILTER (NOT c.cache_reported) AS cache_unknown_calls,
count(*) FILTER (c.ambiguous) AS ambiguous_calls,
count(*) FILTER (c.is_side) AS side_calls,
count(*) FILTER (c.is_side AND c.side_usd IS NULL) AS unpriced_side_calls,
sum(c.side_usd) AS side_usd
"""
_FROM = """
FROM (
    SELECT *, FALSE AS is_side, NULL::DECIMAL(24, 12) AS side_usd
    FROM llm_calls
    UNION ALL BY NAME
    SELECT side_call_id AS call_id, source_id, session_id, agent_id, provider, model,
           TRUE AS is_side, usd AS side_usd
    FROM side_calls
) c
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
LEFT JOIN call_costs k USING (call_id)
LEFT JOIN breaks b USING (call_id)
"""


def sums(store: Store, key: str, scope: Scope = EVERYTHING) -> pl.DataFrame:
    """Sum the calls in scope by an SQL key over llm_calls c, sources s, agents a, in its order."""
    condition, parameters = scope.condition()
    return store.frame(
        f"SELECT {key} AS key, {_SUMS} {_FROM} WHERE {condition} GROUP BY ALL ORDER BY ALL",
        parameters,
    )
