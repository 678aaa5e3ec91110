"""Read a running server's model, version, cache and settings.

Facts that the server does not report stay None. Used by both real engines.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
from phasewise_store.errors import EngineError

from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.engine import Resolved
from phasewise_replay.engines import prometheus, sglang_description

HITS = "vllm:prefix_cache_hits_total"
_CACHE = "vllm:cache_config_info"
_VOLATILE = ("port", "instance_id", "seed_handle", "local_rank")
"""parts of names of settings that differ between two starts of the same configuration"""


def describe(client: OpenAiClient, *, engine: str, model: str | None) -> Resolved:
    """Return the configuration and set the client's model.  Raises EngineError."""
    listed = _models(client)
    names = [str(entry.get("id")) for entry in listed]
    if model is not None and names and model not in names:
        raise EngineError(f"this server serves {', '.join(names)}, not `{model}`")
    client.model = model or names[0]
    limit = next((entry.get("max_model_len") for entry in listed), None)
    version = (client.json("/version") or {}).get("version")
    cache = prometheus.labels_of(prometheus.parse(client.text("/metrics") or ""), _CACHE)
    blocks = _number(cache.get("num_gpu_blocks"))
    caching = cache.get("enable_prefix_caching")
    info = _info(client)
    resolved = Resolved(
        engine=engine,
        model=client.model,
        basis="measured",
        version=None if version is None else str(version),
        prefix_caching=None if caching is None else caching == "True",
        block_tokens=_number(cache.get("block_size")),
        # vLLM keeps block 0 as the null block: it never holds a prompt
        blocks=None if blocks is None else blocks - 1,
        max_model_tokens=limit if isinstance(limit, int) else None,
        vocabulary_tokens=_vocabulary(client.model),
        settings=_settings(info),
    )
    if sglang_description.is_sglang(info):
        return sglang_description.with_cache(resolved, info)
    return resolved


def is_sglang(resolved: Resolved) -> bool:
    """Return whether a described server is SGLang."""
    return sglang_description.is_sglang(resolved.settings)


def cached_tokens(client: OpenAiClient) -> int | None:
    """Return vLLM's own count of the tokens it took from its prefix cache."""
    hits = prometheus.total(prometheus.parse(client.text("/metrics") or ""), HITS)
    return None if hits is None else round(hits)


def flatten(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Return every setting by its dotted name, without those that differ at every start."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not any(f"_{word}_" in f"_{name}_" for word in _VOLATILE):
                yield from flatten(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _models(client: OpenAiClient) -> list[Mapping[str, object]]:
    listed = (client.json("/v1/models") or {}).get("data")
    if not isinstance(listed, list) or not listed:
        raise EngineError("the server lists no models at `/v1/models`; is it OpenAI-compatible?")
    return listed


def _info(client: OpenAiClient) -> Mapping[str, object]:
    """Read vLLM's configuration (development mode only) or SGLang's."""
    found = map(client.json, sglang_description.PATHS)
    return next((info for info in found if info is not None), {})


def _settings(info: Mapping[str, object]) -> dict[str, object]:
    inner = info.get("vllm_config", info)
    return dict(sorted(flatten(inner))) if isinstance(inner, Mapping) else {}


def _vocabulary(model: str) -> int | None:
    config = Path(model) / "config.json"
    if not config.exists():
        return None
    size = orjson.loads(config.read_bytes()).get("vocab_size")
    return size if isinstance(size, int) else None


def _number(label: str | None) -> int | None:
    return int(label) if label is not None and label.isdigit() else None
