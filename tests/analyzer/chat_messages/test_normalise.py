"""What is sent for what was recorded, and what is said about it."""

import json
from typing import Any

import pytest
from phasewise_analyzer.chat_messages.facts import Thinking, in_words
from phasewise_analyzer.chat_messages.normalise import Normaliser
from phasewise_store.segments import text_segment
from phasewise_store.tokens import estimate

from tests.analyzer.chat_messages.shapes import PIXEL, Message, segment, tool

ASKED = {"role": "user", "content": "list the files"}


def sent(*messages: Message, thinking: Thinking = "drop") -> list[dict[str, Any]]:
    """Give the messages that are sent for recorded ones."""
    prompt = Normaliser(thinking).prompt([segment(message) for message in messages])
    return [json.loads(message) for message in prompt.messages]


def said(*messages: Message) -> tuple[str, ...]:
    """Give what is said to be changed."""
    return in_words(Normaliser().prompt([segment(message) for message in messages]).changes)


def called(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    """Give a call as it is sent."""
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def test_a_chat_that_can_be_sent_is_sent_byte_for_byte() -> None:
    """Spaces, the order of keys and text in parts stay; nothing is said to be changed."""
    raw = (
        '{"content": "be brief",  "role": "system"}',
        '{"role": "user", "content": [{"type": "text", "text": "a"}]}',
        '{"role":"assistant","content":null,"tool_calls":[{"id":"x","type":"function",'
        '"function":{"name":"f","arguments":"{}"}}]}',
        '{"role": "tool", "tool_call_id": "x", "content": "", "name": "f"}',
    )
    roles = ("system", "user", "assistant", "tool")
    kinds = ("system", "message", "message", "message")
    prompt = Normaliser().prompt(
        [text_segment(kind, one, role) for kind, one, role in zip(kinds, raw, roles, strict=True)]  # type: ignore[arg-type]  # kinds of segments
    )
    assert prompt.messages == tuple(one.encode() for one in raw)
    assert prompt.changes == {}


def test_claude_code_s_blocks_become_calls_and_results() -> None:
    """Thinking goes, two results of one message become two, the words beside them follow."""
    answer = {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "ok"},
            {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
            {"type": "tool_use", "id": "t2", "name": "Bash", "input": {}},
        ],
    }
    results = {
        "role": "user",
        "content": [
            {"type": "text", "text": "a reminder"},
            {"type": "tool_result", "tool_use_id": "t2", "content": "two"},
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [{"type": "text", "text": "1"}],
            },
        ],
    }
    assert sent(ASKED, answer, results) == [
        ASKED,
        {
            "role": "assistant",
            "content": "ok",
            "tool_calls": [called("t1", "Bash", '{"command":"ls"}'), called("t2", "Bash")],
        },
        {"role": "tool", "tool_call_id": "t2", "content": "two"},
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "user", "content": "a reminder"},
    ]
    assert said(ASKED, answer, results) == (
        "thinking dropped: 1 block",
        "4 messages rewritten for a chat endpoint",
    )


def test_codex_s_items_of_one_turn_are_one_message() -> None:
    """Reasoning, a function and a patch in text of its own, each its own segment."""
    items: list[dict[str, object]] = [
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
    ]
    answers: list[dict[str, object]] = [
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_text", "text": "a"}],
        },
    ]
    history = [
        *({"role": "assistant", "content": [item]} for item in items),
        *({"role": "tool", "content": [item]} for item in answers),
    ]
    assert sent(ASKED, *history) == [
        ASKED,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                called("c1"),
                called("c2", "apply_patch", '{"input":"*** Begin"}'),
            ],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "done"},
        {"role": "tool", "tool_call_id": "c1", "content": "a"},
    ]


