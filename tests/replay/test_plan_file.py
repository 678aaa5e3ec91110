"""Plans in YAML: read, written back, and refused with the key that is wrong."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from phasewise_replay.engines import sglang_command
from phasewise_replay.nights import nightly_file
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import SglangArm, SimulatedArm, VllmArm
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.plans.presets import EngineKind, Phase, Technique, presets
from phasewise_store.errors import UnsupportedArmError, UsageError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

GOOD = """
name: a
sessions: {source: live, limit: 5, newest: true}
arms:
  - name: off
    engine: vllm
    model: m
    presets: [prefix-caching-off]
    flags: {max_num_seqs: 8, speculative-config: {method: ngram}}
  - {name: on, engine: url, url: "http://127.0.0.1:8000/v1"}
repeats: 2
tool_time: recorded
"""


def test_a_plan_is_read_and_written_back() -> None:
    """What `as_yaml` writes is read as the same plan; flags lose their underscores."""
    found = plan_file.parse(GOOD, "plan")
    assert plan_file.parse(as_yaml(found), "again") == found
    arm = found.arms[0]
    assert isinstance(arm, VllmArm)
    assert arm.all_flags() == {
        "enable-prefix-caching": False,
        "max-num-seqs": 8,
        "speculative-config": {"method": "ngram"},
    }


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("engine: vllm", "engine: tpu", "must be one of vllm, sglang, url, simulated"),
        ("model: m", "modle: m", "`arms[0].model` is missing"),
        ("repeats: 2", "repeats: 0", "whole number above 0"),
        ("prefix-caching-off", "go-faster", "unknown preset `go-faster`"),
        ("name: on", "name: off", "more than one arm named `off`"),
        (
            "newest: true",
            "sample: best",
            "must be one of oldest, newest, stratified, cost-weighted",
        ),
        ("newest: true", "newest: true, sample: oldest", "contradicts `sample`"),
        ("limit: 5", "limt: 5", "`sessions.limt` is not a known key"),
        ("flags: {", "flags: {port: 8000, ", "flag `port` is set by the run itself"),
        ('"http://127.0.0.1:8000/v1"', "127.0.0.1", "must start with http"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_key(wrong: str, right: str, said: str) -> None:
    """The error names the file, the key and what is allowed."""
    with pytest.raises(UsageError) as error:
        plan_file.parse(GOOD.replace(wrong, right), "plan.yaml")
    assert said in str(error.value)


def test_an_sglang_arm_has_its_own_flags_for_the_same_presets() -> None:
    """A preset is one change under two spellings; one without a counterpart is unsupported."""
    text = GOOD.replace("engine: vllm", "engine: sglang").replace(
        "presets: [prefix-caching-off]", "presets: [prefix-caching-off, chunk-256]"
    )
    found = plan_file.parse(text, "plan")
    assert plan_file.parse(as_yaml(found), "again") == found
    arm = found.arms[0]
    assert isinstance(arm, SglangArm)
    flags = arm.all_flags()
    assert flags["disable-radix-cache"] is True
    assert flags["chunked-prefill-size"] == 256
    words = sglang_command.command(Path("python"), model="m", port=1, flags=flags, on_cpu=True)
    assert words[:3] == ["python", "-m", "sglang.launch_server"]
    assert "--disable-radix-cache" in words
    assert words[words.index("--model-path") + 1] == "m"
    on = sglang_command.command(
        Path("python"), model="m", port=1, flags={"disable-radix-cache": False}, on_cpu=False
    )
    assert not any("radix" in word for word in on)
    with pytest.raises(UnsupportedArmError, match="no counterpart of `int8-weights`"):
        replace(arm, presets=("int8-weights",)).all_flags()


def test_presets_name_the_phase_and_the_trade_off() -> None:
    """Every preset says which phase it serves, what it does and what it costs."""
    for preset in presets().values():
        assert preset.phase in get_args(Phase)
        assert preset.does
        assert preset.costs


def test_presets_cover_the_six_techniques_on_both_engines() -> None:
    """Each technique has one, and an engine without flags for it has a reason."""
    found = presets().values()
    assert {preset.technique for preset in found} == set(get_args(Technique))
    for preset in found:
        for engine in get_args(EngineKind):
            missing = getattr(preset, engine) is None
            assert missing == (engine in preset.why_not), (preset.name, engine)


@pytest.mark.parametrize("engine", get_args(EngineKind))
def test_a_draft_model_stands_where_the_preset_has_its_place(engine: EngineKind) -> None:
    """In the flags of both engines; without one, the plan is refused with the key."""
    text = GOOD.replace("engine: vllm", f"engine: {engine}").replace(
        "presets: [prefix-caching-off]", "presets: [eagle3-speculation]\n    draft_model: head"
    )
    text = text.replace(", speculative-config: {method: ngram}", "")
    found = plan_file.parse(text, "plan")
    assert plan_file.parse(as_yaml(found), "again") == found
    arm = found.arms[0]
    assert isinstance(arm, VllmArm | SglangArm)
    flags = arm.all_flags()
    if engine == "vllm":
        model = {"method": "eagle3", "model": "head", "num_speculative_tokens": 4}
        assert flags["speculative-config"] == model
    else:
        assert flags["speculative-draft-model-path"] == "head"
    with pytest.raises(UsageError, match=r"`arms\[0\].draft_model` is missing: `eagle3-spec"):
        plan_file.parse(text.replace("    draft_model: head\n", ""), "plan")


def test_disaggregation_is_a_layout_of_simulated_arms_only() -> None:
    """A managed server cannot be two; the simulation has an engine for each phase."""
    simulated = "{name: s, engine: simulated, gpu: h100-sxm, model: qwen3-8b"
    text = f"name: n\narms:\n  - {simulated}, presets: [disaggregation, chunk-2048]}}"
    arm = plan_file.parse(text, "plan").arms[0]
    assert isinstance(arm, SimulatedArm)
    assert (arm.options.prefill_engines, arm.options.decode_engines) == (1, 1)
    assert arm.all_flags() == {"max-num-batched-tokens": 2048}
    for managed in (VllmArm, SglangArm):
        with pytest.raises(UnsupportedArmError, match=r"no counterpart .* two servers with"):
            managed("a", "m", presets=("disaggregation",)).all_flags()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("plans/*.yaml")), ids=lambda p: p.name)
def test_the_example_plans_are_plans(path: Path) -> None:
    """Every file of examples/plans is read."""
    assert plan_file.read(path).arms


def test_the_rule_and_its_seed_are_read() -> None:
    """The older `newest: true` is a rule, too."""
    rule = "sample: cost-weighted, seed: 7, keep_secrets: true"
    found = plan_file.parse(GOOD.replace("newest: true", rule), "plan").sessions
    assert (found.sample, found.seed, found.keep_secrets) == ("cost-weighted", 7, True)
    assert plan_file.parse(GOOD, "plan").sessions.sample == "newest"


def test_a_nightly_draws_where_it_asks_for_it_and_takes_the_newest_otherwise() -> None:
    """`oldest` would replay the same sessions every night."""
    drawn = nightly_file.parse(GOOD.replace("newest: true", "sample: stratified"), "nightly")
    assert drawn.plan.sessions.sample == "stratified"
    oldest = nightly_file.parse(GOOD.replace("newest: true", "sample: oldest"), "nightly")
    assert oldest.plan.sessions.sample == "newest"


def test_the_example_nightly_file_is_one() -> None:
    """Its gates and its newest sessions are read."""
    found = nightly_file.read(EXAMPLES / "nightly.yaml")
    assert found.plan.sessions.sample == "newest"
    assert found.gates


def test_every_example_plan_is_one() -> None:
    """And is written back as itself."""
    plans = sorted((EXAMPLES / "plans").glob("*.yaml"))
    assert plans
    for path in plans:
        plan = plan_file.read(path)
        assert plan_file.parse(as_yaml(plan), path.name) == plan
