"""Print `docs/policies.md` from the records: `python -m phasewise_analyzer.caches.page`."""

import sys
from datetime import date

from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.policy import Keys, Policy

HEAD = """\
# Cache policies

Printed from the records by `python -m phasewise_analyzer.caches.page > docs/policies.md`; a test
holds it true. Each call is judged by the record of its own day; of several that match, the one with
the most specific pattern holds. Days are UTC, and the last is the first on which the record no
longer holds. *documented*: the seller's own page says so. *measured*: somebody tried. *inferred*: a
guess, and the note says from what. Prices are shares of the input price, for where the price list
has none.

A record of your own goes into a file of this form, and is asked before these:

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
    "block_prefix": "the longest prefix, in blocks",
    "prefix_units": "whole prefixes, all or nothing",
    "token_radix": "the longest prefix, in a tree of tokens",
    "explicit_objects": "objects that the caller stores",
}

IMPLICIT = {
    "none": "",
    "last_segment": "one put on the last segment",
    "latest_user_or_tool": "one put on the latest message of a user or tool",
}


def markdown() -> str:
    """Give the whole page: a table of all records, then each with its sources and notes."""
    policies = book.read().policies
    table = [
        "| record | provider | models | from | until | rule | read | write | |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(policy) for policy in policies),
    ]
    return "\n".join([HEAD, *table, "", *(_section(policy) for policy in policies)])


def rule(policy: Policy) -> str:
    """Say a policy's rule in words."""
    parts = [FAMILY[policy.family]]
    if policy.opt_in:
        parts.append("only where asked for")
    if policy.min_tokens:
        parts.append(f"of at least {policy.min_tokens:,} tokens")
    if policy.family in ("block_prefix", "token_radix") and policy.granularity_tokens > 1:
        parts.append(f"blocks of {policy.granularity_tokens} tokens")
    if policy.keeps_answers:
        parts.append("answers are kept too")
    if policy.leave_a_token:
        parts.append("the last token is always computed")
    if policy.unit_interval_tokens is not None:
        parts.append(f"one every {policy.unit_interval_tokens:,} tokens")
    if policy.capacity_tokens is not None:
        parts.append(f"{policy.capacity_tokens:,} tokens in all, the least recently used go first")
    parts += _breakpoints(policy)
    parts += _lives(policy)
    if policy.sharding:
        parts.append("the caller's routing key splits it")
    if policy.best_effort:
        parts.append("no guarantee")
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
        parts.append(f"looks at the latest {policy.latest_breakpoints}")
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
    start = "a request's start" if policy.ttl_from == "request_start" else "the answer's start"
    renewed = ", renewed by reads" if policy.refresh_on_read else ""
    return [f"lives {' or '.join(lives)} from {start}{renewed}"]


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
        lines += ["", f"Storage: ${policy.storage_usd_mtok_hour} a million tokens and hour."]
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
    """Give the anchor that Markdown makes of a heading."""
    return policy.id.replace("/", "").replace(".", "")


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


if __name__ == "__main__":
    sys.stdout.write(markdown())
