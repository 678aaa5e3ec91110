"""Packing: what is kept of the sessions, what is left out, and the same bytes every time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.gpu import kit_plan, lone_steps, model_files, pack, pack_file
from phasewise_replay.gpu.lone_steps import Steps
from phasewise_replay.gpu.pack_file import Pack
from phasewise_replay.sessions.recorded import RecordedSession
from phasewise_store.errors import UsageError
from phasewise_store.store import Store

from tests.real_server import ROOT
from tests.replay.gpu.plans import PLAN, TOKENIZER, packed
from tests.replay.recorded import write_chats, write_sessions


def made(folder: Path, text: str) -> Pack:
    """Pack a plan whose model the machine has."""
    (folder / "plan.yaml").write_text(text)
    with Store.in_memory() as store:
        write_sessions(store)
        return pack.pack(store, kit_plan.read(folder / "plan.yaml"))


def tokens(session: RecordedSession) -> list[int]:
    """Return the length of each prompt."""
    return [sum(part.tokens for part in step.prompt) for step in session.steps]


@pytest.mark.parametrize("text", ["", "text: true"])
def test_a_pack_is_read_as_it_was_written(tmp_path: Path, text: str) -> None:
    """Plans, sessions, flags, smoke test and model files; the same bytes a second time."""
    before = made(tmp_path, f"{PLAN}\n{text}")
    size = pack_file.write(tmp_path / "a", before)
    after = pack_file.read(tmp_path / "a")
    assert after == before
    pack_file.write(tmp_path / "b", after)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_size == size


def test_without_text_no_word_of_a_prompt_is_packed(tmp_path: Path) -> None:
    """The lengths and the shared prefixes stay; `text: true` packs the recorded bytes."""
    bare, whole = made(tmp_path, PLAN), made(tmp_path, f"{PLAN}\ntext: true")
    one = bare.stages[0].recorded.sessions
    two = whole.stages[0].recorded.sessions
    assert list(map(tokens, one)) == list(map(tokens, two))
    assert all(part.content is None for step in one[0].steps for part in step.prompt)
    assert all(part.content for step in two[0].steps for part in step.prompt)
    assert one[0].steps[0].prompt[0].digest == one[5].steps[0].prompt[0].digest


def test_sessions_are_packed_from_their_start_on_and_without_secrets(tmp_path: Path) -> None:
    """What fills the cache is marked, also after reading; the run says how they were chosen."""
    text = PLAN.replace("    most_output", "    warm_start: 2\n    most_output") + "text: true\n"
    pack_file.write(tmp_path / "a", made(tmp_path, text))
    stage = pack_file.read(tmp_path / "a").stages[0]
    steps = stage.recorded.sessions[0].steps
    assert [(step.call_id, step.warm) for step in steps] == [
        *(("s0.1", True), ("s0.2", False), ("s0.3", False)),
    ]
    (chosen,) = stage.recorded.selections
    assert chosen.started is not None
    assert (chosen.started.calls, chosen.started.filling) == (12, 6)
    with Store.in_memory() as store:
        write_chats(store, {"a": ("x", ["PASSWORD=hunter2xyz"]), "b": ("x", ["is it hunter2xyz?"])})
        packed_text = pack.pack(
            store, kit_plan.parse(f"{PLAN}\ntext: true", tmp_path / "plan.yaml")
        )
    assert "hunter2xyz" not in repr(packed_text)
    assert packed_text.stages[0].recorded.selections[0].secrets[0].places == 2


def test_limits_end_sessions_and_cut_outputs_and_say_so(tmp_path: Path) -> None:
    """A session ends before its first prompt that is too long; what is left out is counted."""
    limits = "    most_output_tokens: 8\n    most_prompt_tokens: 700\n"
    stage = made(tmp_path, PLAN.replace("    most_output_tokens: 8\n", limits)).stages[0]
    kept = [tokens(session) for session in stage.recorded.sessions]
    everything = [tokens(session) for session in made(tmp_path, PLAN).stages[0].recorded.sessions]
    assert kept == [short for one in everything if (short := [size for size in one if size <= 700])]
    calls = sum(map(len, everything)) - sum(map(len, kept))
    assert calls > 0
    assert stage.left_out == (
        f"{calls} calls from the first prompt above 700 tokens on",
        f"{12 * (24 - calls)} output tokens of {24 - calls} calls above 8 each",
    )


@given(
    st.lists(st.integers(1, 70_000), max_size=4),
    st.lists(st.tuples(st.integers(1, 70_000), st.integers(1, 9_000)), max_size=4),
    st.integers(1, 3),
)
def test_lone_prefills_have_their_sizes_and_share_nothing(
    prefill: list[int], cached: list[tuple[int, int]], repeats: int
) -> None:
    """The new tokens of each step are those designed, and no prompt starts as another one."""
    steps = Steps(tuple(prefill), tuple(dict.fromkeys(cached)), repeats=repeats)
    found = lone_steps.sessions(steps)
    assert len(found) == repeats * (len(prefill) + len(set(cached)))
    firsts = {session.session_id: session.steps[0].prompt[0].digest for session in found}
    assert len(set(firsts.values())) == len(firsts)
    for session in found:
        if len(session.steps) == 2:
            before, after = (step.prompt for step in session.steps)
            assert after[: len(before)] == before


def test_a_batch_decodes_contexts_that_are_cached_before() -> None:
    """One session caches them all; each sequence then sends one, after the time that may take."""
    caching, *decoding = lone_steps.sessions(Steps(decode=(4096,), batch=8, output_tokens=96))
    assert [step.prompt for step in caching.steps] == [one.steps[0].prompt for one in decoding]
    assert {one.steps[0].output_tokens for one in decoding} == {96}
    assert {one.steps[0].wait_ns for one in decoding} == {8 * 4096 * 10**9 // 25_000}


@pytest.mark.parametrize(
    "steps",
    [
        {"batch": 8, "decode": (1, 2)},
        {"batch": 8, "prefill": (1,)},
        {"mixed": ((1, 2),), "decode": (1,)},
    ],
)
def test_steps_that_would_overlap_are_refused(steps: dict[str, object]) -> None:
    """With a batch, one size per stage: the next one's prefill would run beside the decodes."""
    with pytest.raises(UsageError, match="one stage for each"):
        Steps(**steps)  # type: ignore[arg-type]  # fields of Steps


