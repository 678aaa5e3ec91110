"""A request has a size limit, before and after decompression, and going over it is no crash."""

import gzip
from functools import lru_cache

import zstandard

from tests.otlp_conformance import payloads
from tests.otlp_conformance.answer import DETAILS, Answer
from tests.otlp_conformance.case import GRPC, HTTP, Encoding, Failed, NotOffered, case
from tests.otlp_conformance.expect import accepted, too_large
from tests.otlp_conformance.http_wire import PIECE_BYTES
from tests.otlp_conformance.json_form import encode
from tests.otlp_conformance.talk import Talk, size

MIB = 1 << 20
OVER = 1.25
"""Times the limit: 80 MiB for the recommended 64 MiB."""


@lru_cache(maxsize=2)
def proper(encoding: Encoding, text_bytes: int) -> bytes:
    """Write a proper request of one span with so long a text."""
    request = payloads.long_text(text_bytes)
    return encode(request) if encoding == "json" else request.SerializeToString()


@lru_cache(maxsize=2)
def squeezed(encoding: Encoding, text_bytes: int) -> bytes:
    """Compress such a request."""
    return gzip.compress(proper(encoding, text_bytes), 6)


def _over(talk: Talk) -> int:
    return int(talk.receiver.limit_bytes * OVER)


def _patient(talk: Talk) -> float:
    return 3 * talk.receiver.timeout_s


@case("MUST", "OTLP, Full Success")
def one_mebibyte(talk: Talk) -> None:
    """A request of 1 MiB is accepted."""
    accepted(talk.send(proper(talk.encoding, MIB)))


@case("SHOULD", "OTLP, Request: 64 MiB is RECOMMENDED")
def more_than_four_mebibytes(talk: Talk) -> None:
    """A request of 5 MiB is accepted: gRPC libraries stop at 4 unless told otherwise."""
    accepted(talk.send(proper(talk.encoding, 5 * MIB), timeout_s=_patient(talk)))


@case("SHOULD", "OTLP, Request: 64 MiB is RECOMMENDED")
def just_under_the_limit(talk: Talk) -> None:
    """A request of 15/16 of the limit (60 MiB) is accepted."""
    body = proper(talk.encoding, talk.receiver.limit_bytes // 16 * 15)
    accepted(talk.send(body, timeout_s=_patient(talk)))


@case("SHOULD", "OTLP, Request: 64 MiB is RECOMMENDED")
def just_under_the_limit_in_gzip(talk: Talk) -> None:
    """A request of 15/16 of the limit after decompression is accepted."""
    body = proper(talk.encoding, talk.receiver.limit_bytes // 16 * 15)
    accepted(talk.send(body, compression="gzip", timeout_s=_patient(talk)))


@case("MUST", "OTLP, Request: the limit is enforced")
def over_the_limit(talk: Talk) -> None:
    """A request of 5/4 of the limit (80 MiB) is answered by 413 (gRPC: RESOURCE_EXHAUSTED)."""
    too_large(talk.send(proper(talk.encoding, _over(talk)), timeout_s=_patient(talk)))
    accepted(talk.export(payloads.spans(1)))


@case("MUST", "OTLP, Request: including after decompression")
def over_the_limit_after_gzip(talk: Talk) -> None:
    """A small gzip body of 5/4 of the limit after decompression is refused the same way."""
    too_large(_gzip_bomb(talk))
    accepted(talk.export(payloads.spans(1)))


def _gzip_bomb(talk: Talk) -> Answer:
    if talk.encoding == "grpc":
        body = proper("grpc", _over(talk))
        return talk.send(body, compression="gzip", timeout_s=_patient(talk))
    body = squeezed(talk.encoding, _over(talk))
    return talk.post(body, headers={"Content-Encoding": "gzip"}, timeout_s=_patient(talk))


@case("MUST", "OTLP/HTTP, Request: the limit is enforced", HTTP)
def over_the_limit_in_chunks(talk: Talk) -> None:
    """A chunked body, whose length nobody announced, is refused the same way."""
    body = proper(talk.encoding, _over(talk))
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    with talk.line(_patient(talk)) as line:
        whole = line.write(talk.head(None, headers))
        for start in range(0, len(body), PIECE_BYTES * 4):
            piece = body[start : start + PIECE_BYTES * 4]
            whole = whole and line.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if whole:
            line.write(b"0\r\n\r\n")
        answer = talk.keep(line.read(), f"POST /v1/traces {size(body)} in chunks")
    too_large(answer)
    accepted(talk.export(payloads.spans(1)))


@case("MUST", "OTLP/HTTP, Request: the limit is enforced", HTTP)
def announced_over_the_limit(talk: Talk) -> None:
    """A length of 1 TiB is refused when it is announced, before the body is sent."""
    with talk.line() as line:
        line.write(talk.head(1 << 40) + b"\x0a")
        answer = talk.keep(line.read(), "POST /v1/traces, Content-Length: 1 TiB")
    too_large(answer)
    accepted(talk.export(payloads.spans(1)))


def _zstd_bomb(talk: Talk, *, declared: bool) -> None:
    headers = {"Content-Encoding": "zstd"}
    probe = talk.post(zstandard.compress(talk.encode(payloads.spans(1))), headers=headers)
    if not probe.ok:
        raise NotOffered(f"zstd: {probe.said}")
    squeezer = zstandard.ZstdCompressor(write_content_size=declared)
    plain = proper(talk.encoding, _over(talk))
    if declared:
        body = squeezer.compress(plain)
    else:
        stream = squeezer.compressobj()
        body = stream.compress(plain) + stream.flush()
    too_large(talk.post(body, headers=headers, timeout_s=_patient(talk)))
    accepted(talk.export(payloads.spans(1)))


@case("MUST", "OTLP/HTTP, Request: including after decompression", HTTP)
def over_the_limit_after_zstd(talk: Talk) -> None:
    """The limit holds for zstd whose frame declares its size."""
    _zstd_bomb(talk, declared=True)


@case("MUST", "OTLP/HTTP, Request: including after decompression", HTTP)
def over_the_limit_after_zstd_of_unknown_size(talk: Talk) -> None:
    """The limit holds for zstd whose frame does not declare its size."""
    _zstd_bomb(talk, declared=False)


@case("MUST", "OTLP, Request: for every signal")
def over_the_limit_in_metrics_and_logs(talk: Talk) -> None:
    """The limit holds for metrics and logs."""
    body = proper(talk.encoding, _over(talk))
    for request in payloads.one_of_each()[1:]:
        signal = talk.export(request).signal
        too_large(talk.send(body, signal=signal, compression="gzip", timeout_s=_patient(talk)))


@case("MUST", "OTLP/gRPC, Request: as a non-retryable error", GRPC)
def no_retry_info_over_the_limit(talk: Talk) -> None:
    """RESOURCE_EXHAUSTED for a request over the limit carries no RetryInfo."""
    answer = _gzip_bomb(talk)
    too_large(answer)
    if answer.body and answer.has_detail(DETAILS[1]):
        raise Failed("no RetryInfo", answer.said)


@case("MUST", "OTLP/HTTP Response: 4xx bodies are google.rpc.Status", HTTP)
def status_over_the_limit(talk: Talk) -> None:
    """413 carries a Status in the content type of the request, and says something."""
    answer = _gzip_bomb(talk)
    too_large(answer)
    if not answer.status().message:
        raise Failed("a Status with a message", answer.said)
