"""OTLP/JSON: the proto3 JSON mapping with hex ids and enums as integers."""

import base64
import json

from google.protobuf import json_format
from google.protobuf.message import Message

ID_KEYS = frozenset({"traceId", "spanId", "parentSpanId"})


def encode(message: Message) -> bytes:
    """Write a message as OTLP/JSON."""
    return json.dumps(as_object(message), ensure_ascii=False).encode()


def as_object(message: Message) -> dict[str, object]:
    """Give the JSON object of a message, for a case to bend before it is sent."""
    found: dict[str, object] = json_format.MessageToDict(message, use_integers_for_enums=True)
    _ids_to_hex(found)
    return found


def _ids_to_hex(node: object) -> None:
    if isinstance(node, list):
        for item in node:
            _ids_to_hex(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ID_KEYS and isinstance(value, str):
                node[key] = base64.b64decode(value).hex()
            else:
                _ids_to_hex(value)
