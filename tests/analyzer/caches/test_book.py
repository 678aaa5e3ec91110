"""The book: which record holds when, and how mistakes in records are named."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from phasewise_analyzer.caches import book
from phasewise_store.errors import UsageError

BOOK = book.read()


def at_ns(text: str) -> int:
    """Give a moment in nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("anthropic", "claude-opus-5-5", "anthropic/opus-5.5"),
        ("anthropic", "Claude-Opus-5-20260401", "anthropic/opus-5"),
        ("anthropic", "claude-opus-4-20250514", "anthropic/opus-4"),
        ("anthropic", "claude-haiku-4-5-20251001", "anthropic/haiku-4.5"),
        ("anthropic", "claude-opus-9", "anthropic/other"),
        ("aws.bedrock", "us.anthropic.claude-opus-4-6-v1:0", "claude-elsewhere/minimum-4096"),
        ("gcp.vertex_ai", "claude-opus-5@20260401", "claude-elsewhere/minimum-512"),
        ("aws.bedrock", "amazon.nova-pro-v1:0", "bedrock/nova"),
        ("openai", "gpt-4o-mini-2024-07-18", "openai/gpt-4o"),
        ("openai", "gpt-5.4-mini", "openai/gpt-5"),
        ("openai", "gpt-5", "openai/gpt-5"),
        ("openai", "gpt-5.5", "openai/gpt-5.5"),
        ("openai", "gpt-5.6-sol", "openai/gpt-5.6"),
        ("openai", "gpt-6.1-terra", "openai/gpt-6.1"),
        ("az.ai.openai", "gpt-5.6-sol", "azure/gpt-from-5.6"),
        (None, "gpt-4o", "openai/gpt-4o"),
        (None, "claude-opus-5", "anthropic/opus-5"),
        ("litellm", "anthropic/claude-sonnet-4-6", "anthropic/sonnet-4.6"),
        ("openrouter", "anthropic/claude-sonnet-5", "anthropic/sonnet-5"),
        ("gcp.gemini", "gemini-2.5-flash", "google/minimum-1024"),
        ("gcp.gemini", "gemini-4-argon", "google/gemini-3-and-4"),
        ("deepseek", "deepseek-v4-flash", "deepseek/units"),
        ("x_ai", "grok-4.7", "xai/blocks"),
        ("mistral_ai", "mistral-large-4", "mistral/prefix"),
        ("groq", "openai/gpt-oss-120b", "groq/prefix"),
        ("fireworks", "glm-5p3", "fireworks/prefix"),
        ("moonshotai", "kimi-k3", "moonshot/kimi-k3"),
        ("vllm", "meta-llama/Llama-3.1-8B", "vllm/blocks"),
        ("sglang", "Qwen/Qwen3-8B", "sglang/radix"),
    ],
)
def test_a_call_finds_its_record(provider: str | None, model: str, expected: str) -> None:
    """However a provider is spelt, the most specific record for the model is taken."""
    found = BOOK.policy(provider, model, None)
    assert found is not None
    assert found.id == expected


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", None), (None, "my-own-model"), ("nobody", "gpt-4o"), ("azure", "deepseek-v4")],
)
def test_what_no_record_knows_has_none(provider: str | None, model: str | None) -> None:
    """No rule is guessed, and an engine's `*` does not catch calls without a provider."""
    assert BOOK.policy(provider, model, None) is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-06T23:59:59", "anthropic/sonnet-5.5-launch"),
        ("2026-10-07T00:00:00", "anthropic/sonnet-5.5"),
        ("1970-01-01T00:10:00", "anthropic/sonnet-5.5"),
    ],
)
def test_a_call_is_judged_by_the_record_of_its_day(moment: str, expected: str) -> None:
    """The read price fell on 7 October; a trace with a clock of its own has the newest record."""
    found = BOOK.policy("anthropic", "claude-sonnet-5-5", at_ns(moment))
    assert found is not None
    assert found.id == expected


