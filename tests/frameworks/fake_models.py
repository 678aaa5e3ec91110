"""A fake model server with known answers: OpenAI chat + responses, Anthropic messages, Gemini.

    python fake_models.py PORT LOG.jsonl

Address it as http://127.0.0.1:PORT/r/RUN/v1 (OpenAI), .../r/RUN (Anthropic, Gemini). Every request
gets a number n, and usage that names it, so that a trace can be compared call by call:

    OpenAI      input 2000+n, of it cached 1024 from a run's 2nd request on; output 30+n%7
                (gpt-5*: of it 8 reasoning)
    Anthropic   input 500+n, cache_read 1024, cache_creation 256 (200 for 5m, 56 for 1h)
    Gemini      prompt 2000+n, cached 1024, candidates 30+n%7, thoughts 8
    prompts with SAMEUSAGE: the same usage each time (4000 in, 40 out)

A whole answer takes WHOLE_S; a stream's first token comes after FIRST_S, each further after NEXT_S.
What it answers follows from the tools offered and those already called:
    get_weather and get_price: both in parallel, then get_weather again, or a handoff if there is one
    lookup: once.  final_answer (smolagents): at the end.  else: text.
Prompts with FAILONCE get one 500 first; with FAILALWAYS a 400.
The log has one line a request: run, n, api, model, stream, asked_usage, usage, times, status.
"""

import json, re, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WHOLE_S, FIRST_S, NEXT_S = 0.10, 0.20, 0.05
WORDS = ["The ", "trip ", "is ", "planned", "."]
lock, counter, seen, failed = threading.Lock(), [0], {}, set()
log = None


def fill(schema):
    props = (schema or {}).get("properties") or {}
    known = {
        "city": "Paris",
        "item": "tea",
        "topic": "history",
        "coworker": "researcher",
        "answer": "".join(WORDS),
        "agent_name": "researcher",
        "agent": "researcher",
    }
    made = {}
    for name, one in props.items():
        kind = one.get("type") or next((o.get("type") for o in one.get("anyOf", [])), "string")
        kind = str(kind).lower()
        if "enum" in one:
            made[name] = one["enum"][0]
        elif kind == "string":
            made[name] = known.get(name, "look it up")
        elif kind in ("integer", "number"):
            made[name] = 7
        elif kind == "boolean":
            made[name] = False
        elif kind == "array":
            made[name] = []
        else:
            made[name] = fill(one)
    return made


HANDOFF = re.compile(r"transfer|handoff|hand_off|delegate|ask_researcher|^researcher$|task", re.I)


def decide(tools, called, forced=None):
    """tools: {name: schema}; called: names since the last user message -> [(name, args)] or None."""
    if forced in tools:
        return [(forced, fill(tools[forced]))]

    def named(end):
        return next((t for t in tools if t.endswith(end)), None)

    weather, price, lookup = named("get_weather"), named("get_price"), named("lookup")
    hand = next((t for t in tools if HANDOFF.search(t) and t != "final_answer"), None)
    if weather and price:
        if weather not in called and price not in called:
            return [(weather, {"city": "Paris"}), (price, {"item": "tea"})]
        if hand:
            if hand not in called:
                return [(hand, fill(tools[hand]))]
        elif called.count(weather) == 1:
            return [(weather, {"city": "Rome"})]
    elif lookup and lookup not in called:
        return [(lookup, {"topic": "history"})]
    if "final_answer" in tools:
        return [("final_answer", fill(tools["final_answer"]))]
    return None


def react(text):
    """DSPy's ReAct speaks in marked fields."""
    if "[[ ## next_tool_name ## ]]" in text and "next_thought" in text:
        done = (
            len(re.findall(r"observation_\d+", text.split("[[ ## trajectory ## ]]")[-1])) // 2
            if "[[ ## trajectory ## ]]" in text
            else 0
        )
        name, args = [
            ("get_weather", {"city": "Paris"}),
            ("get_price", {"item": "tea"}),
            ("finish", {}),
        ][min(done, 2)]
        return f"[[ ## next_thought ## ]]\nnext\n\n[[ ## next_tool_name ## ]]\n{name}\n\n[[ ## next_tool_args ## ]]\n{json.dumps(args)}\n\n[[ ## completed ## ]]"
    fields = re.findall(
        r"Respond with the corresponding output fields, starting with the field `\[\[ ## (\w+)",
        text,
    )
    if fields:
        return "[[ ## reasoning ## ]]\nso\n\n[[ ## answer ## ]]\nThe trip is planned.\n\n[[ ## completed ## ]]"
    return None


