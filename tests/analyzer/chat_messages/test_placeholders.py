"""Text in place of data has the size that providers count for the data."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.chat_messages import placeholders
from phasewise_store.tokens import estimate


def png(width: int, height: int) -> str:
    """Give the head of a PNG in base64."""
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
    return base64.b64encode(head).decode()


@pytest.mark.parametrize(
    ("size", "tokens"), [((300, 250), 100), ((1092, 1092), 1590), ((4000, 3000), 1600)]
)
def test_an_image_costs_its_pixels(size: tuple[int, int], tokens: int) -> None:
    """Width times height by 750, after it is scaled down: Anthropic's rule."""
    made = placeholders.for_data({"type": "image", "data": png(*size)}, "image")
    assert made.tokens == tokens
    assert made.noun == "image"


def test_jpeg_gif_and_webp_say_their_size_too() -> None:
    """The frame header of a JPEG stands behind segments of any length."""
    jpeg = (
        b"\xff\xd8\xff\xe0\x00\x10"
        + b"JFIF\0"
        + b"\0" * 9
        + b"\xff\xc0\x00\x11\x08\x00\xfa\x01\x2c"
    )
    gif = b"GIF89a" + struct.pack("<HH", 300, 250)
    webp = b"RIFF____WEBPVP8X" + b"\0" * 8 + b"\x2b\x01\x00\xf9\x00\x00"
    for raw in (jpeg + b"\0" * 20, gif + b"\0\0", webp):
        url = f"data:image/x;base64,{base64.b64encode(raw).decode()}"
        block = {"type": "image_url", "image_url": {"url": url}}
        assert placeholders.for_data(block, "imageurl").tokens == 100


def test_a_pdf_costs_its_pages() -> None:
    """Two page objects; the tree of pages is none."""
    raw = b"%PDF-1.4 /Type /Pages x /Type /Page y /Type/Page\n"
    source = {"media_type": "application/pdf", "data": base64.b64encode(raw).decode()}
    made = placeholders.for_data({"type": "document", "source": source}, "document")
    assert (made.noun, made.tokens) == ("document", 3000)


def test_detail_low_has_openai_s_fixed_price() -> None:
    """Whatever the image's size."""
    block = {"type": "image_url", "image_url": {"url": "https://a.example", "detail": "low"}}
    assert placeholders.for_data(block, "imageurl").tokens == 85


def test_a_document_that_is_text_is_its_text() -> None:
    """Plain or in base64."""
    plain = {"type": "text", "media_type": "text/plain", "data": "doc"}
    coded = {"type": "base64", "media_type": "text/csv", "data": base64.b64encode(b"a,b").decode()}
    assert placeholders.text_in({"type": "document", "source": plain}) == "doc"
    assert placeholders.text_in({"type": "document", "source": coded}) == "a,b"


@given(st.binary(max_size=40), st.integers(20, 3000))
def test_the_text_has_the_tokens_that_are_said(data: bytes, side: int) -> None:
    """By the estimate that all of the store's text is counted with."""
    block = {"type": "image", "data": png(side, 500), "salt": data.hex()}
    made = placeholders.for_data(block, "image")
    assert estimate(made.text) == made.tokens
    assert made == placeholders.for_data(block, "image")
