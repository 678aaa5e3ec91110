"""Small recorded sessions in a store, for replays."""

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

SOURCE = "recorded"


def write_sessions(store: Store, sessions: int = 6, steps: int = 4) -> None:
    """Write chats that grow message by message and share their system prompt."""
    system = text_segment("system", '{"role":"system","content":"%s"}' % ("rule " * 300), "system")
    facts: list[LlmCall] = []
    for session in range(sessions):
        history = [system]
        for step in range(steps):
            text = f'{{"role":"user","content":"{f"s{session}q{step} " * (40 + 9 * session)}"}}'
            history.append(text_segment("message", text, "user"))
            facts.append(
                LlmCall(
                    call_id=f"s{session}.{step}",
                    session_id=f"s{session}",
                    agent_id=f"s{session}/a",
                    step=step,
                    usage=Usage(
                        uncached_tokens=sum(part.tokens for part in history), output_tokens=20
                    ),
                    started_ns=10**18 + (session * 100 + step * 10) * 10**9,
                    duration_ns=10**9,
                    prompt=tuple(history),
                )
            )
            answer = f'{{"role":"assistant","content":"answer {step}"}}'
            history.append(text_segment("message", answer, "assistant"))
    names = [f"s{session}" for session in range(sessions)]
    store.write(
        Batch(
            Source("cd" * 32, SOURCE, "made", "made"),
            sessions=tuple(Session(name) for name in names),
            agents=tuple(Agent(f"{name}/a", name, "a") for name in names),
            llm_calls=tuple(facts),
        )
    )
