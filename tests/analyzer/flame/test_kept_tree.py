"""Kept frames draw what the whole computation draws, in every measure and from every frame."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer import analyse
from phasewise_analyzer.flame import graph, kept_tree, tree_json
from phasewise_analyzer.flame.kept_tree import MEASURES
from phasewise_collector.importing import import_paths
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from tests.analyzer.flame.test_graph import recorded_calls, write

Recorded = list[tuple[list[int], int, float, float, str]]


def hold(store: Store, scope: Scope, most: int) -> int:
    """Compare the pictures of all frames that are shown; give how many were drawn whole."""
    kept = kept_tree.make(store, graph.read(store, scope), most=most)
    tree = tree_json.read(tree_json.written(kept))
    assert tree == kept
    addresses = {frame.address for frame in graph.find(store, scope).frames}
    whole = 0
    for address in sorted(addresses)[:12]:
        for measure in MEASURES:
            drawn = kept_tree.picture(tree, measure, address)
            if drawn is not None and drawn.is_whole:
                whole += 1
                assert drawn.flame == graph.find(store, scope, measure=measure, address=address)
    return whole


@given(recorded_calls, st.sampled_from([1, 3, 100]))
@settings(max_examples=12, deadline=None)
def test_whatever_is_kept_a_whole_picture_is_the_computed_one(
    recorded: Recorded, most: int
) -> None:
    """With few frames kept, a picture is either the same or says that it is not whole."""
    with Store.in_memory() as store:
        write(store, recorded)
        drawn = hold(store, EVERYTHING, most)
    assert drawn >= (most == 100)


def test_an_opened_frame_has_a_tree_of_its_own(store: Store) -> None:
    """What is too narrow to be kept in the whole is there once its frame is opened."""
    recorded = [([0, 1, one % 3, one // 3], 0, 0.5, 0.0, "claude-opus-4-1") for one in range(9)]
    write(store, recorded)
    forest = graph.read(store)
    for frame in graph.find(store).frames:
        tree = kept_tree.make(store, forest, frame.address)
        drawn = kept_tree.picture(tree, "sent", frame.address)
        assert drawn is not None
        assert drawn.flame == graph.find(store, address=frame.address)


@pytest.mark.parametrize("name", ["mooncake", "tau-bench"])
def test_real_traces_are_drawn_from_what_is_kept(
    shared_traces: Path, store: Store, name: str
) -> None:
    """The topmost picture is whole in every measure."""
    import_paths(store, sorted((shared_traces / name).rglob("*.gz"))[:1])
    analyse.analyse(store)
    forest = graph.read(store)
    tree = kept_tree.make(store, forest)
    for measure in MEASURES:
        drawn = kept_tree.picture(tree, measure)
        assert drawn is not None
        assert drawn.is_whole
        assert drawn.flame == graph.find(store, measure=measure)
