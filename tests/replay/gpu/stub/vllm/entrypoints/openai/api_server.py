"""A stand-in for vLLM's server: its flags and endpoints, its prefix cache by our own model, no GPU.

`--quantization fp8` works with `--attention-backend TRITON_ATTN` only, and `--kv-cache-dtype` with
none, so that fallbacks and unsupported arms can be tested. `--seed N` adds N ms to each request.
"""

import argparse
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from phasewise_analyzer.engine.caches.paged_cache import PagedPrefixCache

BLOCK_TOKENS = 16
parser = argparse.ArgumentParser()
for name in ("model", "host", "quantization", "kv-cache-dtype", "attention-backend"):
    parser.add_argument(f"--{name}")
for name in ("port", "seed", "max-model-len"):
    parser.add_argument(f"--{name}", type=int, default=0)
for name in ("enable-prefix-caching",):
    parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=False)
for name in ("enable-prompt-tokens-details", "enable-per-request-metrics"):
    parser.add_argument(f"--{name}", action="store_true")
OPTIONS = parser.parse_known_args()[0]
GUARD = threading.Lock()


class State:
    """The cache and its counter."""

    cache = PagedPrefixCache(None, BLOCK_TOKENS)
    hits = 0


class Handler(BaseHTTPRequestHandler):
    """vLLM's endpoints."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer: the second would wait 40 ms for an acknowledgement

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Describe the server."""
        if self.path == "/metrics":
            labels = (
                f'block_size="{BLOCK_TOKENS}",num_gpu_blocks="100000",'
                f'enable_prefix_caching="{OPTIONS.enable_prefix_caching}"'
            )
            text = f"vllm:cache_config_info{{{labels}}} 1\n"
            self.reply(f"{text}vllm:prefix_cache_hits_total {State.hits}\n".encode())
        elif self.path == "/v1/models":
            model = {"id": OPTIONS.model, "max_model_len": OPTIONS.max_model_len or 65536}
            self.reply(json.dumps({"data": [model]}).encode())
        else:
            self.reply(b"{}")

    def do_POST(self) -> None:
        """Serve a completion, or drop the cache."""
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        if self.path == "/reset_prefix_cache":
            State.cache = PagedPrefixCache(None, BLOCK_TOKENS)
            self.reply(b"{}")
        else:
            self.reply(completion(body["prompt"], body["max_tokens"]).encode())

    def reply(self, body: bytes) -> None:
        """Send a body."""
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def completion(prompt: list[int], output_tokens: int) -> str:
    """Return the stream of events that answers a prompt."""
    time.sleep(OPTIONS.seed / 1000)
    ids = np.array(prompt, dtype=np.int64)
    output = np.arange(output_tokens, dtype=np.int64)
    with GUARD:
        cached = State.cache.lookup(ids) if OPTIONS.enable_prefix_caching else 0
        State.cache.admit(ids, output)
        State.hits += cached
    choice = {"index": 0, "text": "a", "token_ids": output.tolist(), "prompt_token_ids": prompt}
    usage = {
        "prompt_tokens": len(prompt),
        "completion_tokens": output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    metrics = {
        "queue_time_ms": 0.0,
        "time_to_first_token_ms": (len(prompt) - cached) / 100,
        "generation_time_ms": float(output_tokens - 1),
    }
    events = [{"choices": [choice]}, {"choices": [], "usage": usage, "metrics": metrics}]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def main() -> None:
    """Serve, or refuse what this engine cannot do."""
    if OPTIONS.kv_cache_dtype:
        sys.exit("ValueError: this engine has no fp8 KV cache")
    if OPTIONS.quantization and OPTIONS.attention_backend != "TRITON_ATTN":
        sys.exit("ValueError: fp8 weights need another attention backend")
    ThreadingHTTPServer((OPTIONS.host, OPTIONS.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
