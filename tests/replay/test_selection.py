"""How sessions are chosen out of a store, and what a run says and keeps of it."""

from dataclasses import replace

import orjson
import pytest
from phasewise_replay.engine import Answer, Request
from phasewise_replay.engines.fake import FakeEngine, usual_answer
from phasewise_replay.plans.arms import UrlArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.runs.run import resume, run
from phasewise_replay.sessions import selection, sessions
from phasewise_replay.sessions.selection import Selection, Stratum
from phasewise_replay.verdicts.compare import compare
from phasewise_reports.run_report import render_html, render_markdown
from phasewise_store import runs
from phasewise_store.store import Store
from phasewise_web.cli.compare import print_verdict

from tests.replay.recorded import write_chats

CHATS = {
    "a": ("coder", ["fix the bug", "PASSWORD=hunter2xyz", "thanks"]),
    "b": ("coder", ["write a test", "hunter2xyz does not work"]),
    "c": ("coder", ["fix the bug", "PASSWORD=hunter2xyz", "thanks"]),
    "d": ("planner", ["plan the week", "and the month"]),
    "e": ("coder", ["fix the bug", "PASSWORD=hunter2xyz", "no"]),
}
PLAN = Plan("made", (UrlArm("off", "http://unused"),), warmup_calls=0)


def chosen(store: Store, choice: SessionChoice) -> Selection:
    """Choose, and return the record."""
    recorded = sessions.load(store, choice)
    (found,) = recorded.selections
    assert tuple(one.session_id for one in recorded.sessions) == found.session_ids
    return found


def sent_by(engine: FakeEngine) -> dict[str, list[str]]:
    """Return the messages of every call that was measured."""
    return {
        one.call_id: [orjson.loads(message)["content"] for message in one.messages]
        for one in engine.requests
        if one.call_id != "canary"
    }


def test_a_session_with_the_prompts_of_another_is_left_out(store: Store) -> None:
    """With its name beside the one that stays; of the newest the last one stays."""
    write_chats(store, CHATS)
    found = chosen(store, SessionChoice())
    assert found.session_ids == ("a", "b", "d", "e")
    assert (found.of, found.duplicates, found.duplicate_of) == (4, 1, (("c", "a"),))
    assert found.duplicates_in_words == (
        "1 session has the prompts of another one, left out: c (as a)"
    )
    newest = chosen(store, SessionChoice(limit=2, sample="newest"))
    assert (newest.session_ids, newest.duplicate_of) == (("d", "e"), (("a", "c"),))
    assert chosen(store, SessionChoice(keep_duplicates=True)).session_ids == tuple("abcde")
    assert chosen(store, SessionChoice(ids=("c", "a"))).session_ids == ("c", "a")


def test_what_is_cut_off_does_not_tell_sessions_apart(store: Store) -> None:
    """Two calls of each session: the third, in which e differs from a, is not sent."""
    write_chats(store, CHATS)
    found = chosen(store, SessionChoice(max_calls=2))
    assert found.duplicate_of == (("c", "a"), ("e", "a"))


def test_the_rule_its_seed_and_what_it_covers_are_said(store: Store) -> None:
    """Each agent in proportion; the share of the recorded tokens where there are no prices."""
    write_chats(store, CHATS)
    found = chosen(store, SessionChoice(limit=2, sample="stratified", seed=5))
    assert found.strata == (Stratum("coder", 3, 1), Stratum("planner", 1, 1))
    assert found.in_words.startswith(
        "2 of 4 sessions, drawn from each agent in proportion to its sessions, seed 5; "
    )
    assert found.in_words.endswith("% of the recorded tokens")
    assert chosen(store, SessionChoice()).in_words == "all 4 sessions"
    assert chosen(store, SessionChoice(ids=("a",))).seed is None


def test_a_run_sends_stand_ins_and_keeps_how_its_sessions_were_chosen(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the store, on the command line, in HTML and Markdown; no engine sees the password."""
    write_chats(store, CHATS)
    engine = FakeEngine()
    run_id = run(store, PLAN, engine_for=lambda arm: engine)
    told = sent_by(engine)
    assert "hunter2xyz" not in repr(told)
    password = told["a.1"][1].removeprefix("PASSWORD=")
    assert told["b.1"][1] == f"{password} does not work"
    verdict = compare(store, run_id)
    (found,) = verdict.selections
    assert found == selection.decode(runs.run(store, run_id).selection)[0]
    assert found.secrets_in_words == "1 replaced by stand-ins at 2 places (password: 1)"
    print_verdict(verdict)
    for text in (capsys.readouterr().out, render_html(verdict), render_markdown(verdict)):
        assert "all 4 sessions" in text
        assert "c (as a)" in text
        assert found.secrets_in_words in text


def test_secrets_are_sent_where_the_plan_asks_for_them(store: Store) -> None:
    """And the verdict says that they were."""
    write_chats(store, CHATS)
    engine = FakeEngine()
    plan = replace(PLAN, sessions=SessionChoice(keep_secrets=True))
    verdict = compare(store, run(store, plan, engine_for=lambda arm: engine))
    assert sent_by(engine)["a.1"][1] == "PASSWORD=hunter2xyz"
    assert verdict.selections[0].secrets_in_words == "sent as recorded, as the plan asks"


def test_a_resumed_run_sends_the_same_stand_ins_in_the_same_order(store: Store) -> None:
    """Also when a session that comes first has got another secret meanwhile."""
    write_chats(store, CHATS)

    def cut(request: Request) -> Answer:
        if request.call_id == "e.1" and len(first.requests) > 20:
            raise KeyboardInterrupt
        return usual_answer(request)

    first = FakeEngine(answer=cut)
    with pytest.raises(KeyboardInterrupt):
        run(store, PLAN, engine_for=lambda arm: first)
    grown = {"a": ("coder", ["fix the bug", "PASSWORD=hunter2xyz", "thanks", "PASSWORD=first1pw"])}
    write_chats(store, {**CHATS, **grown})
    second = FakeEngine()
    resume(store, PLAN, engine_for=lambda arm: second)
    assert sent_by(first) == sent_by(second)
    order = [one.call_id for one in first.requests if one.call_id != "canary"][:10]
    assert [one.call_id for one in second.requests if one.call_id != "canary"][:10] == order
