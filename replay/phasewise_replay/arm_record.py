"""What a run keeps of an arm beside its calls; stored as the JSON in `arms.resolved`.

`run` writes it, `compare` reads it to judge fidelity and to find confounders.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import orjson
from phasewise_store.runs import Arm, Basis


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One turn of an arm: how it began, and the engine's own count at its end."""

    block: int
    canary_cached_tokens: int | None
    """cached tokens of the canary after the reset: 0 is cold; None when the engine does not say"""
    void: str | None = None
    """why nothing was measured in this block"""
    calls: int = 0
    skipped_calls: int = 0
    """calls not sent because their prompt and output exceed the model's context"""
    cached_tokens: int | None = None
    """sum over the answers, the canary's among them"""
    engine_cached_tokens: int | None = None
    """what the engine's own counter grew by meanwhile; must equal the sum"""


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """The engine as it reported itself, and the arm's blocks."""

    engine: str
    model: str
    basis: Basis
    version: str | None = None
    prefix_caching: bool | None = None
    block_tokens: int | None = None
    blocks_of_kv: int | None = None
    max_model_tokens: int | None = None
    resets: str = "reset"
    settings: Mapping[str, object] = field(default_factory=dict)
    """every setting by its dotted name"""
    blocks: tuple[BlockRecord, ...] = ()


def encode(record: ArmRecord) -> str:
    """Write a record as the JSON that stands in the store."""
    return orjson.dumps(asdict(record), default=str, option=orjson.OPT_SORT_KEYS).decode()


def decode(arm: Arm) -> ArmRecord | None:
    """Read an arm's record; None where the arm never started."""
    if arm.resolved in ("", "{}"):
        return None
    found = orjson.loads(arm.resolved)
    blocks = tuple(BlockRecord(**block) for block in found.pop("blocks"))
    return ArmRecord(**found, blocks=blocks)