def test_an_item_that_was_given_a_role_is_read_by_its_type() -> None:
    """Codex's compaction puts a role on items that have none."""
    item = {"role": "user", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"role": "user", "type": "function_call_output", "call_id": "c", "output": "x"}
    assert sent(ASKED, item, output)[1:] == [
        {"role": "assistant", "content": "", "tool_calls": [called("c")]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]


def test_gemini_s_parts_get_ids_in_the_order_of_the_calls() -> None:
    """Its API has none: a result belongs to the waiting call of its name."""
    calls = {
        "role": "model",
        "content": [
            {"thoughtSignature": "s", "functionCall": {"name": "g", "args": {}}},
            {"functionCall": {"name": "f", "args": {}}},
        ],
    }
    result = {"functionResponse": {"name": "f", "response": {"result": 1}}}
    history = sent(ASKED, calls, {"role": "user", "content": [result]})
    assert [call["id"] for call in history[1]["tool_calls"]] == ["call_0", "call_1"]
    assert history[2] == {"role": "tool", "tool_call_id": "call_1", "content": '{"result":1}'}


@pytest.mark.parametrize(
    "fields",
    [
        {"additional_kwargs": {"tool_calls": [called("x")], "refusal": None}},
        {"tool_calls": [{"type": "tool_call", "id": "x", "name": "f", "args": {}}]},
        {"tool_calls": [], "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {}}]},
    ],
)
def test_langchain_s_calls_are_found_where_it_keeps_them(fields: Message) -> None:
    """In its own form, in the provider's, or beside the message's own fields."""
    message = {"role": "assistant", "content": "", **fields}
    assert sent(ASKED, message)[1]["tool_calls"] == [called("x")]


def test_an_id_that_was_used_before_becomes_another() -> None:
    """Some models call everything `call_1`; each result still follows its own call."""
    call = {"role": "assistant", "content": None, "tool_calls": [called("x")]}
    result = {"role": "tool", "tool_call_id": "x", "content": "r"}
    history = sent(ASKED, call, result, call, result)
    assert [one["tool_calls"][0]["id"] for one in (history[1], history[3])] == ["x", "x_2"]
    assert [one["tool_call_id"] for one in (history[2], history[4])] == ["x", "x_2"]


def test_a_call_without_a_result_is_answered_by_a_note() -> None:
    """The run was interrupted: strict templates refuse a call that nobody answered."""
    call = {"role": "assistant", "content": None, "tool_calls": [called("x")]}
    history = sent(ASKED, call, ASKED)
    assert [one["role"] for one in history] == ["user", "assistant", "tool", "user"]
    assert "no result" in history[2]["content"]
    assert "1 tool call without a result answered by a note" in said(ASKED, call, ASKED)


def test_a_result_without_its_call_becomes_text() -> None:
    """After a compaction its call may be gone."""
    result = {"role": "tool", "tool_call_id": "gone", "name": "f", "content": "r"}
    assert sent(ASKED, result)[1] == {"role": "user", "content": "[result of f]\nr"}


def test_words_between_two_results_go_with_the_first() -> None:
    """Claude Code writes each result as an entry of its own, with reminders beside it."""
    call = {"role": "assistant", "content": None, "tool_calls": [called("x"), called("y")]}
    first = {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "x", "content": "1"},
            {"type": "text", "text": "mind this"},
        ],
    }
    second = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "y", "content": "2"}],
    }
    assert sent(ASKED, call, first, second)[2:] == [
        {"role": "tool", "tool_call_id": "x", "content": "1\nmind this"},
        {"role": "tool", "tool_call_id": "y", "content": "2"},
    ]


def test_what_a_provider_s_own_tool_found_is_sent_as_text() -> None:
    """A web search of Anthropic's: query, pages, and text as long as what it encrypted."""
    search = {
        "role": "assistant",
        "content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": [
                    {
                        "type": "web_search_result",
                        "title": "A page",
                        "url": "https://a.example",
                        "encrypted_content": "abcd" * 400,
                    }
                ],
            },
            {"type": "text", "text": "It says so.", "citations": []},
        ],
    }
    text = sent(ASKED, search)[1]["content"]
    assert text.startswith('[web_search]\n{"query":"q"}\n[web_search_tool_result]\nA page\nhttps:')
    assert text.endswith("It says so.")
    assert len(text.split()) > 250
    assert "2 parts of a provider's own tool" in " ".join(said(ASKED, search)).replace(
        "tools", "tool"
    )


def test_an_image_is_replaced_by_text_of_its_size() -> None:
    """The text is the same every time, and another one for another image."""
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
    }
    other = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    history = [{"role": "user", "content": [one]} for one in (image, image, other)]
    one, again, another = (message["content"] for message in sent(*history))
    assert one == again != another
    assert (
        said(history[0], history[2])[0]
        == f"2 images replaced by {estimate(one) + 800} tokens of text"
    )


def test_thinking_is_kept_as_text_where_the_plan_says_so() -> None:
    """What is encrypted is dropped all the same."""
    thought = {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "ok"},
        ],
    }
    assert sent(ASKED, thought, thinking="text")[1]["content"] == "hm\nok"
    assert sent(ASKED, thought)[1]["content"] == "ok"


