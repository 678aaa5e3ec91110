"""Print `docs/policies.md` from the records: `python -m phasewise_analyzer.caches.page`."""

import sys
from datetime import date

from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.policy import Keys, Policy

HEAD = """\
# Cache policies

Generated from the records by `python -m phasewise_analyzer.caches.page > docs/policies.md`; a test
keeps it up to date. The record of a call's own day applies to it; if several match, the one with
the most specific pattern. Days are UTC, and `until` is the first day on which the record no longer
applies. *documented*: stated on the provider's own page. *measured*: found by experiment.
*inferred*: a guess, with its basis in the note. Prices are fractions of the input price, used when
the price list has none.

Your own records go into a file of this form, and take precedence over these:

```yaml
records:
  - id: mine/gateway
    providers: [my-gateway]
    models: ["*"]
    family: block_prefix           # or breakpoint_hash, prefix_units, token_radix, explicit_objects
    min_tokens: 1024
    granularity_tokens: 128
    lifetimes_s: {short: 600}
    default_lifetime: short
    isolation: account             # or workspace, organization, engine
    read_multiplier: 0.25
    effective: [2026-10-01, null]
    confidence: measured
    sources: [{url: "https://gateway.example/caching", seen: 2026-11-23}]
```
"""

FAMILY = {
    "breakpoint_hash": "prefixes that end at a breakpoint",
    "block_prefix": "the longest prefix, in whole blocks",
    "prefix_units": "complete earlier prefixes, all or nothing",
    "token_radix": "the longest prefix, in a radix tree of tokens",
    "explicit_objects": "cache objects created by the caller",
}

IMPLICIT = {
    "none": "",
    "last_segment": "an implicit one on the last segment",
    "latest_user_or_tool": "an implicit one on the latest user or tool message",
}


def markdown() -> str:
    """Return the whole page: a table of all records, then each with its sources and notes."""
    policies = book.read().policies
    table = [
        "| record | provider | models | from | until | rule | read | write | |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(policy) for policy in policies),
    ]
    return "\n".join([HEAD, *table, "", *(_section(policy) for policy in policies)])


def rule(policy: Policy) -> str:
    """Return a policy's rule as text."""
    parts = [FAMILY[policy.family]]
    if policy.opt_in:
        parts.append("opt-in")
    if policy.min_tokens:
        parts.append(f"at least {policy.min_tokens:,} tokens")
    if policy.family in ("block_prefix", "token_radix") and policy.granularity_tokens > 1:
        parts.append(f"blocks of {policy.granularity_tokens} tokens")
    if policy.keeps_answers:
        parts.append("outputs are cached too")
    if policy.leave_a_token:
        parts.append("the last token is always computed")
    if policy.unit_interval_tokens is not None:
        parts.append(f"one per {policy.unit_interval_tokens:,} tokens")
    if policy.capacity_tokens is not None:
        parts.append(
            f"{policy.capacity_tokens:,} tokens in total, least recently used evicted first"
        )
    parts += _breakpoints(policy)
    parts += _lives(policy)
    if policy.sharding:
        parts.append("sharded by the caller's routing key")
    if policy.best_effort:
        parts.append("best effort")
    return "; ".join(parts)


def _breakpoints(policy: Policy) -> list[str]:
    parts = []
    if policy.max_breakpoints is not None:
        parts.append(f"at most {policy.max_breakpoints} breakpoints")
    if IMPLICIT[policy.implicit_breakpoint]:
        parts.append(IMPLICIT[policy.implicit_breakpoint])
    if policy.lookback_positions is not None:
        parts.append(f"looks back {policy.lookback_positions} positions from each")
    if policy.latest_breakpoints is not None:
        parts.append(f"looks at the latest {policy.latest_breakpoints} breakpoints")
    return parts


def _lives(policy: Policy) -> list[str]:
    if not policy.lifetimes_s:
        return []
    names = sorted(policy.lifetimes_s, key=policy.lifetime_s)
    lives = [
        f"{name} ({policy.lifetimes_s[name]:,.0f} s{', default' * (len(names) > 1)})"
        if name == policy.default_lifetime
        else f"{name} ({policy.lifetimes_s[name]:,.0f} s)"
        for name in names
    ]
    start = (
        "the start of the request"
        if policy.ttl_from == "request_start"
        else "the start of the response"
    )
    renewed = ", renewed by reads" if policy.refresh_on_read else ""
    return [f"lifetime {' or '.join(lives)} from {start}{renewed}"]


def _row(policy: Policy) -> str:
    cells = [
        f"[{policy.id}](#{_anchor(policy)})",
        ", ".join(policy.providers),
        ", ".join(f"`{one}`" for one in policy.models),
        _day(policy.effective_from),
        _day(policy.effective_until),
        rule(policy),
        "" if policy.read_multiplier is None else f"{policy.read_multiplier}",
        ", ".join(f"{name} {share}" for name, share in policy.write_multipliers.items())
        or ("charged" if policy.writes_charged else "free"),
        policy.confidence,
    ]
    return f"| {' | '.join(cells)} |"


def _section(policy: Policy) -> str:
    lines = [f"### {policy.id}", "", f"Shared by: {policy.isolation}.{_keys(policy.keys)}"]
    if policy.storage_usd_mtok_hour is not None:
        lines += ["", f"Storage: ${policy.storage_usd_mtok_hour} per million tokens and hour."]
    if policy.notes:
        lines += ["", f"Note: {policy.notes}."]
    lines.append("")
    for source in policy.sources:
        says = f": {source.says}" if source.says else ""
        lines.append(f"- <{source.url}>, seen {source.seen}{says}")
    return "\n".join([*lines, ""])


def _keys(keys: Keys) -> str:
    tiers = (("tools", keys.tools), ("system", keys.system), ("messages", keys.messages))
    parts = [f"{tier} {', '.join(f'`{one}`' for one in names)}" for tier, names in tiers if names]
    return f" Settings in the key: {'; '.join(parts)}." if parts else ""


def _anchor(policy: Policy) -> str:
    """Return the anchor that Markdown makes of a heading."""
    return policy.id.replace("/", "").replace(".", "")


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


if __name__ == "__main__":
    sys.stdout.write(markdown())
