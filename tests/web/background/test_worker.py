"""What the process beside the pages makes, and when it makes it again."""

import queue
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from phasewise_analyzer.analyse import Memory, analyse
from phasewise_analyzer.flame import graph, tree_json
from phasewise_analyzer.prefixes import kept_reuse, reuse
from phasewise_analyzer.structure.lay_out import lay_out
from phasewise_store import kept_answers
from phasewise_store.facts import LIVE, Batch, LlmCall, Source, Usage
from phasewise_store.kept_answers import Facts, Kept, Question
from phasewise_store.scope import Scope
from phasewise_store.store import Store
from phasewise_web.app import make_app
from phasewise_web.background import questions
from phasewise_web.background.process import BackgroundProcess
from phasewise_web.background.questions import FLAME, STRUCTURE
from phasewise_web.background.worker import Worker, is_due

from tests.analyzer.facts_for_tests import messages, write_calls

SCOPE = Scope(source="made")
ANSWERED_S = 60.0


class Later:
    """Takes questions in and answers none of them."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def ask(self, question: Question) -> None:
        """Remember the question."""
        self.asked.append(question)


def write(store: Store, sessions: range) -> None:
    """Write sessions of two calls that share a system prompt; analyse them as the owner does."""
    for number in sessions:
        texts = ["Be careful and never guess. " * 30, f"question {number}"]
        prompts = [messages(texts), messages([*texts, "and then?"])]
        write_calls(store, prompts, session=f"s{number}", models=["m", "m"], provider="p")
    analyse(store, memory=Memory())


def test_a_turn_makes_what_is_missing(store: Store) -> None:
    """Reuse, flame graph and structure are those that the whole computation gives."""
    write(store, range(3))
    Worker(store, queue.SimpleQueue()).turn()
    flame = kept_answers.get(store, Question(FLAME, SCOPE))
    structure = kept_answers.get(store, Question(STRUCTURE, Scope(source="made", agent="a")))
    assert flame is not None
    assert structure is not None
    whole = graph.find(store, SCOPE)
    assert tree_json.read(flame.answer).all_frames == whole.all_frames
    assert questions.read_structure(structure.answer) == lay_out(store, Scope(agent="a"))
    assert kept_reuse.find(store, SCOPE)[0] == reuse.find(store, SCOPE)


def test_a_page_says_how_far_it_is_behind_and_asks(store: Store) -> None:
    """Nothing yet, all of it, then more calls than the answer was made of."""
    later = Later()
    client = TestClient(make_app(store, drawing=later), base_url="http://127.0.0.1:8321")
    question = Question(FLAME, SCOPE)
    asked: queue.SimpleQueue[Question] = queue.SimpleQueue()
    write(store, range(3))
    empty = client.get("/prefixes/flame").text
    assert "The prompts of 6 calls are being drawn." in empty
    assert 'http-equiv="refresh"' in empty
    assert "The prompts of 6 calls are being compared." in client.get("/prefixes").text
    assert "are being laid out" in client.get("/structure").text
    assert question in later.asked
    Worker(store, asked).turn()
    later.asked.clear()
    for path in ("/prefixes", "/prefixes/flame", "/structure"):
        current = client.get(path).text
        assert "is being added" not in current
        assert "refresh" not in current
    assert later.asked == []
    write(store, range(3, 5))
    for path in ("/prefixes", "/prefixes/flame", "/structure"):
        assert "Computed from 6 of 10 calls" in client.get(path).text
    assert question in later.asked
    asked.put(question)
    Worker(store, asked).turn()
    assert "Computed from" not in client.get("/prefixes/flame").text
    assert client.get("/prefixes/flame.json").json()["found"]["calls"] == 10


def test_a_frame_is_opened_from_what_is_kept(store: Store) -> None:
    """Each frame of the picture opens at once: nothing more is asked for."""
    write(store, range(4))
    Worker(store, queue.SimpleQueue()).turn()
    later = Later()
    client = TestClient(make_app(store, drawing=later), base_url="http://127.0.0.1:8321")
    for frame in graph.find(store, SCOPE).frames[1:]:
        if not frame.address:
            continue  # others beside the first frames
        found = client.get(f"/prefixes/flame.json?node={frame.address}").json()["found"]
        assert found["frames"][0]["address"] == frame.address
    assert later.asked == []


def test_an_answer_is_made_again_when_it_grew_or_after_a_rest() -> None:
    """A tenth more calls at once; less only after twenty times what it took to make."""
    made_at = datetime(2026, 11, 29, tzinfo=UTC)
    kept = Kept(b"", Facts(100, "100 1"), made_at, took_s=3.0)
    soon, late = made_at + timedelta(seconds=59), made_at + timedelta(seconds=60)
    assert not is_due(kept, Facts(100, "100 1"), late)
    assert not is_due(kept, Facts(109, "109 1"), soon)
    assert is_due(kept, Facts(110, "110 1"), soon)
    assert is_due(kept, Facts(100, "100 2"), late)


def test_the_process_answers_through_the_owner_and_is_started_again(tmp_path: Path) -> None:
    """What it made is in the owner's store; killed in the middle, the next question starts it."""
    with Store.own(tmp_path / "p.duckdb") as store:
        write(store, range(3))
        store.work_for_others()
        background = BackgroundProcess(tmp_path / "p.duckdb")
        opened = Question(FLAME, Scope(source="made", session_id="s1"))
        try:
            background.start()
            background.kill()
            wait_for(store, background, Question(FLAME, SCOPE))
            wait_for(store, background, opened)
        finally:
            background.close()
        kept = kept_answers.get(store, opened)
        assert kept is not None
        assert tree_json.read(kept.answer).calls == 2


def wait_for(store: Store, background: BackgroundProcess, question: Question) -> None:
    """Ask until the answer is kept."""
    until = time.monotonic() + ANSWERED_S
    while kept_answers.stamp(store, question) is None:
        assert time.monotonic() < until, "no answer"
        background.ask(question)
        time.sleep(0.2)


def test_live_calls_are_compared_as_they_come(store: Store) -> None:
    """Batch by batch, also where the prompt of an earlier call changes in between."""
    worker = Worker(store, queue.SimpleQueue(), rest=0)
    live = Source(LIVE, LIVE, "otlp", "otlp")
    for step, last in enumerate(("then", "and", "so", "then", "other")):
        prompt = messages(["Be careful. " * 20, f"first {step % 2}", last])
        name = "0" if last == "other" else str(step)
        call = LlmCall(name, "s", "s/a", step, Usage(uncached_tokens=90), prompt=prompt, model="m")
        store.rewrite(Batch(live, llm_calls=(call,)))
        analyse(store, memory=Memory())
        worker.turn()
        kept, _ = kept_reuse.find(store, Scope(source=LIVE), by="session")
        assert kept == reuse.find(store, Scope(source=LIVE), by="session")
