"""The front of a server, as its probes show it: HTTP, tokenizer, and the client before them.

Alone, a prompt tells the latency: what its first token took beyond the engine's own time. How long
the front is busy with a request shows in bursts of short prompts, see `Sender.front_busy_s`; what a
token adds is work of the same process, so it adds as much to both.
"""

from collections.abc import Sequence

import numpy as np
from phasewise_analyzer.engine.step_times.front import Front


def front(lone: Sequence[tuple[int, float]], *, busy_s: float) -> Front:
    """Return the front from lone prompts (tokens, time beyond the engine's own) and bursts.

    What a token adds to the latency is the median slope between prompts of unlike lengths (Theil
    and Sen): some prompts are held up by other processes.
    """
    tokens, seconds = (np.array(column, dtype=np.float64) for column in zip(*lone, strict=True))
    one, two = np.triu_indices(len(tokens), k=1)
    unlike = tokens[one] != tokens[two]
    one, two = one[unlike], two[unlike]
    slopes = (seconds[two] - seconds[one]) / (tokens[two] - tokens[one])
    token_s = max(0.0, float(np.median(slopes))) if len(slopes) else 0.0
    latency_s = max(0.0, float(np.median(seconds - token_s * tokens)))
    return Front(latency_s, min(busy_s, latency_s), token_s)
