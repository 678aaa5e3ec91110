"""Preemptions and KV use, read from a server's page of metrics while it is busy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from phasewise_replay.engine import DraftCounts, Load
from phasewise_replay.engines.load_sampler import LoadSampler

VLLM = """# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} {use}
vllm:kv_cache_usage_perc{{engine="1",model_name="m"}} 0.01
vllm:num_preemptions_total{{engine="0",model_name="m"}} {count}
vllm:num_preemptions_created{{engine="0",model_name="m"}} 1.7e+09
vllm:num_preemptions_total{{engine="1",model_name="m"}} 1.0
"""
DRAFTING = (
    VLLM
    + """vllm:spec_decode_num_drafts_total{{engine="0",model_name="m"}} {count}
vllm:spec_decode_num_drafts_total{{engine="1",model_name="m"}} {count}
vllm:spec_decode_num_drafts_created{{engine="0",model_name="m"}} 1.7e+09
vllm:spec_decode_num_draft_tokens_total{{engine="0",model_name="m"}} 1{count}
vllm:spec_decode_num_accepted_tokens_total{{engine="0",model_name="m"}} 2{count}
vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="0",position="0"}} 9{count}
"""
)
SGLANG = """sglang:num_retracted_reqs{{model_name="m"}} 1.0
sglang:num_retracted_requests_total{{model_name="m"}} {count}
sglang:token_usage{{model_name="m"}} {use}
sglang:full_token_usage{{model_name="m"}} 0.99
"""


class Server(HTTPServer):
    """Serves a page whose numbers grow, the fourth with all requests ended."""

    page: str
    seen = 0
    third = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """Answers with the next numbers."""

    def do_GET(self) -> None:
        """Serve the page, or 404 without one."""
        server = self.server
        assert isinstance(server, Server)
        use, count = ((0.0, 3), (0.25, 3), (0.75, 5), (0.0, 7))[min(server.seen, 3)]
        server.seen += 1
        self.send_response(200 if server.page else 404)
        self.end_headers()
        self.wfile.write(server.page.format(use=use, count=count).encode())
        if server.seen == 3:
            server.third.set()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve pages on a free port."""
    with Server(("127.0.0.1", 0), Handler) as made:
        made.third = threading.Event()
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def sampled(server: Server, page: str) -> Load | None:
    """Sample until the server has been asked three times."""
    server.page = page
    sampler = LoadSampler(f"http://127.0.0.1:{server.server_port}", {}, every_s=0.01)
    sampler.start()
    assert server.third.wait(10)
    return sampler.stop()


@pytest.mark.parametrize("page", [VLLM, SGLANG])
def test_it_counts_preemptions_and_the_use_between_the_ends(server: Server, page: str) -> None:
    """Idle at both ends; of several engines all preemptions, and the use of the fullest."""
    load = sampled(server, page)
    assert load is not None
    assert load.preemptions == 4
    assert load.kv_use_peak == 0.75
    assert load.kv_use_mean is not None
    assert 0 < load.kv_use_mean <= 0.5


def test_drafts_of_all_engines_are_counted_between_the_ends(server: Server) -> None:
    """And none where a vLLM does not speculate."""
    load = sampled(server, DRAFTING)
    assert load is not None
    assert load.drafts == DraftCounts(drafts=8, drafted=4, accepted=4)


def test_an_engine_without_speculation_has_no_drafts(server: Server) -> None:
    """Its page has no such lines."""
    load = sampled(server, VLLM)
    assert load is not None
    assert load.drafts is None


def test_sglang_shows_its_counter_only_once_it_has_counted(server: Server) -> None:
    """Until then no request was retracted."""
    load = sampled(server, 'sglang:token_usage{{model_name="m"}} {use}\n')
    assert load is not None
    assert (load.preemptions, load.kv_use_peak) == (0, 0.75)


def test_a_server_without_them_gives_nothing(server: Server) -> None:
    """No page at all, and one without these lines."""
    assert sampled(server, "") is None


def test_a_server_that_has_died_gives_nothing() -> None:
    """That is found out by the calls."""
    sampler = LoadSampler("http://127.0.0.1:9", {}, every_s=0.01)
    sampler.start()
    assert sampler.stop() is None
