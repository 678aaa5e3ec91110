"""No compression and gzip are both taken, everywhere; other codings may be."""

import gzip
import zlib

import zstandard

from tests.otlp_conformance import payloads
from tests.otlp_conformance.case import GRPC, HTTP, case
from tests.otlp_conformance.expect import accepted, offered
from tests.otlp_conformance.talk import Talk, squeeze


def _labelled(talk: Talk, label: str, body: bytes) -> None:
    accepted(talk.post(body, headers={"Content-Encoding": label}))


@case("MUST", "OTLP, Protocol Details: none and gzip")
def gzip_traces(talk: Talk) -> None:
    """Traces in gzip are accepted."""
    accepted(talk.export(payloads.spans(50), compression="gzip"))


@case("MUST", "OTLP, Protocol Details: none and gzip")
def gzip_metrics(talk: Talk) -> None:
    """Metrics in gzip are accepted."""
    accepted(talk.export(payloads.data_points(50), compression="gzip"))


@case("MUST", "OTLP, Protocol Details: none and gzip")
def gzip_logs(talk: Talk) -> None:
    """Logs in gzip are accepted."""
    accepted(talk.export(payloads.log_records(50), compression="gzip"))


@case("MUST", "OTLP, Protocol Details: none and gzip")
def plain_and_gzip_in_turn(talk: Talk) -> None:
    """Plain and gzip requests may follow each other."""
    accepted(talk.export(payloads.spans(1)))
    accepted(talk.export(payloads.spans(1), compression="gzip"))
    accepted(talk.export(payloads.spans(1)))


@case("MUST", "RFC 1952", HTTP)
def every_level_of_gzip(talk: Talk) -> None:
    """Stored, fast and best gzip are accepted."""
    body = talk.encode(payloads.spans(20))
    for level in (0, 1, 9):
        _labelled(talk, "gzip", gzip.compress(body, level))


@case("SHOULD", "RFC 1952: members are concatenated", HTTP)
def gzip_in_two_members(talk: Talk) -> None:
    """A gzip body of two members is read to its end."""
    body = talk.encode(payloads.spans(20))
    half = len(body) // 2
    _labelled(talk, "gzip", gzip.compress(body[:half]) + gzip.compress(body[half:]))


@case("SHOULD", "OTLP, Full Success: empty requests")
def gzip_of_nothing(talk: Talk) -> None:
    """An empty request in gzip is answered with success."""
    accepted(talk.send(b"{}" if talk.encoding == "json" else b"", compression="gzip"))


@case("SHOULD", "RFC 9110: codings are case-insensitive", HTTP)
def upper_case_gzip(talk: Talk) -> None:
    """The name of a coding is read without regard to case."""
    _labelled(talk, "GZIP", squeeze(talk.encode(payloads.spans(1)), "gzip"))


@case("SHOULD", "RFC 9110: x-gzip means gzip", HTTP)
def x_gzip(talk: Talk) -> None:
    """`x-gzip` is taken for gzip."""
    _labelled(talk, "x-gzip", squeeze(talk.encode(payloads.spans(1)), "gzip"))


@case("SHOULD", "OTLP: none; RFC 9110: identity", HTTP)
def identity(talk: Talk) -> None:
    """`Content-Encoding: identity` means no compression."""
    _labelled(talk, "identity", talk.encode(payloads.spans(1)))


@case("MAY", "otlpreceiver: zstd", HTTP)
def zstd(talk: Talk) -> None:
    """Zstd is taken, or declined for good."""
    body = zstandard.compress(talk.encode(payloads.spans(50)))
    offered(talk.post(body, headers={"Content-Encoding": "zstd"}), "zstd")


@case("MAY", "otlpreceiver: zstd", HTTP)
def zstd_of_unknown_size(talk: Talk) -> None:
    """Zstd in a frame that does not declare its size is taken, or declined for good."""
    squeezer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    body = squeezer.compress(talk.encode(payloads.spans(50))) + squeezer.flush()
    offered(talk.post(body, headers={"Content-Encoding": "zstd"}), "zstd")


@case("MAY", "otlpreceiver: deflate", HTTP)
def deflate(talk: Talk) -> None:
    """Deflate is taken, or declined for good."""
    body = zlib.compress(talk.encode(payloads.spans(50)))
    offered(talk.post(body, headers={"Content-Encoding": "deflate"}), "deflate")


@case("MAY", "gRPC: deflate", GRPC)
def grpc_deflate(talk: Talk) -> None:
    """GRPC's deflate is taken, or declined for good."""
    offered(talk.export(payloads.spans(50), compression="deflate"), "deflate")
