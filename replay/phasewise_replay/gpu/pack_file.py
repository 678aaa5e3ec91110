"""The pack: a replay as one file, with everything that the machine it runs on does not have.

gzip of one JSON document. Segments are stored once and prompts are lists of their numbers, so a
history that every call sends again costs a few bytes. Token ids are not stored: they are generated
from the digests, the same in every process (`prompt_tokens`).
"""

import gzip
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment

from phasewise_replay.gpu.kit_plan import Flags, Smoke
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.sessions import selection
from phasewise_replay.sessions.recorded import Recorded, RecordedSession, RecordedStep

FORMAT = "phasewise-gpu-pack-1"


@dataclass(frozen=True, slots=True)
class PackedStage:
    """A plan with its sessions."""

    plan: Plan
    recorded: Recorded
    left_out: tuple[str, ...] = ()
    """sentences about what of the sessions is not replayed"""


@dataclass(frozen=True, slots=True)
class Pack:
    """Everything that `on_machine` needs besides the engine."""

    name: str
    stages: tuple[PackedStage, ...]
    flags: Mapping[str, Flags] = field(default_factory=dict)
    """common flags by engine"""
    smoke: Smoke = field(default_factory=Smoke)
    model_files: Mapping[str, bytes] = field(default_factory=dict)
    """of a model without weights, by file name; empty when the machine has the model"""


def write(path: Path, pack: Pack) -> int:
    """Write a pack, the same bytes from the same facts, and return its size."""
    segments: dict[bytes, int] = {}
    stages = [_stage_document(stage, segments) for stage in pack.stages]
    known = {
        segment.digest: segment
        for stage in pack.stages
        for session in stage.recorded.sessions
        for step in session.steps
        for segment in step.prompt
    }
    document = {
        "format": FORMAT,
        "name": pack.name,
        "flags": pack.flags,
        "smoke": asdict(pack.smoke),
        "model_files": {name: b64encode(raw).decode() for name, raw in pack.model_files.items()},
        "segments": [_segment_row(known[digest]) for digest in segments],
        "stages": stages,
    }
    raw = gzip.compress(orjson.dumps(document), mtime=0)
    path.write_bytes(raw)
    return len(raw)


def read(path: Path) -> Pack:
    """Read a pack; raises UsageError when the file is not one."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the pack `{path}`: {error.strerror}") from None
    try:
        found = orjson.loads(gzip.decompress(raw))
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UsageError(
            f"`{path}` is not a pack of this version; write it again with  phasewise gpu pack"
        )
    segments = [_segment(row) for row in found["segments"]]
    return Pack(
        name=found["name"],
        stages=tuple(_stage(one, segments) for one in found["stages"]),
        flags=found["flags"],
        smoke=Smoke(
            tuple(found["smoke"]["arms"]),
            found["smoke"]["flags"],
            tuple(found["smoke"]["fallbacks"]),
        ),
        model_files={name: b64decode(text) for name, text in found["model_files"].items()},
    )


def _stage_document(stage: PackedStage, segments: dict[bytes, int]) -> dict[str, object]:
    return {
        "plan": as_yaml(stage.plan),
        "left_out": stage.left_out,
        "selection": selection.encode(stage.recorded.selections),
        "sessions": [
            {
                "session_id": session.session_id,
                "steps": [
                    {
                        "call_id": step.call_id,
                        "step": step.step,
                        "output_tokens": step.output_tokens,
                        "wait_ns": step.wait_ns,
                        "after": step.after,
                        "warm": step.warm,
                        "prompt": [
                            segments.setdefault(segment.digest, len(segments))
                            for segment in step.prompt
                        ],
                    }
                    for step in session.steps
                ],
            }
            for session in stage.recorded.sessions
        ],
    }


def _stage(found: Any, segments: list[Segment]) -> PackedStage:  # noqa: ANN401  # JSON
    sessions = tuple(
        RecordedSession(
            session["session_id"],
            tuple(_step(step, segments) for step in session["steps"]),
        )
        for session in found["sessions"]
    )
    plan = plan_file.parse(found["plan"], "the pack's plan")
    chosen = selection.decode(found.get("selection"))
    return PackedStage(plan, Recorded(sessions, 0, chosen), tuple(found["left_out"]))


def _step(found: Any, segments: list[Segment]) -> RecordedStep:  # noqa: ANN401  # JSON
    after = found.get("after")
    prompt = tuple(segments[number] for number in found["prompt"])
    return RecordedStep(
        **{**found, "prompt": prompt, "after": None if after is None else tuple(after)}
    )


def _segment_row(segment: Segment) -> list[object]:
    text = None if segment.content is None else b64encode(segment.content).decode()
    return [segment.kind, segment.digest.hex(), segment.tokens, segment.role, text]


def _segment(row: Any) -> Segment:  # noqa: ANN401  # JSON
    kind, digest, tokens, role, text = row
    content = None if text is None else b64decode(text)
    return Segment(kind, bytes.fromhex(digest), tokens, role, content)