def test_objects_that_are_paid_for_are_found_by_name_only() -> None:
    """Gemini caches by itself unless the caller stores an object."""
    assert BOOK.named("google/explicit-flash").family == "explicit_objects"
    found = BOOK.policy("google", "gemini-2.5-flash", None)
    assert found is not None
    assert found.family == "block_prefix"


def test_policies_can_be_told_apart_in_a_set() -> None:
    """One cache a policy: records serve as keys."""
    assert len(set(BOOK.policies)) == len(BOOK.policies)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """A typo in a what-if names what there is."""
    with pytest.raises(UsageError, match=r"no cache policy `vlm`; the policies are .*vllm/blocks"):
        BOOK.named("vlm")


def test_every_record_has_a_source_that_was_seen() -> None:
    """A guess says from what; nothing was read in the future of the record's own book."""
    for policy in BOOK.policies:
        assert policy.sources, policy.id
        assert all(one.seen <= date(2026, 11, 26) for one in policy.sources), policy.id
        assert policy.notes or policy.confidence != "inferred", policy.id


RECORD = """\
records:
  - id: mine
    providers: [gateway]
    models: ["*"]
    family: block_prefix
    isolation: account
    confidence: measured
    sources: [{url: "https://gateway.example", seen: 2026-11-23}]
"""
SECOND = RECORD.removeprefix("records:\n").replace("id: mine", "id: other")


def test_a_user_s_own_record_is_asked_first(tmp_path: Path) -> None:
    """An own record wins even against a more specific one of the package."""
    text = RECORD.replace("gateway]", "openai]").replace('["*"]', '["gpt-*"]')
    (tmp_path / "mine.yaml").write_text(text)
    for path in (tmp_path, tmp_path / "mine.yaml"):
        mine = book.read(path)
        found = mine.policy("openai", "gpt-5.6-sol", None)
        assert found is not None
        assert found.id == "mine"
        assert mine.policy("anthropic", "claude-opus-5", None) == BOOK.named("anthropic/opus-5")


def test_shared_fields_are_merged_and_own_ones_win() -> None:
    """`<<` brings what `shared:` holds; what a record says itself holds."""
    text = "shared:\n  rule: &rule {min_tokens: 7, granularity_tokens: 8}\n" + RECORD
    text = text.replace("  - id: mine", "  - <<: *rule\n    min_tokens: 9\n    id: mine")
    policy = book.parse(text, "mine.yaml").named("mine")
    assert (policy.min_tokens, policy.granularity_tokens) == (9, 8)


