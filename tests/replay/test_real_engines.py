"""Replays against real vLLM and real SGLang on this CPU, with the tiny generated model."""

from dataclasses import dataclass

import httpx
import numpy as np
import orjson
import polars as pl
import pytest
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.schedulers.drafts import total
from phasewise_analyzer.engine.speculation import config as speculative_config
from phasewise_analyzer.engine.speculation.config import NgramConfig
from phasewise_analyzer.engine.speculation.ngram import ngram_drafts
from phasewise_replay.driving.driver import Pace
from phasewise_replay.engines import prometheus
from phasewise_replay.engines.server_process import free_port
from phasewise_replay.engines.url import UrlEngine
from phasewise_replay.engines.vllm_command import command, environment
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import UrlArm, VllmArm
from phasewise_replay.plans.presets import FlagValue
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.records import engine_settings
from phasewise_replay.runs.forced_tokens import CURE
from phasewise_replay.runs.preparing import prepare
from phasewise_replay.runs.run import run
from phasewise_replay.sessions import sessions
from phasewise_replay.verdicts import engine_time
from phasewise_replay.verdicts.compare import compare
from phasewise_store import runs
from phasewise_store.store import Store

from tests.real_server import (
    NO_WORKER,
    NO_WORKER_FLAG,
    NO_WORKER_VALUE,
    NO_WORKER_VARIABLES,
    SGLANG,
    TINY,
    VARIABLES,
    VLLM,
    installed,
    serving,
)
from tests.replay.generate_server import SPECULATES

pytestmark = pytest.mark.engine


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server generated, and its own account of every step that had a draft."""

    prompt: TokenIds
    output: TokenIds
    drafted: list[int]
    accepted: list[int]


def generate(address: str, prompt: TokenIds, *, output_tokens: int, penalty: float) -> Completion:
    """Complete a prompt greedily; the penalty on frequent tokens keeps it from repeating itself."""
    body = {
        "prompt": prompt.tolist(),
        "max_tokens": output_tokens,
        "min_tokens": output_tokens,
        "ignore_eos": True,
        "return_token_ids": True,
        "temperature": 0,
        "frequency_penalty": penalty,
    }
    reply = httpx.post(f"{address}/v1/completions", json=body, timeout=120).json()
    metrics = reply["metrics"]["speculative_decoding"]
    output = np.array(reply["choices"][0]["token_ids"], dtype=np.int64)
    return Completion(prompt, output, metrics["per_step_drafted"], metrics["per_step_accepted"])


def run_one_arm(recorded: Store, settings: str) -> str:
    """Replay six calls a block on one vLLM with these settings; give the run's id."""
    installed(VLLM, TINY)
    text = f"""
name: one-arm
sessions: {{source: tau-bench, limit: 2, max_calls: 3}}
arms:
  - {{name: vllm, engine: vllm, model: {TINY}, python: {VLLM}, {settings}}}
"""
    return run(recorded, plan_file.parse(text, "plan"))


def check_other_endpoints(recorded: Store, address: str) -> None:
    """Replay on a running server: compare answers of its messages, force lengths of Responses.

    The two arms are one server, so what differs between them is the noise of the baseline too.
    It speculates, and then forces no tokens.
    """
    start = "name: n\nwarmup_calls: 0\nsessions: {source: tau-bench, limit: 1, max_calls: 2}\n"
    arms = ", ".join(f'{{name: {name}, engine: url, url: "{address}"}}' for name in "ab")
    quality = f"{start}mode: quality\nendpoint: messages\norder: once\narms: [{arms}]"
    verdict = compare(recorded, run(recorded, plan_file.parse(quality, "plan")))
    assert [check.title for check in verdict.fidelity.checks if not check.passed] == []
    baseline, arm = verdict.quality
    assert (baseline.comparisons, arm.comparisons) == (2 * 6, 2 * 8)
    assert baseline.exact == arm.exact == 1.0
    assert arm.passed
    calls = runs.measured(recorded, verdict.run_id)
    assert calls["output"].null_count() == 0
    assert (calls["output_tokens"] <= calls["planned_output_tokens"]).all()
    assert int(calls["cached_tokens"].sum()) > 0

    forced = f"{start}endpoint: responses\narms: [{{name: a, engine: url, url: '{address}'}}]"
    verdict = compare(recorded, run(recorded, plan_file.parse(forced, "plan")))
    assert [check.title for check in verdict.fidelity.checks if not check.passed] == []
    calls = runs.measured(recorded, verdict.run_id)
    assert calls["prefill_ns"].null_count() == calls["ttft_ns"].null_count() == 0
    (served,) = verdict.service
    assert served.acceptance_length is not None  # this vLLM speculates
    assert 1 < served.acceptance_length < 1 + 5
    assert served.accepted_share is not None
    assert 0 < served.accepted_share < 1

    refused = forced.replace("responses", "messages")
    (only,) = compare(recorded, run(recorded, plan_file.parse(refused, "plan"))).arms
    assert only.status == "unsupported"
    assert "no field that forces the output length" in (only.reason or "")

    tokens = forced.replace("endpoint: responses", "forced: tokens")
    (only,) = compare(recorded, run(recorded, plan_file.parse(tokens, "plan"))).arms
    assert only.status == "unsupported"
    assert only.reason == f"{SPECULATES}; {CURE}"


def test_an_arm_this_cpu_cannot_run_has_vllm_s_own_reason(recorded: Store) -> None:
    """A block of 16 tokens: UNSUPPORTED, in the engine's words."""
    run_id = run_one_arm(recorded, "flags: {max-model-len: 8192, block-size: 16}")
    (arm,) = runs.arms(recorded, run_id)
    assert arm.status == "unsupported"
    assert "block size" in (arm.reason or "").lower()


