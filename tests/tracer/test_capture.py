"""What leaves a program under each capture mode, and that hashes keep what prefixes need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise.capture import ANSWER, PROMPT, Hasher, filtered, secret
from phasewise_collector.dialects.content import content_of
from phasewise_collector.dialects.hashed import segments
from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.tracer.test_init import ASK, INIT, traced

SECRET = "the-launch-code-is-0000"


def span(*messages: str, system: str = "Be kind.", tools: int = 2) -> dict[str, object]:
    """Make a span's attributes with these user messages."""
    request = {
        "tools": [{"name": f"tool {n}"} for n in range(tools)],
        "messages": [
            {"role": "system", "content": system},
            *({"role": "user", "content": one} for one in messages),
        ],
    }
    answer = {"choices": [{"message": {"role": "assistant", "content": "yes"}}]}
    return {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m",
        "llm.token_count.prompt": 9,
        "input.value": json.dumps(request),
        "output.value": json.dumps(answer),
        "llm.input_messages.0.message.content": SECRET,
    }


def digests(attributes: dict[str, object]) -> list[bytes]:
    """Read the prompt's digests as the collector does."""
    return [segment.digest for segment in segments(str(attributes[PROMPT]))]


def test_equal_prefixes_have_equal_digests_and_nothing_else_does() -> None:
    """A grown conversation shares all of the old one; a changed system prompt changes the rest."""
    hasher = Hasher(b"k" * 32)
    first = digests(hasher.attributes(span("a", "b")))
    grown = digests(hasher.attributes(span("a", "b", "c")))
    changed = digests(hasher.attributes(span("a", "b", system="Be brief.")))
    assert len(first) == 5
    assert grown[:5] == first
    assert changed[:2] == first[:2]
    assert not set(changed[2:]) & set(first)


def test_a_cache_breakpoint_is_not_hashed() -> None:
    """Agents move the marker with every call: the digests stay those of the text."""
    hasher = Hasher(b"k" * 32)
    found = []
    for mark in ({}, {"cache_control": {"type": "ephemeral"}}):
        block = {"type": "text", "text": "hello"} | mark
        request = {"messages": [{"role": "user", "content": [block]}]}
        found.append(digests(hasher.attributes({"input.value": json.dumps(request)})))
    assert found[0] == found[1]


def test_a_digest_depends_on_the_key() -> None:
    """Without the key nothing can be guessed, and two users' prompts cannot be compared."""
    one, other = (digests(Hasher(bytes([n]) * 32).attributes(span("a"))) for n in (1, 2))
    assert not set(one) & set(other)


def test_what_a_hasher_remembers_changes_nothing() -> None:
    """A hasher that has seen a thousand prompts gives what a new one gives."""
    used = Hasher(b"k" * 32)
    for number in range(200):
        used.attributes(span(*map(str, range(number % 7)), system=str(number % 90)))
    attributes = span("a", "b", "c")
    assert used.attributes(attributes) == Hasher(b"k" * 32).attributes(attributes)


@given(st.lists(st.text(max_size=20), max_size=5), st.text(min_size=4, max_size=20))
def test_no_text_is_left(messages: list[str], word: str) -> None:
    """Neither hash nor none keeps a word of the prompt, whichever attribute held it."""
    marked = f"<<{word}>>{SECRET}"
    attributes = span(*messages, marked, system=marked) | {
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": marked}]),
        "gen_ai.prompt.0.content": marked,
        "traceloop.entity.input": marked,
        "ai.prompt.messages": marked,
        "exception.message": marked,
        "tool.parameters": marked,
    }
    for left in (filtered(Hasher(b"k" * 32), attributes), filtered(None, attributes)):
        assert SECRET not in json.dumps(left)
        assert left["llm.token_count.prompt"] == 9


def test_none_leaves_numbers_only() -> None:
    """No hash either."""
    left = filtered(None, span("a"))
    assert PROMPT not in left
    assert ANSWER not in left


def test_the_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    """The same key for every program of the user, readable by nobody else."""
    made = secret(tmp_path, None)
    assert secret(tmp_path, None) == made
    assert (tmp_path / "hash.key").stat().st_mode & 0o077 == 0
    assert secret(tmp_path, "shared") == secret(tmp_path / "elsewhere", "shared") != made


def test_gemini_and_bedrock_are_hashed_as_they_are_stored() -> None:
    """As many parts as content mode stores: each function a tool, the system prompt, the turns."""
    functions = [{"name": "a"}, {"name": "b"}]
    gemini = {
        "systemInstruction": {"parts": [{"text": SECRET}]},
        "tools": [{"functionDeclarations": functions}],
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    }
    bedrock = {
        "system": [{"text": SECRET}],
        "toolConfig": {"tools": [{"toolSpec": one} for one in functions]},
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
    }
    for request in (gemini, bedrock):
        attributes: dict[str, object] = {"input.value": json.dumps(request)}
        hashed = Hasher(b"k" * 32).attributes(attributes)
        stored = content_of({"input.value": json.dumps(request)}).prompt
        kinds = [segment.kind for segment in stored]
        assert [one.kind for one in segments(str(hashed[PROMPT]))] == kinds
        assert kinds == ["tool", "tool", "system", "message"]
        assert SECRET not in json.dumps(hashed)


