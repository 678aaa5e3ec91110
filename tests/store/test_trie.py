"""The trie: ids that are the same everywhere, arrays whose parents come first."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from phasewise_store.facts import Segment
from phasewise_store.segments import block_segment, raw_segments, text_segment
from phasewise_store.trie import ROOT, Node, PathFinder, dense, segment_id, shared_length

prompts = st.lists(
    st.lists(st.integers(0, 3), max_size=8).map(
        lambda ids: tuple(block_segment(b"scope", number, 16) for number in ids)
    ),
    max_size=12,
)


@given(prompts)
def test_a_leaf_is_found_again_by_walking_up(paths: list[tuple[Segment, ...]]) -> None:
    """Walking from a prompt's leaf to the root gives the prompt's segments backwards."""
    fresh: dict[int, Node] = {}
    finder = PathFinder()
    for number, path in enumerate(paths):
        here = finder.leaf(f"stream {number % 2}", path, fresh)
        back = []
        while here != ROOT:
            back.append(fresh[here].segment)
            here = fresh[here].parent_id
        assert tuple(reversed(back)) == path


@given(prompts)
def test_dense_arrays_keep_every_path(paths: list[tuple[Segment, ...]]) -> None:
    """The dense trie gives each call's path, with parents numbered before children."""
    fresh: dict[int, Node] = {}
    finder = PathFinder()
    leaves = [finder.leaf("one", path, fresh) for path in paths]
    nodes = list(fresh.values())
    trie = dense(
        nodes=np.array([n.node_id for n in nodes], dtype=np.uint64),
        parents=np.array([n.parent_id for n in nodes], dtype=np.uint64),
        segments=np.array([segment_id(n.segment) for n in nodes], dtype=np.uint64),
        depths=np.array([n.depth for n in nodes], dtype=np.int32),
        ends=np.array([n.tokens_end for n in nodes], dtype=np.int64),
        leaves=np.array(leaves, dtype=np.uint64),
    )
    assert all(parent < node for node, parent in enumerate(trie.parent))
    for path, leaf in zip(paths, trie.leaf, strict=True):
        assert (leaf == -1) == (not path)
        back: list[int] = []
        here = int(leaf)
        while here >= 0:
            back.append(int(trie.segment[here]))
            here = int(trie.parent[here])
        assert back[::-1] == [segment_id(segment) for segment in path]


@given(st.text(alphabet="ab\n", max_size=3000), st.text(max_size=50), st.text(max_size=50))
def test_raw_prompts_with_a_common_prefix_share_their_cuts(
    prefix: str, left: str, right: str
) -> None:
    """Cuts depend on what stands before them only, and lose no byte."""
    one, other = raw_segments(prefix + left), raw_segments(prefix + right)
    assert b"".join(s.content or b"" for s in one).decode() == prefix + left
    whole = raw_segments(prefix)[:-1]
    assert one[: len(whole)] == other[: len(whole)] == whole


@given(prompts)
def test_shared_length_is_that_of_a_walk(paths: list[tuple[Segment, ...]]) -> None:
    """Bisection over slices finds the same length as comparing one by one."""
    for left, right in itertools.pairwise(paths):
        walked = 0
        for one, other in zip(left, right, strict=False):
            if one != other:
                break
            walked += 1
        assert shared_length(left, right) == walked


def test_role_and_kind_are_part_of_a_segment() -> None:
    """The same words from user and assistant are two segments."""
    assert text_segment("message", "yes", "user") != text_segment("message", "yes", "assistant")
    assert text_segment("system", "yes", "system") != text_segment("message", "yes", "system")


def test_block_ids_of_different_files_never_match() -> None:
    """Block 7 of one file is not block 7 of another."""
    assert block_segment(b"file one", 7, 64) != block_segment(b"file two", 7, 64)
