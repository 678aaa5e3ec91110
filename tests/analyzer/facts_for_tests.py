"""Small sessions for the analyzer's tests, written through a real store."""

from collections.abc import Sequence

from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Session, Source, Usage
from phasewise_store.segments import block_segment, text_segment
from phasewise_store.store import Store

SOURCE = Source("ab" * 32, "made", "made", "made.jsonl")


def blocks(ids: Sequence[int], tokens: int = 16) -> tuple[Segment, ...]:
    """Make a prompt of hashed blocks."""
    return tuple(block_segment(b"made", number, tokens) for number in ids)


def messages(texts: Sequence[str]) -> tuple[Segment, ...]:
    """Make a prompt of messages."""
    return tuple(text_segment("message", text, "user") for text in texts)


def write_calls(
    store: Store,
    prompts: Sequence[tuple[Segment, ...]],
    *,
    usages: Sequence[Usage] | None = None,
    block_tokens: int | None = None,
    session: str = "s",
    agents: Sequence[str] | None = None,
    starts_ns: Sequence[int] | None = None,
    models: Sequence[str] | None = None,
    **fields: object,
) -> None:
    """Write one call a prompt, in order.

    `agents` names each call's instance, `models` its model, `starts_ns` its start.
    """
    columns = {"started_ns": starts_ns, "model": models}
    each = [
        {name: values[step] for name, values in columns.items() if values}
        for step in range(len(prompts))
    ]
    names = list(agents or ["a"] * len(prompts))
    calls = [
        LlmCall(
            call_id=f"{session}.{step}",
            session_id=session,
            agent_id=f"{session}/{names[step]}",
            step=step,
            usage=usages[step]
            if usages
            else Usage(uncached_tokens=sum(part.tokens for part in prompt), output_tokens=10),
            prompt=prompt,
            block_tokens=block_tokens,
            **(fields | own),  # type: ignore[arg-type]  # fields of LlmCall, chosen by the test
        )
        for (step, prompt), own in zip(enumerate(prompts), each, strict=True)
    ]
    store.write(
        Batch(
            SOURCE,
            sessions=(Session(session),),
            agents=tuple(
                Agent(f"{session}/{name}", session, name) for name in dict.fromkeys(names)
            ),
            llm_calls=tuple(calls),
        )
    )
