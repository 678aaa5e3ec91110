"""Small recorded sessions in a store, for replays."""

from collections.abc import Mapping, Sequence

import orjson
from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Session, Source, Usage
from phasewise_store.segments import block_segment, text_segment
from phasewise_store.store import Store

SOURCE = "recorded"
ANSWERED_SESSIONS, ANSWERED_STEPS = 2, 3


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


def said(session: int, step: int) -> str:
    """Give what `write_answered_sessions` has as the answer of a call."""
    return f"answer {step} of {session}: " + "well " * (step + session)


def write_answered_sessions(
    store: Store, *, captured: int = ANSWERED_STEPS, secret: str = ""
) -> None:
    """Write chats whose answers were captured, of the first calls of each session."""
    facts: list[LlmCall] = []
    for session in range(ANSWERED_SESSIONS):
        history: list[Segment] = []
        for step in range(ANSWERED_STEPS):
            history.append(_message("user", f"question {step} of {session} {secret}"))
            answer = _message("assistant", said(session, step) + secret)
            facts.append(
                LlmCall(
                    *(f"s{session}.{step}", f"s{session}", f"s{session}/a", step),
                    usage=Usage(uncached_tokens=40, output_tokens=7),
                    started_ns=10**18 + (session * 100 + step * 10) * 10**9,
                    duration_ns=10**9,
                    prompt=tuple(history),
                    output=(answer,) if step < captured else (),
                )
            )
            history.append(answer)
    write_calls(store, facts)


def write_calls(store: Store, facts: Sequence[LlmCall]) -> None:
    """Write calls with their sessions, of an agent each."""
    names = list(dict.fromkeys(fact.session_id for fact in facts))
    store.write(
        Batch(
            Source("56" * 32, SOURCE, "made", "made"),
            sessions=tuple(map(Session, names)),
            agents=tuple(Agent(f"{name}/a", name, "a") for name in names),
            llm_calls=tuple(facts),
        )
    )


def _message(role: str, text: str) -> Segment:
    return text_segment("message", orjson.dumps({"role": role, "content": text}).decode(), role)