def test_n_gram_drafts_are_those_computed_from_the_tokens(recorded: Store) -> None:
    """The counts of vLLM of drafted and accepted tokens, step by step, from token ids alone.

    On a server with the preset, the length forced. Greedy, because the CPU build of vLLM 0.32
    counts drafts as rejected at a temperature even where they are sampled. One call at a time: on a
    busy machine, calls beside each other once had a draft more than their tokens explain.
    """
    installed(VLLM, TINY)
    flags: dict[str, FlagValue] = {
        "max-model-len": 8192,
        "num-gpu-blocks-override": 1024,
        "per-request-spec-decode-metrics": "detailed",
        "enable-scale-out": True,
        NO_WORKER_FLAG: NO_WORKER_VALUE,
    }
    arm = VllmArm("vllm", str(TINY), presets=("ngram-speculation",), flags=flags)
    said = speculative_config.parse(orjson.dumps(arm.all_flags()["speculative-config"]).decode())
    assert isinstance(said, NgramConfig)
    chosen = sessions.load(recorded, SessionChoice(source="tau-bench", limit=4, max_calls=4))
    port = free_port()
    server = command(VLLM, model=str(TINY), port=port, flags=arm.all_flags(), on_cpu=True)
    with serving(server, environment(NO_WORKER_VARIABLES, on_cpu=True), port=port) as address:
        engine = UrlEngine(UrlArm("vllm", url=address))
        resolved = engine.start()
        prompts = list(prepare(chosen.sessions, engine, resolved, Pace()).token_ids.values())
        engine.stop()

        def complete(place: int) -> Completion:
            tokens, penalty = 40 + 10 * place, 0.05 * (place % 3)
            return generate(address, prompts[place], output_tokens=tokens, penalty=penalty)

        completions = list(map(complete, range(len(prompts))))
        counters = prometheus.parse(httpx.get(f"{address}/metrics").text)
        check_other_endpoints(recorded, address)
    found = []
    beyond = 0
    for place, one in enumerate(completions):
        assert len(one.output) == 40 + 10 * place
        steps = ngram_drafts(one.prompt, one.output, said).steps()
        with_draft = steps.drafted > 0
        assert one.drafted == steps.drafted[with_draft].tolist()
        # a draft can reach beyond the end of the output: vLLM counts what it would accept there
        *before, last = one.accepted
        *ours, our_last = steps.accepted[with_draft].tolist()
        assert before == ours
        assert last >= our_last
        assert steps.drafted[-1] or last == our_last
        beyond += last - our_last
        found.append(steps.acceptance())
    counted = [
        prometheus.total(counters, f"vllm:spec_decode_num_{name}_total")
        for name in ("drafts", "draft_tokens", "accepted_tokens")
    ]
    ours = total(found)
    assert counted == [ours.drafts, ours.drafted, ours.accepted + beyond]
    assert beyond < 0.01 * ours.accepted
    assert 0.1 < ours.accepted / ours.drafted < 0.9, "some drafts are accepted and some are not"


def test_vllm_and_sglang_serve_the_same_sessions_with_equal_settings(recorded: Store) -> None:
    """Both are started and stopped by the run: one table, and SGLang takes vLLM's settings.

    The steps that vLLM logs are those of its calls.
    """
    installed(VLLM, SGLANG, TINY)
    text = f"""
name: engines
sessions: {{source: tau-bench, limit: 6, max_calls: 3}}
order: once
preset: vllm-against-sglang
model: {TINY}
equalise: true
vllm:
  python: {VLLM}
  flags: {{max-model-len: 8192, num-gpu-blocks-override: 512, {NO_WORKER}}}
  env: {VARIABLES}
sglang: {{python: {SGLANG}, flags: {{chunked-prefill-size: 512}}}}
"""
    run_id = run(recorded, plan_file.parse(text, "plan"))
    verdict = compare(recorded, run_id)
    assert [(arm.engine, arm.status) for arm in verdict.arms] == [("vllm", "ok"), ("sglang", "ok")]
    failed = [check for check in verdict.fidelity.checks if not check.passed]
    assert not failed
    assert {metric.compared for metric in verdict.metrics} == {"sglang"}
    times = {one.arm: one for one in verdict.engine_time}
    assert times["vllm"].method.startswith(engine_time.LOGGED)
    served = runs.measured(recorded, run_id).filter(pl.col("arm") == "vllm")
    # one call at a time: its first steps are its prefill, to the rounding of vLLM's times
    own, shared = served["prefill_ns"] / 1e9, served["prefill_gpu_s"]
    assert shared.to_list() == pytest.approx(own.to_list(), abs=1e-5)
    own, shared = served["decode_ns"] / 1e9, served["decode_gpu_s"]
    assert shared.to_list() == pytest.approx(own.to_list(), abs=1e-5)
    assert times["sglang"].method == engine_time.STEPS
    assert min(times["sglang"].prefill_s, times["sglang"].decode_s) > 0
    rows = {row.title: row for row in verdict.side_by_side["sglang"]}
    assert {title for title, row in rows.items() if not row.equal} == {
        "most tokens in a step",
        *engine_settings.INHERENT,
    }
    assert rows["KV block, tokens"].arm == 32
    assert rows["KV cache, tokens"].arm == 511 * 32
    assert rows["most tokens in a step"].arm == 512
    assert rows["most tokens in a step"].why == "the plan sets `chunked-prefill-size` of this arm"
