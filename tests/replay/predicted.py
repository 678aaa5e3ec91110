"""Send recorded sessions to an engine, each call once, with its cached tokens predicted."""

from collections.abc import Sequence
from itertools import chain, zip_longest

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_replay.driving.driver import Pace
from phasewise_replay.engine import Engine, Request, started
from phasewise_replay.runs.prediction import Prediction
from phasewise_replay.runs.preparing import prepare
from phasewise_replay.sessions.recorded import RecordedSession

AT_ONCE = 4
"""sessions whose calls alternate"""


def in_turns(found: Sequence[Sequence[Request]]) -> list[Request]:
    """Let the calls of a few sessions alternate; at the end come back to where some had been."""
    order: list[Request] = []
    for at in range(0, len(found), AT_ONCE):
        calls = chain.from_iterable(zip_longest(*found[at : at + AT_ONCE]))
        order += [call for call in calls if call is not None]
    return order + [session[len(session) // 2] for session in found if session]


def replayed(engine: Engine, conversations: Sequence[RecordedSession]) -> list[tuple[int, int]]:
    """Send everything to a cold cache; give for each call the foretold and the cached tokens."""
    pairs = []
    with started(engine) as resolved:
        prepared = prepare(conversations, engine, resolved, Pace())
        order = in_turns([[due.request for due in steps] for steps in prepared.sessions])
        engine.reset()
        prediction = Prediction(resolved)
        for request in order:
            pairs.append(_served(engine, request, prepared.token_ids[request.call_id], prediction))
    return pairs


def _served(
    engine: Engine, request: Request, prompt: TokenIds, prediction: Prediction
) -> tuple[int, int]:
    foretold = prediction.before(prompt)
    answer = engine.send(request)
    prediction.after(prompt, answer)
    assert answer.error is None, answer.error
    assert foretold is not None, "nothing is foretold"
    assert answer.cached_tokens is not None, "the server does not say what it took from its cache"
    assert answer.input_tokens == len(prompt)
    assert answer.output_tokens == request.output_tokens
    return foretold, answer.cached_tokens
