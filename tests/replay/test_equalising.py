"""Two engines with the same settings: what the flags are, what stays different, and why."""

from collections.abc import Callable, Mapping
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.engine import Engine, Resolved
from phasewise_replay.engines.fake import FakeEngine
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import Arm, ManagedArm, SglangArm, VllmArm
from phasewise_replay.plans.common_settings import common_settings, flags_of
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.plans.presets import EngineKind
from phasewise_replay.records import engine_settings
from phasewise_replay.records.arm_record import ArmRecord
from phasewise_replay.runs.equalising import equalised
from phasewise_replay.runs.run import resume, run
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_reports import run_report
from phasewise_store import runs
from phasewise_store.errors import UsageError
from phasewise_store.store import Store
from phasewise_web.cli.settings_table import print_settings

from tests.replay.recorded import write_sessions

SHORT = """
name: engines
sessions: {source: recorded}
preset: vllm-against-sglang
model: m
"""
VLLM = {
    "model_config.max_model_len": 8192,
    "model_config.dtype": "torch.bfloat16",
    "model_config.enforce_eager": False,
    "scheduler_config.max_num_batched_tokens": 2048,
    "scheduler_config.max_num_seqs": 128,
    "scheduler_config.policy": "fcfs",
    "scheduler_config.async_scheduling": False,
    "cache_config.cache_dtype": "fp8",
    "parallel_config.tensor_parallel_size": 2,
    "parallel_config.data_parallel_size": 1,
}
DEFAULTS = {
    "chunked_prefill_size": 8192,
    "max_running_requests": 256,
    "page_size": 1,
    "max_total_tokens": 50_000,
    "context_length": None,
    "dtype": "auto",
    "kv_cache_dtype": "auto",
    "schedule_policy": "lpm",
    "tp_size": 1,
    "dp_size": 1,
    "disable_overlap_schedule": False,
    "disable_cuda_graph": False,
    "disable_radix_cache": False,
}
MOST_TOKENS = 40_000
"""that the made-up SGLang has memory for"""


def vllm_engine() -> Engine:
    """Return an engine that describes itself as vLLM."""
    return FakeEngine(
        Resolved(
            *("vllm", "m", "measured"),
            prefix_caching=True,
            block_tokens=16,
            blocks=4095,
            settings=VLLM,
        )
    )


def sglang_engine(flags: Mapping[str, object]) -> Engine:
    """Return an engine that describes itself as an SGLang that was started with these flags."""
    given = {name.replace("-", "_"): value for name, value in flags.items()}
    settings = DEFAULTS | given
    page, tokens = settings["page_size"], settings["max_total_tokens"]
    assert isinstance(page, int)
    assert isinstance(tokens, int)
    return FakeEngine(
        Resolved(
            *("sglang", "m", "measured"),
            prefix_caching=not settings["disable_radix_cache"],
            prefix_cache="radix",
            block_tokens=page,
            blocks=min(tokens, MOST_TOKENS) // page,
            settings=settings,
        )
    )


def served(started: list[Arm]) -> Callable[[Arm], Engine]:
    """Return how engines are made; every arm that is started is added to the list."""

    def engine_for(arm: Arm) -> Engine:
        started.append(arm)
        if isinstance(arm, SglangArm):
            return sglang_engine(arm.all_flags())
        return vllm_engine()

    return engine_for


def verdict_of(store: Store, text: str) -> tuple[Verdict, list[Arm]]:
    """Run a plan on made-up engines; return its verdict and the arms as they were started."""
    started: list[Arm] = []
    write_sessions(store, sessions=2, steps=2)
    plan = plan_file.parse(text, "plan")
    return compare(store, run(store, plan, engine_for=served(started))), started


