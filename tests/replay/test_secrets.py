"""Secrets are found in recorded text, and replaced so that prompts stay as they are otherwise."""

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.sessions.recorded import RecordedSession, RecordedStep
from phasewise_replay.sessions.scrubbing import Scrubber, stand_in
from phasewise_replay.sessions.secrets import find
from phasewise_store.facts import Segment
from phasewise_store.segments import encoded_segment, raw_segments, text_segment

MADE_UP = "".join(f"{number:02d}aB" for number in range(20))
KEY_BODY = "\n".join(["MIIEpAIBAAKCAQEA" + "b7Qx" * 12] * 27)
PRIVATE_KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n-----END RSA PRIVATE KEY-----"
JWT = f"eyJ{MADE_UP[:20]}.eyJ{MADE_UP[:30]}.{MADE_UP[:24]}"

SECRETS = [
    ("API key", f"use sk-ant-api03-{MADE_UP[:40]} please", f"ant-api03-{MADE_UP[:40]}"),
    ("API key", f"\nAIza{MADE_UP[:35]}", MADE_UP[:35]),
    ("API key", f"sk_live_{MADE_UP[:24]}", MADE_UP[:24]),
    ("access key of AWS", "id AKIAIOSFODNN7EXAMPLE.", "IOSFODNN7EXAMPLE"),
    ("access token", f"git clone with ghp_{MADE_UP[:36]}", MADE_UP[:36]),
    ("access token", f"xoxb-1234567890-{MADE_UP[:12]}", f"1234567890-{MADE_UP[:12]}"),
    ("JSON web token", f"cookie {JWT};", JWT[3:]),
    ("password in an address", "postgres://app:s3cr3t-pw@db:5432/x", "s3cr3t-pw"),
    ("authorization header", f"-H 'Authorization: Bearer {MADE_UP[:30]}'", MADE_UP[:30]),
    ("password", 'PASSWORD="hunter2xyz"', "hunter2xyz"),
    ("password", "DB_PASSWORD=SuperGeheim", "SuperGeheim"),
    ("named secret", f'{{"api_key": "{MADE_UP[:32]}"}}', MADE_UP[:32]),
    ("named secret", f"AWS_SECRET_ACCESS_KEY={MADE_UP[:40]}", MADE_UP[:40]),
    ("private key", PRIVATE_KEY, f"\n{KEY_BODY}\n"),
]
HARMLESS = [
    "max_tokens: 4096, input_tokens=123456789012",
    'password = getpass.getpass("Password: ")',
    "token = tokenizer.encode(text)  # token: str",
    '{"type": "string", "description": "The API key: see settings"}',
    "key = hashlib.sha256(value).hexdigest()",
    "basic understanding of internationalization",
    "https://example.org:8080/a@b and git@github.com:owner/name.git",
    "risk-assessment-of-something-that-is-long-2024",
    "class='sk-loading-spinner-container'",
    "os.environ['OPENAI_API_KEY']",
    "${DB_PASSWORD} and <token>",
]


@pytest.mark.parametrize(("kind", "text", "secret"), SECRETS)
def test_a_secret_is_found_in_text_and_in_json(kind: str, text: str, secret: str) -> None:
    """The part that must not be seen, and nothing more; also behind JSON's escapes, twice."""
    for written in (
        text.encode(),
        orjson.dumps([text]),
        orjson.dumps(orjson.dumps([text]).decode()),
    ):
        (one,) = find(written)
        assert one.kind == kind
        plain = written[one.start : one.end].decode()
        assert re.sub(r"\\+n", "\n", plain) == secret


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays(text: str) -> None:
    """Code, settings and words that look a little like secrets."""
    assert not list(find(text.encode()))


@given(st.text(alphabet="abcXYZ019-_/+=.\\n", min_size=1), st.integers(0, 300))
def test_a_stand_in_has_the_shape_of_the_secret(secret: str, number: int) -> None:
    """Letters stay letters of their case, digits digits, and all else as it was."""

    def shape(text: bytes) -> bytes:
        plain = re.sub(rb"\\+.", b"", text)
        return re.sub(rb"[a-z]", b"a", re.sub(rb"[A-Z]", b"A", re.sub(rb"[0-9]", b"0", plain)))

    raw = secret.encode()
    made = stand_in(raw, number)
    assert len(made) == len(raw)
    if not all(one in b"0123456789abcdef" for one in raw):
        assert shape(made) == shape(raw)


def session(*prompts: tuple[Segment, ...], name: str = "s") -> RecordedSession:
    """Make a session that sends these prompts."""
    return RecordedSession(
        name,
        tuple(
            RecordedStep(f"{name}.{step}", step, prompt, 1, 0)
            for step, prompt in enumerate(prompts)
        ),
    )


def message(text: str) -> Segment:
    """Make the segment of a user's message."""
    return encoded_segment("message", orjson.dumps({"role": "user", "content": text}), "user")


def test_one_secret_has_one_stand_in_in_all_sessions_and_prefixes_stay_shared() -> None:
    """Also where it stands without what gave it away; other messages are the same objects."""
    first, plain = message("export PASSWORD=hunter2xyz"), message("go on")
    bare = message("I typed hunter2xyz again")
    scrubber = Scrubber()
    one, two = scrubber.scrub(
        [session((first,), (first, plain, bare)), session((first, bare), name="t")]
    )
    sent = [step.prompt for step in (*one.steps, *two.steps)]
    assert sent[0][0] == sent[1][0] == sent[2][0] != first
    assert sent[1][1] is plain
    assert sent[1][2] == sent[2][1]
    made = orjson.loads(sent[0][0].content or b"")["content"].removeprefix("export PASSWORD=")
    assert made != "hunter2xyz"
    assert orjson.loads(sent[1][2].content or b"")["content"] == f"I typed {made} again"
    assert sent[0][0].digest != first.digest
    assert sent[0][0].tokens == first.tokens
    (kind,) = scrubber.replaced()
    assert (kind.kind, kind.secrets, kind.places) == ("password", 1, 2)


def test_a_stand_in_does_not_depend_on_the_secret_and_comes_again_in_every_run() -> None:
    """Two secrets of one shape that come first have the same one: nothing of them can be read."""
    before = [message(f"PASSWORD={word}") for word in ("hunter2xyz", "secret9abc")]
    one, two = (Scrubber().scrub([session((segment,))]) for segment in before)
    assert one == two


def test_a_private_key_that_is_cut_into_segments_is_replaced_in_each() -> None:
    """A raw prompt is cut at line ends; no line of the key stays."""
    parts = raw_segments(f"here it is\n{PRIVATE_KEY}\nthanks")
    assert len(parts) > 2
    (clean,) = Scrubber().scrub([session(parts)])
    text = b"".join(part.content or b"" for part in clean.steps[0].prompt)
    assert b"b7Qx" not in text
    assert text.startswith(b"here it is\n-----BEGIN RSA PRIVATE KEY-----\n")
    assert text.endswith(b"\n-----END RSA PRIVATE KEY-----\nthanks")


def test_prompts_without_text_and_without_secrets_stay() -> None:
    """Nothing is copied."""
    plain = session((text_segment("message", "hello", "user"), Segment("block", b"x" * 16, 64)))
    scrubber = Scrubber()
    assert scrubber.scrub([plain]) == (plain,)
    assert scrubber.replaced() == ()