TWO_TURNS = f"""{INIT}
from openai import OpenAI
client = OpenAI(base_url=BASE, api_key="none")
said = [{{"role": "system", "content": "{SECRET}"}}]
for turn in range(2):
    said.append({{"role": "user", "content": "question " + str(turn)}})
    answer = client.chat.completions.create(model="stand-in", messages=said)
    said.append({{"role": "assistant", "content": answer.choices[0].message.content}})
"""


def test_prefixes_are_found_from_hashes_alone(tmp_path: Path) -> None:
    """A real SDK, a real acceptor: no byte of the text in the log, two prompts in the trie."""
    calls, _ = traced(tmp_path, TWO_TURNS, PHASEWISE_CAPTURE="hash")
    assert calls["input_tokens"].to_list() == [100, 100]
    logged = b"".join(path.read_bytes() for path in (tmp_path / "log").glob("*.log"))
    assert SECRET.encode() not in logged
    assert calls["leaf_node"].n_unique() == 2


def test_hash_mode_gives_the_same_trie_as_content(tmp_path: Path) -> None:
    """Per call as many parts, and two calls share as many of them."""
    shapes = []
    for mode in ("content", "hash"):
        with Store.open(tmp_path / f"{mode}.duckdb") as store:
            calls, _ = traced(tmp_path / mode, TWO_TURNS, store=store, PHASEWISE_CAPTURE=mode)
            prompts = [
                [part.digest for part in reads.prompt(store, call_id)]
                for call_id in reads.llm_calls(store, Scope())["call_id"]
            ]
        assert calls.height == 2
        shared = sum(a == b for a, b in zip(*prompts, strict=False))
        shapes.append(([len(prompt) for prompt in prompts], shared))
    assert shapes[0] == shapes[1] == ([2, 4], 2)


REFUSED = f"""{INIT}
from openai import OpenAI, OpenAIError
client = OpenAI(base_url=BASE + "/nowhere", api_key="{SECRET}", max_retries=0)
try:
    client.chat.completions.create(
        model="stand-in", messages=[{{"role": "user", "content": "{SECRET}"}}]
    )
except OpenAIError:
    pass
"""


@pytest.mark.parametrize("mode", ["hash", "none"])
def test_a_refusal_leaks_nothing(tmp_path: Path, mode: str) -> None:
    """The status of a refused request arrives, no word of its prompt, and never the key."""
    program = REFUSED.replace("/nowhere", "/refused")
    calls, _ = traced(tmp_path, program, PHASEWISE_CAPTURE=mode)
    assert calls["error"].to_list() == ["HTTP 400"]
    assert calls["input_tokens"].to_list() == [0]
    logged = b"".join(path.read_bytes() for path in (tmp_path / "log").glob("*.log"))
    assert SECRET.encode() not in logged


def test_none_sends_no_prompt(tmp_path: Path) -> None:
    """Tokens and times arrive, the prompt does not."""
    calls, _ = traced(tmp_path, TWO_TURNS, PHASEWISE_CAPTURE="none")
    assert calls["input_tokens"].to_list() == [100, 100]
    assert calls["leaf_node"].to_list() == [0, 0]


def test_include_usage_is_asked_for_on_streams(tmp_path: Path) -> None:
    """A program that streams without the option gets its tokens counted by the server."""
    plain = ASK.replace('stream_options={"include_usage": True}', "")
    with_option, _ = traced(tmp_path / "a", INIT + plain, PHASEWISE_INCLUDE_USAGE="true")
    without, _ = traced(tmp_path / "b", INIT + plain)
    assert with_option["usage_origin"].to_list() == ["reported", "reported"]
    assert without["usage_origin"].to_list() == ["reported", "estimated"]


def test_a_wrong_word_is_logged_and_stops_nothing(tmp_path: Path) -> None:
    """`capture="all"`: the program runs, and the log says which words there are."""
    program = "import phasewise; phasewise.init(capture='all'); print('done')"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert ended.stdout == "done\n"
    assert "content, hash, none" in ended.stderr


def test_testing_gives_the_same_spans_every_time() -> None:
    """Counted ids and times: two runs are equal to the last digit."""
    runs = []
    for _ in range(2):
        from phasewise import testing

        provider, exporter = testing.provider()
        tracer = provider.get_tracer("t")
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
            pass
        runs.append(
            [
                (s.name, s.context.span_id, s.start_time or 0, s.end_time or 0)
                for s in exporter.get_finished_spans()
            ]
        )
    assert runs[0] == runs[1]
    (inner, outer) = runs[0]
    assert outer[2] < inner[2] < inner[3] < outer[3]


@pytest.mark.parametrize("tool", ["claude-code", "codex", "vllm"])
def test_env_prints_a_block(tool: str) -> None:
    """Lines on stdout that name the collector; an unknown tool is misuse and lists the known."""
    command = [sys.executable, "-m", "phasewise_web.cli.main", "env"]
    said = subprocess.run([*command, tool], capture_output=True, text=True, check=True).stdout
    assert "127.0.0.1:431" in said
    wrong = subprocess.run([*command, "x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert tool in wrong.stderr