def test_the_short_form_is_an_arm_of_each_engine() -> None:
    """Its keys are those of an arm; what is written back has the arms in full."""
    text = SHORT + (
        "presets: [chunk-2048]\nvllm: {flags: {max-num-seqs: 8}}\nsglang: {presets: [fp8-kv]}\n"
        "equalise: {context_tokens: 4096}\n"
    )
    found = plan_file.parse(text, "plan")
    vllm, sglang = found.arms
    assert isinstance(vllm, VllmArm)
    assert isinstance(sglang, SglangArm)
    assert vllm.all_flags() == {"max-num-batched-tokens": 2048, "max-num-seqs": 8}
    assert sglang.all_flags() == {"chunked-prefill-size": 2048, "kv-cache-dtype": "fp8_e4m3"}
    assert found.equalise == {"context_tokens": 4096}
    assert plan_file.parse(as_yaml(found), "again") == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SHORT.replace("vllm-against-sglang", "chunk-256"), "must be vllm-against-sglang"),
        (SHORT.replace("model: m", "modle: m"), "`model` is missing"),
        (SHORT + "vllm: {prests: []}", "`vllm.prests` is not a known key"),
        (SHORT + "equalise: {page: 16}", "`equalise` has no setting `page`"),
        (SHORT + "equalise: {kv_cache_tokens: 4096}", "needs `block_tokens` as well"),
        (SHORT + "equalise: {block_tokens: 1}", "multiples of 16 tokens, not 1"),
        (SHORT + "equalise: {scheduling_policy: lpm}", "only one of the engines knows `lpm`"),
        (
            "name: a\nequalise: true\narms: [{name: v, engine: vllm, model: m}]",
            "`equalise` needs an arm of `engine: vllm` and one of `sglang`",
        ),
    ],
)
def test_a_wrong_short_form_is_refused_with_its_key(text: str, said: str) -> None:
    """The error names the key and what is allowed."""
    with pytest.raises(UsageError) as error:
        plan_file.parse(text, "plan.yaml")
    assert said in str(error.value)


def test_differing_defaults_are_listed(store: Store) -> None:
    """Without `equalise` no flag is added, and every common setting says whether it is equal."""
    verdict, started = verdict_of(store, SHORT)
    assert all(isinstance(arm, ManagedArm) and not arm.flags for arm in started)
    rows = {row.title: row for row in verdict.side_by_side["sglang"]}
    step = rows["most tokens in a step"]
    assert (step.baseline, step.arm, step.equal, step.why) == (2048, 8192, False, None)
    assert rows["prefix caching"].equal
    assert rows["prefix cache"].why
    assert verdict.changed["sglang"]["scheduling policy"] == ("fcfs", "lpm")


