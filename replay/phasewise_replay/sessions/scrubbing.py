"""Replace the secrets of recorded prompts and answers before they are sent or packed.

A stand-in has the length of the secret, and a letter or digit wherever that has one, so that a
prompt keeps about its number of tokens and stays valid JSON. It depends on nothing of the secret
but this shape: secrets are numbered as they come. The same secret has the same stand-in in all
prompts, so that these share the same prefixes as before.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import shake_256
from string import ascii_lowercase, ascii_uppercase, digits

from phasewise_store.facts import Segment
from phasewise_store.segments import encoded_segment

from phasewise_replay.sessions import secrets
from phasewise_replay.sessions.recorded import RecordedSession
from phasewise_replay.sessions.secrets import Secret
from phasewise_replay.sessions.selection import Replaced

LEAST_BYTES = 8
"""a shorter secret is replaced where it was found, and not wherever its letters stand"""
_HEX = b"0123456789abcdef"
_PIECE = re.compile(rb"\\+u[0-9a-fA-F]{4}|\\+.|[A-Za-z0-9]", re.DOTALL)
"""escapes stay as they are"""


class Scrubber:
    """Replaces secrets in the prompts of one replay, in all of them alike."""

    def __init__(self) -> None:
        self._stand_ins: dict[bytes, bytes] = {}
        self._kinds: dict[bytes, str] = {}
        self._places: Counter[str] = Counter()
        self._done: dict[bytes, Segment] = {}
        """by the digest before"""

    def scrub(self, sessions: Sequence[RecordedSession]) -> tuple[RecordedSession, ...]:
        """Return the sessions with stand-ins in place of all secrets found so far."""
        texts = {segment: tuple(secrets.find(text)) for segment, text in _texts(sessions)}
        for segment, found in texts.items():
            for secret in found:
                self._learn(segment, secret.start, secret.end, secret.kind)
        if not self._stand_ins:
            return tuple(sessions)
        anywhere = sorted(
            (one for one in self._stand_ins if len(one) >= LEAST_BYTES), key=len, reverse=True
        )
        known = re.compile(b"|".join(map(re.escape, anywhere))) if anywhere else None
        for segment, found in texts.items():
            if segment.digest not in self._done:
                self._done[segment.digest] = self._clean(segment, found, known)
        return tuple(
            replace(
                session,
                steps=tuple(
                    replace(
                        step,
                        prompt=tuple(self._done.get(one.digest, one) for one in step.prompt),
                        output=tuple(self._done.get(one.digest, one) for one in step.output),
                    )
                    for step in session.steps
                ),
            )
            for session in sessions
        )

    def replaced(self) -> tuple[Replaced, ...]:
        """Return what was replaced so far, by kind."""
        different = Counter(self._kinds.values())
        return tuple(
            Replaced(kind, count, self._places[kind]) for kind, count in sorted(different.items())
        )

    def _learn(self, segment: Segment, start: int, end: int, kind: str) -> bytes:
        """Return the stand-in of a piece of text, made when it comes for the first time."""
        assert segment.content is not None
        secret = segment.content[start:end]
        if secret not in self._stand_ins:
            self._stand_ins[secret] = stand_in(secret, len(self._stand_ins))
            self._kinds[secret] = kind
        return self._stand_ins[secret]

    def _clean(
        self, segment: Segment, found: Sequence[Secret], known: re.Pattern[bytes] | None
    ) -> Segment:
        """Replace what was found in this text, and what was found in any other."""
        assert segment.content is not None
        text = segment.content
        spans = list(found)
        for match in known.finditer(text) if known is not None else ():
            spans.append(Secret(self._kinds[match.group()], *match.span()))
        parts: list[bytes] = []
        done = 0
        for one in _merged(spans):
            self._places[one.kind] += 1
            parts += [text[done : one.start], self._learn(segment, one.start, one.end, one.kind)]
            done = one.end
        if not parts:
            return segment
        clean = b"".join((*parts, text[done:]))
        digest = encoded_segment(segment.kind, clean, segment.role).digest
        return replace(segment, digest=digest, content=clean)


def stand_in(secret: bytes, number: int) -> bytes:
    """Return text of the same shape; `number` tells secrets of one shape apart."""
    drawn = iter(shake_256(f"stand-in {number}".encode()).digest(len(secret)))
    alphabets = [digits.encode(), ascii_lowercase.encode(), ascii_uppercase.encode()]
    if all(one in _HEX for one in secret):
        alphabets = [_HEX]

    def other(match: re.Match[bytes]) -> bytes:
        piece = match.group()
        alphabet = next((one for one in alphabets if piece in one), None)
        if len(piece) > 1 or alphabet is None:
            return piece
        return alphabet[(place := next(drawn) % len(alphabet)) : place + 1]

    return _PIECE.sub(other, secret)


def _merged(spans: Sequence[Secret]) -> list[Secret]:
    """Return the spans in order, those that overlap as one."""
    found: list[Secret] = []
    for one in sorted(spans, key=lambda span: (span.start, -span.end)):
        if found and one.start < found[-1].end:
            found[-1] = replace(found[-1], end=max(one.end, found[-1].end))
        else:
            found.append(one)
    return found


def _texts(sessions: Sequence[RecordedSession]) -> Iterator[tuple[Segment, bytes]]:
    """Yield every different text once, in the order in which they are sent."""
    seen: set[bytes] = set()
    for session in sessions:
        for step in session.steps:
            for segment in (*step.prompt, *step.output):
                if segment.digest not in seen:
                    seen.add(segment.digest)
                    if segment.content is not None:
                        yield segment, segment.content