def write_chats(store: Store, chats: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Write sessions of an agent each: a call per message, each with all messages before it."""
    facts: list[LlmCall] = []
    for number, (name, (agent, texts)) in enumerate(chats.items()):
        messages = [orjson.dumps({"role": "user", "content": text}).decode() for text in texts]
        history = [text_segment("message", text, "user") for text in messages]
        for step in range(len(texts)):
            prompt = tuple(history[: step + 1])
            facts.append(
                LlmCall(
                    call_id=f"{name}.{step}",
                    session_id=name,
                    agent_id=f"{name}/{agent}",
                    step=step,
                    usage=Usage(
                        uncached_tokens=sum(part.tokens for part in prompt), output_tokens=5
                    ),
                    started_ns=10**18 + (number * 100 + step * 10) * 10**9,
                    duration_ns=10**9,
                    prompt=prompt,
                )
            )
    store.write(
        Batch(
            Source("34" * 32, SOURCE, "made", "made"),
            sessions=tuple(map(Session, chats)),
            agents=tuple(
                Agent(f"{name}/{agent}", name, agent) for name, (agent, _) in chats.items()
            ),
            llm_calls=tuple(facts),
        )
    )


def write_repeating_sessions(store: Store, sessions: int = 3) -> None:
    """Write two calls per session of agent `a`: the second answers with what a tool has read.

    That answer is 22 estimated tokens long, of which all but the first two can be drafted; 30 are
    reported.
    """
    facts: list[LlmCall] = []
    for session in range(sessions):
        words = " ".join(f"w{session}x{place}" for place in range(5))
        asked = text_segment("message", '{"role":"user","content":"read it"}', "user")
        call = text_segment(
            "message",
            '{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",'
            '"function":{"name":"read","arguments":"{\\"path\\": \\"a\\"}"}}]}',
            "assistant",
        )
        read = text_segment(
            "message", f'{{"role":"tool","tool_call_id":"c","content":"see {words}"}}', "tool"
        )
        answer = text_segment(
            "message", f'{{"role":"assistant","content":"see {words}"}}', "assistant"
        )
        for step, (prompt, output) in enumerate((((asked,), call), ((asked, call, read), answer))):
            facts.append(
                LlmCall(
                    call_id=f"s{session}.{step}",
                    session_id=f"s{session}",
                    agent_id=f"s{session}/a",
                    step=step,
                    usage=Usage(uncached_tokens=40, output_tokens=30),
                    model="made-up",
                    started_ns=10**18 + (session * 100 + step * 10) * 10**9,
                    duration_ns=10**9,
                    prompt=prompt,
                    output=(output,),
                )
            )
    names = [f"s{session}" for session in range(sessions)]
    store.write(
        Batch(
            Source("12" * 32, SOURCE, "made", "made"),
            sessions=tuple(Session(name) for name in names),
            agents=tuple(Agent(f"{name}/a", name, "a") for name in names),
            llm_calls=tuple(facts),
        )
    )


def write_hashed_sessions(store: Store, sessions: int = 6, steps: int = 4) -> None:
    """Write sessions of block hashes without text, whose prompts grow by a block of 64 tokens."""
    facts = [
        LlmCall(
            call_id=f"s{session}.{step}",
            session_id=f"s{session}",
            agent_id=f"s{session}/a",
            step=step,
            usage=Usage(uncached_tokens=64 * (step + 1), output_tokens=20),
            started_ns=10**18 + (session * 100 + step * 10) * 10**9,
            duration_ns=10**9,
            prompt=tuple(
                block_segment(f"s{session}".encode(), place, 64) for place in range(step + 1)
            ),
        )
        for session in range(sessions)
        for step in range(steps)
    ]
    names = [f"s{session}" for session in range(sessions)]
    store.write(
        Batch(
            Source("ab" * 32, SOURCE, "made", "made"),
            sessions=tuple(Session(name) for name in names),
            agents=tuple(Agent(f"{name}/a", name, "a") for name in names),
            llm_calls=tuple(facts),
        )
    )


def write_sub_agents(store: Store, sessions: int = 6) -> None:
    """Write sessions of a parent whose two sub-agents work at the same time, and are joined.

    Calls of session `s0`: s0.p0, then s0.a0 and s0.a1 beside s0.b0, then s0.p1.
    """
    spans = {"p0": (0, 10), "a0": (12, 20), "b0": (13, 40), "a1": (25, 30), "p1": (45, 50)}
    facts: list[LlmCall] = []
    agents: list[Agent] = []
    for number in range(sessions):
        name = f"s{number}"
        parent = f"{name}/p"
        agents += [Agent(parent, name, "p")]
        agents += [Agent(f"{name}/{one}", name, one, parent_agent_id=parent) for one in "ab"]
        for step, (call, (start, end)) in enumerate(spans.items()):
            text = f'{{"role":"user","content":"{f"{name}{call} " * (30 + 9 * number)}"}}'
            prompt = (text_segment("message", text, "user"),)
            facts.append(
                LlmCall(
                    call_id=f"{name}.{call}",
                    session_id=name,
                    agent_id=f"{name}/{call[0]}",
                    step=step,
                    usage=Usage(uncached_tokens=prompt[0].tokens, output_tokens=20),
                    started_ns=10**18 + (number * 100 + start) * 10**9,
                    duration_ns=(end - start) * 10**9,
                    prompt=prompt,
                )
            )
    store.write(
        Batch(
            Source("ef" * 32, SOURCE, "made", "made"),
            sessions=tuple(Session(f"s{number}") for number in range(sessions)),
            agents=tuple(agents),
            llm_calls=tuple(facts),
        )
    )
