"""Engine time per session and phase: what is summed, what is shared, and what it costs."""

from dataclasses import asdict, replace

import polars as pl
import pytest
from phasewise_replay.records.arm_record import ArmRecord, BlockRecord
from phasewise_replay.verdicts import engine_time, prior
from phasewise_store.run_facts import MeasuredCall

MS = 10**6
H200 = {"gpus": [{"name": "NVIDIA H200"}]}
RECORD = ArmRecord(
    "vllm",
    "meta-llama/Llama-3.1-8B-Instruct",
    "measured",
    block_tokens=16,
    blocks_of_kv=1000,
    blocks=(
        BlockRecord(0, 0, wall_ns=1000 * MS, energy_j=90.0),
        BlockRecord(1, 0, wall_ns=1000 * MS, energy_j=110.0),
    ),
    machine=H200,
)


def call(session: str, block: int, sent_ms: int, **changes: object) -> MeasuredCall:
    """Make a call of 100 ms prefill and 200 ms decode, after 5 ms in the queue."""
    made = MeasuredCall(
        "r",
        "a",
        block,
        session,
        f"{session}.{sent_ms}",
        0,
        sent_ns=sent_ms * MS,
        lag_ns=0,
        planned_output_tokens=11,
        basis="measured",
        ttft_ns=106 * MS,
        duration_ns=307 * MS,
        queue_ns=5 * MS,
        prefill_ns=100 * MS,
        decode_ns=200 * MS,
        input_tokens=8000,
        cached_tokens=0,
        output_tokens=11,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of MeasuredCall


def frame(*calls: MeasuredCall) -> pl.DataFrame:
    """Give the calls as the store does."""
    return pl.DataFrame([asdict(one) for one in calls], infer_schema_length=None)


def test_one_session_at_a_time_has_the_engine_s_own_times_and_the_price_of_its_gpu() -> None:
    """Two calls per block in each of two blocks: 0.2 s of prefill, 0.4 of decode, 40 % idle."""
    calls = frame(*(call("s", block, sent) for block in (0, 1) for sent in (0, 400)))
    found = engine_time.of_arm("a", RECORD, calls, {}, sequential=True)
    assert found is not None
    assert (found.prefill_s, found.decode_s, found.mixed_s) == pytest.approx((0.2, 0.4, 0.0))
    assert found.prefill_band_s == pytest.approx((0.2, 0.2))
    assert found.idle_share == pytest.approx(0.4)
    assert (found.gpu, found.gpus, found.energy_j, found.kv_tokens) == (
        "h200-sxm",
        1,
        100.0,
        16_000,
    )
    assert found.usd_hour is not None
    assert found.prefill_usd == pytest.approx(0.2 / 3600 * found.usd_hour[1])
    assert found.sessions[0].decode_usd == pytest.approx(0.4 / 3600 * found.usd_hour[1])
    assert found.method == engine_time.OWN


def test_the_own_price_and_the_number_of_gpus_count() -> None:
    """Two ranks hold two GPUs: twice the GPU-seconds, at $3.60 per hour $0.001 each."""
    record = replace(RECORD, settings={"parallel_config.tensor_parallel_size": 2})
    found = engine_time.of_arm(
        "a", record, frame(call("s", 0, 0)), {}, sequential=True, usd_hour=3.6
    )
    assert found is not None
    assert (found.gpus, found.prefill_s) == pytest.approx((2, 0.2))
    assert found.prefill_usd == pytest.approx(0.0002)
    assert found.price_source == "given"


def test_overlapping_calls_share_the_engine_by_the_roofline() -> None:
    """The sum is the busy time, not the sum of the calls' times; a long prompt takes most of it."""
    calls = frame(call("s", 0, 0), call("t", 0, 150, duration_ns=300 * MS))
    found = engine_time.of_arm("a", RECORD, calls, {}, sequential=False)
    assert found is not None
    busy_s = (
        0.450  # from 6 ms, when the first is scheduled, to 456 ms, the last token of the second
    )
    assert 2 * (found.prefill_s + found.decode_s) == pytest.approx(busy_s)
    assert found.mixed_s == 0
    assert found.prefill_band_s[0] < found.prefill_s < found.prefill_band_s[1]
    second = found.sessions[1]
    assert 0.09 < second.prefill_s < 0.1
    assert found.method == f"{engine_time.OWN}; {engine_time.SHARED}"


def test_measured_steps_are_shared_among_the_calls_that_were_in_their_phase() -> None:
    """0.12 s of prefill and 0.3 s of decode steps, however long the calls were in either phase."""
    steps = BlockRecord(0, 0, wall_ns=1000 * MS, prefill_steps_s=0.12, decode_steps_s=0.3)
    record = replace(RECORD, machine={"gpus": []}, blocks=(steps,))
    calls = frame(call("s", 0, 0), call("t", 0, 150, duration_ns=300 * MS))
    for sequential in (True, False):
        found = engine_time.of_arm("a", record, calls, {}, sequential=sequential)
        assert found is not None
        assert (2 * found.prefill_s, 2 * found.decode_s) == pytest.approx((0.12, 0.3))
        assert found.mixed_s == 0
        assert found.prefill_band_s == pytest.approx((found.prefill_s, found.prefill_s))
        assert found.idle_share == pytest.approx(0.58)
        assert found.method == engine_time.STEPS
        first, second = found.sessions
        # of 450 ms in which a call was in a phase, 2/7 are prefill: 100 ms alone, 28.6 beside
        assert second.prefill_s / first.prefill_s == pytest.approx((450 * 2 / 7 - 100) / 100)


def test_logged_steps_are_shared_among_calls_and_keep_their_band() -> None:
    """GPU-seconds of calls as they are stored; the band is in proportion to the whole block's."""
    steps = BlockRecord(
        0,
        0,
        wall_ns=1000 * MS,
        prefill_steps_s=0.2,
        decode_steps_s=0.3,
        prefill_steps_low_s=0.15,
        prefill_steps_high_s=0.22,
        steps=1200,
        mixed_steps=30,
    )
    record = replace(RECORD, blocks=(steps,))
    calls = frame(
        call("s", 0, 0, prefill_gpu_s=0.08, decode_gpu_s=0.2),
        call("t", 0, 150, prefill_gpu_s=0.12, decode_gpu_s=0.1),
    )
    found = engine_time.of_arm("a", record, calls, {}, sequential=False)
    assert found is not None
    assert found.method == f"{engine_time.LOGGED} (1,200 steps, 30 of them mixed)"
    assert [(one.prefill_s, one.decode_s, one.mixed_s) for one in found.sessions] == [
        pytest.approx((0.08, 0.2, 0.0)),
        pytest.approx((0.12, 0.1, 0.0)),
    ]
    assert found.sessions[1].prefill_band_s == pytest.approx((0.09, 0.132))
    assert found.idle_share == pytest.approx(0.5)


def test_steps_that_were_not_measured_are_said_with_the_reason() -> None:
    """The engine's own times of calls are used as before."""
    record = replace(RECORD, blocks=(BlockRecord(0, 0, steps_unmeasured="no such flag"),))
    found = engine_time.of_arm("a", record, frame(call("s", 0, 0)), {}, sequential=True)
    assert found is not None
    assert found.method == f"{engine_time.OWN}; {engine_time.NOT_LOGGED}: no such flag"


def test_without_a_known_gpu_mixed_time_stays_unshared() -> None:
    """A CPU has no price and no prior: the 100 ms in which both phases ran are said to be mixed."""
    record = replace(RECORD, machine={"gpus": []})
    calls = frame(call("s", 0, 0), call("t", 0, 150, duration_ns=300 * MS))
    found = engine_time.of_arm("a", record, calls, {}, sequential=False)
    assert found is not None
    assert (found.gpu, found.usd_hour, found.prefill_usd) == (None, None, None)
    assert 2 * found.mixed_s == pytest.approx(0.1)
    assert found.prefill_band_s == pytest.approx((found.prefill_s, found.prefill_s + found.mixed_s))
    assert found.method == f"{engine_time.OWN}; {engine_time.UNSHARED}"


def test_an_engine_without_times_of_its_own_is_timed_by_the_client() -> None:
    """To the first token and from it, and it says so."""
    silent = {"queue_ns": None, "prefill_ns": None, "decode_ns": None}
    calls = frame(call("s", 0, 0, **silent))
    found = engine_time.of_arm("a", RECORD, calls, {}, sequential=True)
    assert found is not None
    assert (found.prefill_s, found.decode_s) == pytest.approx((0.106, 0.201))
    assert found.method == engine_time.CLIENT


def test_a_server_that_others_use_too_has_no_engine_time() -> None:
    """Its time is not this run's alone; nor is there any where every call failed."""
    calls = frame(call("s", 0, 0))
    assert (
        engine_time.of_arm("a", replace(RECORD, engine="url"), calls, {}, sequential=True) is None
    )
    failed = frame(call("s", 0, 0, error="HTTP 500"))
    assert engine_time.of_arm("a", RECORD, failed, {}, sequential=True) is None


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("AMD Instinct MI300X", "mi300x"),
        ("NVIDIA GeForce GTX 1080", "NVIDIA GeForce GTX 1080"),
    ],
)
def test_gpus_are_known_by_what_their_drivers_call_them(driver: str, name: str) -> None:
    """An unknown one keeps the driver's name, and has no prior."""
    record = replace(RECORD, machine={"gpus": [{"name": driver}]})
    assert prior.gpu_name(record) == name
    assert (prior.of_arm(record, {}) is None) == driver.endswith("1080")


def test_the_prior_follows_the_formats_of_the_arm() -> None:
    """Half the bytes per weight: a decode step is faster; an unknown format has no prior."""
    plain, fp8 = prior.of_arm(RECORD, {}), prior.of_arm(RECORD, {"quantization": "fp8"})
    assert plain is not None
    assert fp8 is not None
    assert "llama-3.1-8b" in fp8.name
    assert prior.of_arm(RECORD, {"quantization": "secret"}) is None
    assert prior.of_arm(replace(RECORD, model="nobody/knows"), {}) is None


def test_energy_and_filling_are_per_session_that_a_block_serves() -> None:
    """Blocks of shards serve different sessions: 200 J over three sessions, not over two blocks."""
    calls = frame(
        call("s", 0, 0),
        call("t", 0, 400),
        call("u", 1, 400),
        call("u", 1, 0, warm=True, prefill_ns=90 * MS, decode_ns=0),
    )
    found = engine_time.of_arm("a", RECORD, calls, {}, sequential=True)
    assert found is not None
    assert found.energy_j == pytest.approx(200 / 3)
    assert found.filling_s == pytest.approx(0.09 / 3)
    assert [one.session_id for one in found.sessions] == ["s", "t", "u"]
