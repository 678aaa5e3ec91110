"""The cases, one module a topic; `SECTIONS` is the order in which they run."""

SECTIONS = (
    "signals",
    "values",
    "empty",
    "encodings",
    "compression",
    "sizes",
    "bombs",
    "errors",
    "http_errors",
    "json_rules",
    "partial_success",
    "connections",
    "grpc",
    "exactly_once",
    "overload",
    "statuses",
)