def text_of(content):
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    return ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # else the kernel holds a body back until its headers are acknowledged, 40 ms after the log's end
    disable_nagle_algorithm = True

    def log_message(self, *a):
        pass

    def send(self, status, body, headers=()):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.send(200, {"data": [], "object": "list"})

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            import gzip

            raw = gzip.decompress(raw)
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            body = {}
        m = re.match(r"/r/([^/]+)(/.*)", self.path)
        run, path = m.groups() if m else ("-", self.path)
        path = path.split("?")[0]
        with lock:
            counter[0] += 1
            n = counter[0]
            nth = seen[run] = seen.get(run, 0) + 1
        self.t0 = time.time()
        self.row = {
            "run": run,
            "n": n,
            "nth": nth,
            "path": path,
            "start": self.t0,
            "traceparent": self.headers.get("traceparent"),
            "status": 200,
        }
        kind = (
            "chat"
            if path.endswith("/chat/completions")
            else "responses"
            if path.endswith("/responses")
            else "anthropic"
            if path.endswith("/messages")
            else "gemini"
            if "enerateContent" in path
            else None
        )
        if kind is None:
            self.send(404, {"error": {"message": "no " + path}})
            self.row["status"] = 404
            self.row["api"] = "?"
            return self.done()
        self.row["api"] = kind
        try:
            getattr(self, "api_" + kind)(body, n, nth, run, path)
        except (BrokenPipeError, ConnectionResetError):
            self.row["status"] = "client left"
        self.done()

    def done(self):
        self.row["end"] = time.time()
        self.row.setdefault("first", None)
        with lock:
            log.write(json.dumps(self.row) + "\n")
            log.flush()

    def fails(self, text, run, error):
        for word, status in (("FAILALWAYS", 400), ("FAILONCE", 500)):
            if word in text and (word == "FAILALWAYS" or (run, text[-200:]) not in failed):
                failed.add((run, text[-200:]))
                self.row["status"] = status
                self.send(
                    status,
                    error(f"{word} as asked"),
                    [("retry-after-ms", "50")] if status == 500 else [],
                )
                return True
        return False

    def sse(self, events, first_at=0):
        """events: (name or None, dict); the pause comes before events marked with pause seconds."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for pause, name, data in events:
            if pause:
                time.sleep(pause)
            if pause == FIRST_S:
                self.row["first"] = time.time()
            line = (
                (f"event: {name}\n" if name else "")
                + "data: "
                + (data if isinstance(data, str) else json.dumps(data))
                + "\n\n"
            )
            self.wfile.write(line.encode())
            self.wfile.flush()

    # ---- OpenAI chat completions
    def api_chat(self, b, n, nth, run, path):
        msgs = b.get("messages", [])
        allt = " ".join(text_of(m.get("content")) for m in msgs if m.get("role") == "user")
        if self.fails(
            allt, run, lambda t: {"error": {"message": t, "type": "server_error", "code": "asked"}}
        ):
            return
        last = max(
            [i for i, m in enumerate(msgs) if m.get("role") == "user" and text_of(m.get("content"))]
            or [0]
        )
        called = [c["function"]["name"] for m in msgs[last:] for c in (m.get("tool_calls") or [])]
        tools = {
            t["function"]["name"]: t["function"].get("parameters")
            for t in b.get("tools") or []
            if t.get("function")
        }
        choice = b.get("tool_choice")
        forced = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
        calls = decide(tools, called, forced)
        full = " ".join(text_of(m.get("content")) for m in msgs)
        answer = react(full) if not tools else None
        rf = b.get("response_format") or {}
        if not calls and rf.get("type") == "json_schema":
            answer = json.dumps(fill(rf["json_schema"].get("schema")))
        words = [answer] if answer else WORDS
        model = b.get("model", "?")
        pin, out = (4000, 40) if "SAMEUSAGE" in full else (2000 + n, 30 + n % 7)
        cached = 1024 if nth > 1 else 0
        reasoning = 8 if model.startswith("gpt-5") else 0
        usage = {
            "prompt_tokens": pin,
            "completion_tokens": out,
            "total_tokens": pin + out,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
        }
        stream = bool(b.get("stream"))
        asked = bool((b.get("stream_options") or {}).get("include_usage"))
        self.row |= {
            "model": model,
            "stream": stream,
            "asked_usage": asked or not stream,
            "in": pin,
            "cache_read": cached,
            "cache_write": 0,
            "out": out,
            "reasoning": reasoning,
            "tools": [c[0] for c in calls or []],
        }
        tc = [
            {
                "id": f"call_{n}_{i}",
                "type": "function",
                "function": {"name": a, "arguments": json.dumps(v)},
            }
            for i, (a, v) in enumerate(calls or [])
        ]
        base = {"id": f"chatcmpl-{run}-{n}", "created": int(time.time()), "model": model}
        if not stream:
            time.sleep(WHOLE_S)
            return self.send(
                200,
                base
                | {
                    "object": "chat.completion",
                    "choices": [
                        {
                            "index": 0,
                            "finish_reason": "tool_calls" if tc else "stop",
                            "message": {
                                "role": "assistant",
                                "content": None if tc else "".join(words),
                                **({"tool_calls": tc} if tc else {}),
                            },
                        }
                    ],
                    "usage": usage,
                },
            )
        base["object"] = "chat.completion.chunk"

        def chunk(delta, fin=None):
            return base | {"choices": [{"index": 0, "delta": delta, "finish_reason": fin}]}

        ev = [
            (
                FIRST_S,
                None,
                chunk(
                    {"role": "assistant", "content": None if tc else words[0]}
                    | ({"tool_calls": [t | {"index": i} for i, t in enumerate(tc)]} if tc else {})
                ),
            )
        ]
        ev += [(NEXT_S, None, chunk({"content": w})) for w in ([] if tc else words[1:])]
        ev += [(0, None, chunk({}, "tool_calls" if tc else "stop"))]
        if asked:
            ev.append((0, None, base | {"choices": [], "usage": usage}))
        self.sse(ev + [(0, None, "[DONE]")])

    # ---- OpenAI responses
    def api_responses(self, b, n, nth, run, path):
        inp = b.get("input", [])
        inp = [{"role": "user", "content": inp}] if isinstance(inp, str) else inp
        texts = [
            (i, text_of(m.get("content"))) for i, m in enumerate(inp) if m.get("role") == "user"
        ]
        if self.fails(
            " ".join(t for _, t in texts),
            run,
            lambda t: {"error": {"message": t, "type": "server_error", "code": "asked"}},
        ):
            return
        last = texts[-1][0] if texts else 0
        called = [m["name"] for m in inp[last:] if m.get("type") == "function_call"]
        tools = {
            t["name"]: t.get("parameters")
            for t in b.get("tools") or []
            if t.get("type") == "function"
        }
        calls = decide(tools, called)
        model = b.get("model", "?")
        cached = 1024 if nth > 1 else 0
        reasoning = 8 if model.startswith("gpt-5") else 0
        pin, out = 2000 + n, 30 + n % 7
        usage = {
            "input_tokens": pin,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": out,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": pin + out,
        }
        stream = bool(b.get("stream"))
        self.row |= {
            "model": model,
            "stream": stream,
            "asked_usage": True,
            "in": pin,
            "cache_read": cached,
            "cache_write": 0,
            "out": out,
            "reasoning": reasoning,
            "tools": [c[0] for c in calls or []],
        }
        items = [
            {
                "type": "function_call",
                "id": f"fc_{n}_{i}",
                "call_id": f"call_{n}_{i}",
                "name": a,
                "arguments": json.dumps(v),
                "status": "completed",
            }
            for i, (a, v) in enumerate(calls or [])
        ]
        msg = {
            "type": "message",
            "id": f"msg_{n}",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "".join(WORDS), "annotations": []}],
        }
        resp = {
            "id": f"resp_{run}_{n}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed",
            "model": model,
            "output": items or [msg],
            "usage": usage,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": b.get("tools") or [],
            "error": None,
            "incomplete_details": None,
            "instructions": b.get("instructions"),
            "metadata": {},
            "temperature": 1.0,
            "top_p": 1.0,
        }
        if not stream:
            time.sleep(WHOLE_S)
            return self.send(200, resp)
        seq = [0]

        def e(pause, kind, **k):
            seq[0] += 1
            return (pause, kind, {"type": kind, "sequence_number": seq[0], **k})

        ev = [
            e(
                0,
                "response.created",
                response=resp | {"status": "in_progress", "output": [], "usage": None},
            )
        ]
        if items:
            for i, it in enumerate(items):
                ev += [
                    e(
                        FIRST_S if i == 0 else 0,
                        "response.output_item.added",
                        output_index=i,
                        item=it | {"arguments": "", "status": "in_progress"},
                    ),
                    e(
                        0,
                        "response.function_call_arguments.delta",
                        item_id=it["id"],
                        output_index=i,
                        delta=it["arguments"],
                    ),
                    e(
                        0,
                        "response.function_call_arguments.done",
                        item_id=it["id"],
                        output_index=i,
                        arguments=it["arguments"],
                        name=it["name"],
                    ),
                    e(0, "response.output_item.done", output_index=i, item=it),
                ]
        else:
            ev += [
                e(
                    0,
                    "response.output_item.added",
                    output_index=0,
                    item=msg | {"content": [], "status": "in_progress"},
                ),
                e(
                    0,
                    "response.content_part.added",
                    item_id=msg["id"],
                    output_index=0,
                    content_index=0,
                    part={"type": "output_text", "text": "", "annotations": []},
                ),
            ]
            ev += [
                e(
                    FIRST_S if i == 0 else NEXT_S,
                    "response.output_text.delta",
                    item_id=msg["id"],
                    output_index=0,
                    content_index=0,
                    delta=w,
                    logprobs=[],
                )
                for i, w in enumerate(WORDS)
            ]
            ev += [
                e(
                    0,
                    "response.output_text.done",
                    item_id=msg["id"],
                    output_index=0,
                    content_index=0,
                    text="".join(WORDS),
                    logprobs=[],
                ),
                e(
                    0,
                    "response.content_part.done",
                    item_id=msg["id"],
                    output_index=0,
                    content_index=0,
                    part=msg["content"][0],
                ),
                e(0, "response.output_item.done", output_index=0, item=msg),
            ]
        self.sse(ev + [e(0, "response.completed", response=resp)])

    # ---- Anthropic messages
    def api_anthropic(self, b, n, nth, run, path):
        msgs = b.get("messages", [])
        users = [
            (i, text_of(m["content"]))
            for i, m in enumerate(msgs)
            if m["role"] == "user" and text_of(m["content"]).strip()
        ]
        if self.fails(
            " ".join(t for _, t in users),
            run,
            lambda t: {"type": "error", "error": {"type": "api_error", "message": t}},
        ):
            return
        last = users[-1][0] if users else 0
        called = [
            p["name"]
            for m in msgs[last:]
            if isinstance(m["content"], list)
            for p in m["content"]
            if p.get("type") == "tool_use"
        ]
        tools = {t["name"]: t.get("input_schema") for t in b.get("tools") or [] if t.get("name")}
        choice = b.get("tool_choice") or {}
        calls = decide(tools, called, choice.get("name"))
        model = b.get("model", "?")
        out = 30 + n % 7
        usage = {
            "input_tokens": 500 + n,
            "cache_read_input_tokens": 1024,
            "cache_creation_input_tokens": 256,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 56},
            "output_tokens": out,
            "service_tier": "standard",
        }
        stream = bool(b.get("stream"))
        self.row |= {
            "model": model,
            "stream": stream,
            "asked_usage": True,
            "in": 500 + n + 1024 + 256,
            "cache_read": 1024,
            "cache_write": 256,
            "out": out,
            "reasoning": 0,
            "tools": [c[0] for c in calls or []],
        }
        blocks = [
            {"type": "tool_use", "id": f"toolu_{n}_{i}", "name": a, "input": v}
            for i, (a, v) in enumerate(calls or [])
        ] or [{"type": "text", "text": "".join(WORDS)}]
        msg = {
            "id": f"msg_{run}_{n}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": blocks,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
        if not stream:
            time.sleep(WHOLE_S)
            return self.send(200, msg)
        ev = [
            (
                0,
                "message_start",
                {
                    "type": "message_start",
                    "message": msg
                    | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}},
                },
            )
        ]
        first = True
        for i, bl in enumerate(blocks):
            if bl["type"] == "text":
                ev.append(
                    (
                        0,
                        "content_block_start",
                        {
                            "type": "content_block_start",
                            "index": i,
                            "content_block": {"type": "text", "text": ""},
                        },
                    )
                )
                ev += [
                    (
                        FIRST_S if j == 0 else NEXT_S,
                        "content_block_delta",
                        {
                            "type": "content_block_delta",
                            "index": i,
                            "delta": {"type": "text_delta", "text": w},
                        },
                    )
                    for j, w in enumerate(WORDS)
                ]
            else:
                ev.append(
                    (
                        FIRST_S if first else 0,
                        "content_block_start",
                        {
                            "type": "content_block_start",
                            "index": i,
                            "content_block": bl | {"input": {}},
                        },
                    )
                )
                ev.append(
                    (
                        0,
                        "content_block_delta",
                        {
                            "type": "content_block_delta",
                            "index": i,
                            "delta": {
                                "type": "input_json_delta",
                                "partial_json": json.dumps(bl["input"]),
                            },
                        },
                    )
                )
            first = False
            ev.append((0, "content_block_stop", {"type": "content_block_stop", "index": i}))
        ev += [
            (
                0,
                "message_delta",
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": msg["stop_reason"], "stop_sequence": None},
                    "usage": {"output_tokens": out},
                },
            ),
            (0, "message_stop", {"type": "message_stop"}),
        ]
        self.sse(ev)

    # ---- Gemini generateContent
    def api_gemini(self, b, n, nth, run, path):
        cont = b.get("contents", [])

        def txt(c):
            return " ".join(p.get("text", "") for p in c.get("parts", []))

        users = [
            (i, txt(c))
            for i, c in enumerate(cont)
            if c.get("role", "user") == "user" and txt(c).strip()
        ]
        if self.fails(
            " ".join(t for _, t in users),
            run,
            lambda t: {"error": {"code": 500, "message": t, "status": "INTERNAL"}},
        ):
            return
        last = users[-1][0] if users else 0
        called = [
            p["functionCall"]["name"]
            for c in cont[last:]
            for p in c.get("parts", [])
            if p.get("functionCall")
        ]
        tools = {
            f["name"]: f.get("parameters") or f.get("parametersJsonSchema")
            for t in b.get("tools") or []
            for f in t.get("functionDeclarations", [])
        }
        calls = decide(tools, called)
        model = re.search(r"models/([^:]+):", path).group(1)
        out, pin, cached = 30 + n % 7, 2000 + n, 1024
        usage = {
            "promptTokenCount": pin,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": out,
            "thoughtsTokenCount": 8,
            "totalTokenCount": pin + out + 8,
        }
        stream = "stream" in path
        self.row |= {
            "model": model,
            "stream": stream,
            "asked_usage": True,
            "in": pin,
            "cache_read": cached,
            "cache_write": 0,
            "out": out + 8,
            "reasoning": 8,
            "tools": [c[0] for c in calls or []],
        }
        parts = [{"functionCall": {"name": a, "args": v}} for a, v in calls or []]

        def resp(ps, fin=None, u=None):
            return {
                "candidates": [
                    {
                        "content": {"role": "model", "parts": ps},
                        "index": 0,
                        **({"finishReason": fin} if fin else {}),
                    }
                ],
                "modelVersion": model,
                "responseId": f"gem-{run}-{n}",
                **({"usageMetadata": u} if u else {}),
            }

        if not stream:
            time.sleep(WHOLE_S)
            return self.send(200, resp(parts or [{"text": "".join(WORDS)}], "STOP", usage))
        pieces = [parts] if parts else [[{"text": w}] for w in WORDS]
        self.sse(
            [
                (
                    FIRST_S if i == 0 else NEXT_S,
                    None,
                    resp(
                        p,
                        "STOP" if i == len(pieces) - 1 else None,
                        usage if i == len(pieces) - 1 else None,
                    ),
                )
                for i, p in enumerate(pieces)
            ]
        )


if __name__ == "__main__":
    log = open(sys.argv[2], "a")
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 64
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
