"""Small facts that store tests write."""

from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Session, Source, Usage
from phasewise_store.segments import text_segment

SOURCE = Source("file-1", "sample", "made", "made.json")
SYSTEM = text_segment("system", "You are a helpful agent.", "system")


def turn(number: int) -> Segment:
    """Give the user message of one turn."""
    return text_segment("message", f"turn {number}", "user")


def growing_session(calls: int, session: str = "s1") -> Batch:
    """Give one session whose prompt grows by a message a call."""
    history = [SYSTEM]
    made = []
    for step in range(calls):
        history.append(turn(step))
        made.append(
            LlmCall(
                call_id=f"{session}-{step}",
                session_id=session,
                agent_id=f"{session}/main",
                step=step,
                usage=Usage(uncached_tokens=10 + step, output_tokens=3),
                prompt=tuple(history),
                output=(text_segment("message", f"answer {step}", "assistant"),),
            )
        )
    return Batch(
        SOURCE,
        sessions=(Session(session),),
        agents=(Agent(f"{session}/main", session, "main"),),
        llm_calls=tuple(made),
    )