def test_system_messages_come_first_and_are_one() -> None:
    """A developer's belongs to them; one in the middle is sent as a user's."""
    system = {"role": "system", "content": [{"type": "text", "text": "be brief"}]}
    developer = {"role": "developer", "content": "use tools"}
    assert sent(system, developer, ASKED, developer) == [
        {"role": "system", "content": "be brief\nuse tools"},
        ASKED,
        {"role": "user", "content": "use tools"},
    ]


def test_messages_that_say_nothing_are_left_out() -> None:
    """Templates refuse them, or render an empty turn."""
    empty = {"role": "assistant", "content": [{"type": "text", "text": ""}]}
    assert sent(ASKED, empty, {"role": "user", "content": None}, ASKED) == [ASKED, ASKED]
    assert "2 empty messages left out" in said(ASKED, empty, {"role": "user", "content": None})


def test_a_prompt_in_which_nobody_asks_gets_a_question() -> None:
    """Templates want a message of a user."""
    assert [one["role"] for one in sent()] == ["user"]
    system = {"role": "system", "content": "be brief"}
    assert [one["role"] for one in sent(system)] == ["system", "user"]


@pytest.mark.parametrize("arguments", ["{not json", '["a"]', "3"])
def test_arguments_that_are_no_object_become_one(arguments: str) -> None:
    """Engines parse them for the template, and templates walk through an object."""
    call = {"role": "assistant", "content": "", "tool_calls": [called("x", arguments=arguments)]}
    given = json.loads(sent(ASKED, call)[1]["tool_calls"][0]["function"]["arguments"])
    assert given.keys() == {"input"}


def test_a_part_of_an_unknown_type_is_sent_as_it_is_written() -> None:
    """A new block of a new API must not stop a replay."""
    new = {"role": "user", "content": [{"type": "hologram", "depth": 3}]}
    assert sent(new)[0]["content"] == '{"type":"hologram","depth":3}'
    assert "1 part of an unknown type sent as JSON" in said(new)


def test_a_lone_surrogate_does_not_stop_a_replay() -> None:
    """Servers refuse JSON that holds one."""
    raw = text_segment("message", '{"role":"user","content":"a\\ud800b"}', "user")
    (message,) = Normaliser().prompt([raw]).messages
    assert json.loads(message) == {"role": "user", "content": "a?b"}


@pytest.mark.parametrize(
    "definition",
    [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
        {
            "toolSpec": {
                "name": "f",
                "description": "d",
                "inputSchema": {"json": {"type": "object"}},
            }
        },
        {"name": "f", "description": "d", "parameters": {"type": "OBJECT"}},
        {"type": "function", "name": "f", "description": "d", "inputSchema": {"type": "object"}},
        {"name": "f", "description": "d", "parameters_json_schema": {"type": "object"}},
    ],
)
def test_tools_of_every_api_become_openai_s(definition: dict[str, object]) -> None:
    """Anthropic, Responses, Bedrock, Gemini, Vercel, Pydantic AI."""
    (made,) = Normaliser().prompt([tool(definition), segment(ASKED)]).tools
    assert json.loads(made) == {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
    }


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        ({"type": "web_search_20250305", "name": "web_search"}, "web_search"),
        ({"type": "local_shell"}, "local_shell"),
        ({"googleSearch": {}}, "googleSearch"),
        ("just a name", "just a name"),
    ],
)
def test_a_tool_of_the_provider_is_sent_by_its_name(definition: object, name: str) -> None:
    """It has no schema; the model still reads that it is there."""
    (made,) = Normaliser().prompt([tool(definition), segment(ASKED)]).tools
    assert json.loads(made)["function"] == {
        "name": name,
        "parameters": {"type": "object", "properties": {}},
    }


def test_a_tool_that_takes_free_text_keeps_its_grammar() -> None:
    """Codex's `apply_patch`: the grammar is read by the model, so it stays in the prompt."""
    patch = {
        "type": "custom",
        "name": "apply_patch",
        "description": "edit",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
    }
    (made,) = Normaliser().prompt([tool(patch), segment(ASKED)]).tools
    function = json.loads(made)["function"]
    assert function["description"] == "edit\nstart: x"
    assert list(function["parameters"]["properties"]) == ["input"]