def test_the_settings_are_in_the_table_the_page_and_the_json(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """All show the two values under the common name, and the reason."""
    verdict, _ = verdict_of(store, SHORT + "equalise: true\n")
    page = run_report.render_html(verdict)
    assert '<td>KV cache, tokens</td><td class="mono wrap">65,520</td>' in page
    row = "| KV cache, tokens | 65,520 | 40,000 | differs: asked for with `max-total-tokens`"
    assert row in run_report.render_markdown(verdict)
    found = orjson.loads(run_report.render_json(verdict))["side_by_side"]["sglang"]
    assert next(one for one in found if one["title"] == "KV cache, tokens")["arm"] == 40_000
    print_settings(verdict.side_by_side)
    printed = " ".join(capsys.readouterr().out.split())
    assert "sglang, settings of both engines" in printed
    assert "most sequences in a step 128 128 equal max-running-requests: 128" in printed
    assert "| equal | max-running-requests: 128 |" in run_report.render_markdown(verdict)


def test_an_arm_takes_the_baseline_s_settings(store: Store) -> None:
    """SGLang gets vLLM's values in its own flags; what stays different has a reason."""
    verdict, started = verdict_of(store, SHORT + "equalise: true\n")
    sglang = next(arm for arm in started if isinstance(arm, SglangArm))
    assert sglang.all_flags() == {
        "disable-radix-cache": False,
        "page-size": 16,
        "max-total-tokens": 4095 * 16,
        "context-length": 8192,
        "chunked-prefill-size": 2048,
        "max-running-requests": 128,
        "kv-cache-dtype": "fp8_e4m3",
        "dtype": "bfloat16",
        "tp-size": 2,
        "dp-size": 1,
        "schedule-policy": "fcfs",
        "disable-overlap-schedule": True,
        "disable-cuda-graph": False,
    }
    rows = verdict.side_by_side["sglang"]
    assert {row.title: row.why for row in rows if not row.equal} == {
        "KV cache, tokens": "asked for with `max-total-tokens`, but the engine settled on another "
        "value",
        **{title: why for title, (_, _, why) in engine_settings.INHERENT.items()},
    }
    assert [arm.config["flags"] for arm in verdict.arms[1:]] == [sglang.all_flags()]


def test_a_value_for_both_engines_and_a_flag_of_the_plan(store: Store) -> None:
    """A value in `equalise` is given to both; a flag of an arm wins, and is named."""
    verdict, started = verdict_of(
        store,
        SHORT + "equalise: {block_tokens: 32, kv_cache_tokens: 32768}\n"
        "sglang: {flags: {chunked-prefill-size: 512}}\n",
    )
    vllm, sglang = started[0], next(arm for arm in started if isinstance(arm, SglangArm))
    assert isinstance(vllm, VllmArm)
    assert vllm.flags == {"block-size": 32, "num-gpu-blocks-override": 1025}
    flags = sglang.all_flags()
    assert (flags["page-size"], flags["max-total-tokens"]) == (32, 32_768)
    rows = {row.title: row for row in verdict.side_by_side["sglang"]}
    assert rows["most tokens in a step"].why == "the plan sets `chunked-prefill-size` of this arm"


def test_an_arm_of_the_resumed_run_has_the_same_flags(store: Store) -> None:
    """The baseline's settings come from its record, where it ran before the cut."""
    write_sessions(store, sessions=2, steps=2)
    plan = plan_file.parse(SHORT + "equalise: true\norder: once\n", "plan")
    first: list[Arm] = []

    def cut(arm: Arm) -> Engine:
        if isinstance(arm, SglangArm):
            raise KeyboardInterrupt
        return served(first)(arm)

    with pytest.raises(KeyboardInterrupt):
        run(store, plan, engine_for=cut)
    then: list[Arm] = []
    run_id = resume(store, plan, engine_for=served(then))
    sglang = next(arm for arm in then if isinstance(arm, SglangArm))
    assert sglang.flags["chunked-prefill-size"] == 2048
    stored = {arm.arm: orjson.loads(arm.config) for arm in runs.arms(store, run_id)}
    assert stored["sglang"]["flags"] == dict(sglang.flags)


def test_vllm_s_blocks_stay_where_sglang_s_pages_cannot_be_blocks() -> None:
    """SGLang as the baseline: a page of one token is no block, so its cache is counted in none."""
    settings = DEFAULTS | {"schedule_policy": "fcfs", "context_length": 4096}
    baseline = ArmRecord(
        *("sglang", "m", "measured", "0.5.23", True),
        block_tokens=1,
        blocks_of_kv=40_000,
        settings=settings,
    )
    found = equalised(VllmArm("vllm", "m"), baseline, {})
    assert found.flags == {
        "enable-prefix-caching": True,
        "max-model-len": 4096,
        "max-num-batched-tokens": 8192,
        "max-num-seqs": 256,
        "kv-cache-dtype": "auto",
        "dtype": "auto",
        "tensor-parallel-size": 1,
        "data-parallel-size": 1,
        "scheduling-policy": "fcfs",
        "async-scheduling": True,
        "enforce-eager": False,
    }
    assert "multiples of 16" in found.reasons["block_tokens"]
    assert "KV blocks" in found.reasons["kv_cache_tokens"]


@given(st.booleans(), st.integers(1, 64), st.integers(1, 10_000), st.sampled_from(["fp8", "auto"]))
def test_what_is_set_is_what_is_read(
    caching: bool, blocks_of_16: int, blocks: int, kv_format: str
) -> None:
    """An engine that takes the flags as they are reports the values they were made from."""
    page = 16 * blocks_of_16
    wanted: dict[str, bool | int | float | str] = {
        "prefix_caching": caching,
        "block_tokens": page,
        "kv_cache_tokens": blocks * page,
        "kv_format": kv_format,
    }
    sglang = flags_of("sglang", wanted)
    record = ArmRecord(
        *("sglang", "m", "measured", None, not sglang["disable-radix-cache"]),
        block_tokens=page,
        blocks_of_kv=blocks,
        settings={"chunked_prefill_size": 1, "kv_cache_dtype": sglang["kv-cache-dtype"]},
    )
    assert engine_settings.values(record) | wanted == engine_settings.values(record)
    vllm = flags_of("vllm", wanted)
    assert vllm["num-gpu-blocks-override"] == blocks + 1


def test_every_common_setting_has_two_flags_and_a_title() -> None:
    """The file names a flag of each engine once, and titles are not repeated."""
    found = common_settings().values()
    for engine in get_args(EngineKind):
        flags = [one.spelling(engine).flag for one in found]
        assert len(set(flags)) == len(flags)
    assert len({one.title for one in found}) == len(found)
