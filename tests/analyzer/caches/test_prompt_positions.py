"""Places that go on from a stream's last prompt are those of a walk up from the prompt's end."""

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.caches import prompt_positions
from phasewise_analyzer.caches.prompt_cache import Asked
from phasewise_analyzer.caches.requests import Requests
from phasewise_store.facts import SegmentKind
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import write_calls

KIND: st.SearchStrategy[SegmentKind] = st.sampled_from(["tool", "system", "message"])
PARTS = st.lists(
    st.tuples(KIND, st.sampled_from(["ab c", "ab d", "e"])),
    min_size=1,
    max_size=6,
)
CALLS = st.lists(st.tuples(st.sampled_from("st"), st.sampled_from("mn"), PARTS), max_size=9)


def walked(requests: Requests, asked: Asked, row: int) -> tuple[list[int], list[int]]:
    """Give path and ends of a prompt the plain way."""
    path = [asked.path[-1]]
    while (above := int(requests.tree.parent[path[-1]])) >= 0:
        path.append(above)
    nodes = np.array(path[::-1], dtype=np.int32)
    return path[::-1], requests.tokens.at(np.full(len(path), row), nodes).tolist()


@given(CALLS, st.sampled_from([1, 256]))
@settings(max_examples=30, deadline=None)
def test_a_stream_goes_on(
    calls: list[tuple[str, str, list[tuple[SegmentKind, str]]]], remembered: int
) -> None:
    """Appended, cut short, begun anew, of two models; and where all but one stream is forgotten."""
    with Store.in_memory() as store, patch.object(prompt_positions, "MOST_STREAMS", remembered):
        prompts = [tuple(text_segment(*part, "user") for part in parts) for *_, parts in calls]
        write_calls(
            store,
            prompts,
            agents=[agent for agent, *_ in calls],
            models=[model for _, model, _ in calls],
        )
        requests = Requests(store)
        for one in requests:
            for asked in (one.asked, *one.answers()):
                path, ends = walked(requests, asked, one.row)
                assert (asked.path, asked.ends) == (path, ends)
                assert len(asked.whole) == len(asked.tiers) == len(path)
            _, _, parts = calls[one.row]
            tiers = [("tool", "system", "message").index(kind) for kind, _ in parts]
            if tiers[0] < 2:
                tiers = np.maximum.accumulate(tiers).tolist()
            ended = zip(one.asked.tiers, one.asked.whole, strict=True)
            assert [tier for tier, whole in ended if whole] == tiers
            assert one.asked.path[-1] == int(requests.tree.leaf[one.row])