def test_a_smaller_tokenizer_gets_a_text_for_every_id() -> None:
    """Random weights sample any id; those that are there stay."""
    filled = model_files.filled(TOKENIZER, 20)
    assert filled.startswith(b'{"added_tokens":[],"model":{"vocab":{"a":0,"~1~":1')
    assert filled.endswith(b'"~13~":19}}}')


def test_the_same_model_is_unpacked_to_the_same_folder(tmp_path: Path) -> None:
    """So that the engine finds what it compiled for it; other files have another folder."""
    files = {"config.json": b'{"vocab_size": 2}', "tokenizer.json": TOKENIZER}
    first = model_files.cached(files, tmp_path)
    (first / "made-later").write_text("kept")
    assert model_files.cached(dict(reversed(files.items())), tmp_path) == first
    assert {path.name for path in first.iterdir()} == {*files, "made-later"}
    other = model_files.cached(files | {"config.json": b'{"vocab_size": 3}'}, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([first, other])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("    sessions: [{source: recorded}]\n", ""), "either `sessions` or `steps`"),
        (("model: shape", "modell: shape"), "`model` is missing"),
        (("cached: [[256, 64]]", "cached: [256]"), "pairs such as"),
        (("{enable-prefix-caching: true}", "{port: 1}"), "set by the run itself"),
    ],
)
def test_a_wrong_plan_names_the_place(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    """The file, the key and what is right there."""
    with pytest.raises(UsageError, match=r"plan\.yaml.*" + reason):
        packed(tmp_path, PLAN.replace(*change))


def test_a_shape_without_tokenizer_asks_for_one(tmp_path: Path) -> None:
    """The message has the option and a folder that will do."""
    packed(tmp_path)
    (tmp_path / "shape" / "tokenizer.json").unlink()
    plan = kit_plan.read(tmp_path / "plan.yaml")
    with Store.in_memory() as store:
        write_sessions(store)
        with pytest.raises(UsageError, match="--tokenizer"):
            pack.pack(store, plan)
        (tmp_path / "tokenizer.json").write_bytes(TOKENIZER)
        assert pack.pack(store, plan, tokenizer=tmp_path).model_files["tokenizer.json"] == TOKENIZER


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "gpu").glob("*.yaml")))
def test_the_plans_that_ship_are_read_with_their_shapes(path: Path) -> None:
    """Each has a model folder beside it, and prompts that fit the context of its flags."""
    plan = kit_plan.read(path)
    assert plan.model_folder is not None
    context = plan.flags["gpu"]["max-model-len"]
    for stage in plan.stages:
        longest = stage.most_prompt_tokens or 0
        if stage.steps is not None:
            sessions = lone_steps.sessions(stage.steps)
            longest = max(size for session in sessions for size in tokens(session))
        assert isinstance(context, int)
        assert longest < context
