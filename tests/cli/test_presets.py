"""`phasewise presets`: all of them in one table, and the flags of one."""

import json

import pytest
from phasewise_replay.plans.presets import presets
from phasewise_web.cli.main import main


def test_every_preset_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, in the table and in the JSON, with what it costs."""
    assert main(["presets"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{name} " in printed for name in presets())
    assert main(["presets", "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(found) == list(presets())
    assert found["chunk-256"]["sglang"] == {"chunked-prefill-size": 256}
    assert found["chunk-256"]["costs"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("chunk-256", "vLLM   --max-num-batched-tokens 256"),
        ("prefix-caching-off", "vLLM   --no-enable-prefix-caching"),
        ("prefix-caching-on", "SGLang its default"),
        ("suffix-speculation", "SGLang UNSUPPORTED: it has no suffix decoding"),
        ("disaggregation", "simulated arms  prefill_engines: 1, decode_engines: 1"),
    ],
)
def test_one_preset_has_its_flags(name: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As words of each engine's command line, or why there are none."""
    assert main(["presets", name]) == 0
    assert f"  {line}\n" in capsys.readouterr().out


def test_an_unknown_preset_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, as every misuse."""
    assert main(["presets", "go-faster"]) == 2
    assert "unknown preset `go-faster`; the presets are `prefix-" in capsys.readouterr().err