def added(line: str) -> str:
    """Give the record with one more line, its ninth."""
    return f"{RECORD}    {line}\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (RECORD.replace("sources:", "source:"), 2, r"needs a source: `sources:"),
        (RECORD.replace("[{url", "[] #"), 8, r"needs at least one source"),
        (RECORD.replace("https://gateway.example", "my head"), 8, r"`my head` is not a URL"),
        (RECORD.replace("2026-11-23", "last week"), 8, r"`last week` is not a date such as"),
        (RECORD.replace("2026-11-23", "2026-02-30"), 8, r"`2026-02-30` is not a date"),
        (RECORD.replace("isolation: account", "isolation: room"), 6, r"`room` is not one of"),
        (RECORD.replace("block_prefix", "magic"), 5, r"`magic` is not one of break"),
        (RECORD.replace("measured", "sure"), 7, r"`sure` is not one of documented"),
        (RECORD.replace("    family: block_prefix\n", ""), 2, r"`family` is missing"),
        (RECORD.replace('["*"]', "[]"), 4, r"must have at least one entry"),
        (RECORD.replace('["*"]', "gpt"), 4, r"must be a list"),
        (
            added("minimum: 1024"),
            9,
            r"`minimum` is not a known key here; the keys are .*min_tokens",
        ),
        (added("min_tokens: -1"), 9, r"must be a number of at least 0, not `-1`"),
        (added("min_tokens: 1.5"), 9, r"must be a whole number, not `1.5`"),
        (added("min_tokens: many"), 9, r"must be a number, not `many`"),
        (added("min_tokens: nan"), 9, r"must be a number of at least 0, not `nan`"),
        (added("granularity_tokens: 0"), 9, r"must be a whole number of at least 1"),
        (
            added("read_multiplier: 1.1"),
            9,
            r"costs more than without a cache; the multiplier must be at most 1",
        ),
        (added("storage_usd_mtok_hour: -2"), 9, r"must be a number of at least 0"),
        (added("best_effort: perhaps"), 9, r"`perhaps` is not one of true, false"),
        (added("keys: {tools: [mood]}"), 9, r"`mood` is not one of model"),
        (
            added("keys: {assistant: [model]}"),
            9,
            r"`assistant` is not a known key here; the keys are messages",
        ),
        (added("effective: [2026-10-07]"), 9, r"must be two dates, e.g."),
        (added("effective: [2026-10-07, 2026-10-07]"), 2, r"not after its start"),
        (added("lifetimes_s: {5m: 300}"), 2, r"`default_lifetime` is missing; name one of `5m`"),
        (added("default_lifetime: 5m"), 2, r"which is not in `lifetimes_s` \(none\)"),
        (added("lifetimes_s: {5m: -300}"), 9, r"must be a number of at least 0"),
        (
            added("write_multipliers: {5m: 2}"),
            2,
            r"names `5m`, which is not in `lifetimes_s` \(none\)",
        ),
        (added("refresh_on_read: false"), 2, r"does not apply to this family"),
        (added("family: block_prefix"), 9, r"duplicate key `family`"),
        (RECORD.replace("block_prefix", "breakpoint_hash"), 2, r"needs `lookback_positions`"),
        (RECORD.replace("block_prefix", "explicit_objects"), 2, r"need `opt_in: true`"),
        (RECORD + SECOND, 9, r"record `other`: its dates overlap with `mine` for gateway `\*`"),
        (RECORD + RECORD.removeprefix("records:\n"), 9, r"another record has the same id"),
        ("- id: mine\n", 1, r"must be a mapping"),
        ("\n", 1, r"the file is empty"),
        ("records: [\n", 2, r"not YAML"),
        (
            "records: []\nmore: 1\n",
            2,
            r"`more` is not a known key here; the keys are records, shared",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_line(text: str, line: int, message: str) -> None:
    """Whatever is wrong in a record, the error says where and what to do."""
    with pytest.raises(UsageError, match=rf"^mine\.yaml:{line}: .*{message}"):
        book.parse(text, "mine.yaml")


def test_charged_writes_need_a_price_for_every_lifetime() -> None:
    """A lifetime whose writes cost nobody knows what is refused."""
    text = added("lifetimes_s: {5m: 300, 1h: 3600}\n    default_lifetime: 5m")
    free = text + "    write_multipliers: {5m: 1}\n"
    with pytest.raises(UsageError, match=r"needs `writes_charged: true`"):
        book.parse(free, "mine.yaml")
    with pytest.raises(UsageError, match=r"writes are charged, but .* lacks `1h`"):
        book.parse(free + "    writes_charged: true\n", "mine.yaml")


def test_records_that_follow_each_other_do_not_overlap() -> None:
    """One ends on the day on which the other begins."""
    text = f"{RECORD}    effective: [null, 2026-10-07]\n{SECOND}    effective: [2026-10-07, null]\n"
    both = book.parse(text, "mine.yaml")
    found = [both.policy("gateway", "any", at_ns(day)) for day in ("2026-10-06", "2026-10-07")]
    assert [one.id for one in found if one is not None] == ["mine", "other"]


def test_a_folder_without_records_says_what_to_do(tmp_path: Path) -> None:
    """An empty folder is a mistake, and so is a file that is not there."""
    with pytest.raises(UsageError, match=r"no .yaml files with records in"):
        book.read(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read the records .*none.yaml"):
        book.read(tmp_path / "none.yaml")
