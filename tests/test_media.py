"""Tests of `llmwire._media`: data URLs, media types, first bytes."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._media import (
    AUDIO_FORMATS,
    audio_format,
    data_url,
    kind_of,
    parse_url,
    sniffed,
    standard,
)
from llmwire.messages import Base64, Url

_MIMES = st.sampled_from(["image/png", "audio/wav", "application/pdf", "text/plain"])
_HEADS = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff\xe0", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-1.7", "application/pdf"),
    (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp"),
    (b"RIFF\x01\x02\x03\x04WAVEfmt ", "audio/wav"),
    (b"RIFF\x01\x02\x03\x04AVI LIST", None),
    (b"hello", None),
    (b"", None),
]


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


class TestDataURLs:
    """Media inside a URL."""

    @given(_MIMES, st.binary())
    def test_they_are_read_as_they_are_written(self, mime: str, octets: bytes) -> None:
        data = encoded(octets)
        assert parse_url(data_url(mime, data)) == (mime, Base64(data))

    @given(_MIMES, st.binary())
    def test_bytes_may_be_escaped(self, mime: str, octets: bytes) -> None:
        url = f"data:{mime},{quote(octets)}"
        assert parse_url(url) == (mime, Base64(encoded(octets)))

    @given(st.text())
    def test_any_text_is_a_url(self, url: str) -> None:
        mime, source = parse_url(url)
        if isinstance(source, Url):
            assert (mime, source.url) == (None, url)
        mime, source = parse_url("data:" + url)
        assert isinstance(source, (Base64, Url))

    @pytest.mark.parametrize(
        ("url", "mime", "data"),
        [
            ("DATA:IMAGE/PNG;BASE64,YQ==", "image/png", "YQ=="),
            ("data:;base64,YQ==", None, "YQ=="),
            ("data:,a", None, "YQ=="),
            ("data:text/plain;charset=utf-8,%61", "text/plain", "YQ=="),
            ("data:text/plain;charset=utf-8;base64,YQ==", "text/plain", "YQ=="),
        ],
    )
    def test_forms(self, url: str, mime: str | None, data: str) -> None:
        assert parse_url(url) == (mime, Base64(data))

    @pytest.mark.parametrize("url", ["https://a/b;base64,YQ==", "data:image/png", "x"])
    def test_other_urls_stay(self, url: str) -> None:
        assert parse_url(url) == (None, Url(url))

    @pytest.mark.parametrize(
        ("data", "mime"),
        [(encoded(b"GIF89a"), "image/gif"), ("YQ==", "application/octet-stream")],
    )
    def test_a_missing_type_is_read_off_the_bytes(self, data: str, mime: str) -> None:
        assert data_url(None, data) == f"data:{mime};base64,{data}"


class TestFirstBytes:
    """What the beginning of a medium shows."""

    @pytest.mark.parametrize(("head", "mime"), _HEADS)
    @pytest.mark.parametrize("more", [b"", b"\x00" * 100])
    def test_formats(self, head: bytes, mime: str | None, more: bytes) -> None:
        data = encoded(head + b"\x00\x00" + more)
        assert sniffed(data) == mime
        assert sniffed(data.replace("+", "-").replace("/", "_")) == mime

    @given(st.text())
    def test_it_never_raises(self, data: str) -> None:
        sniffed(data)

    @pytest.mark.parametrize("data", ["!!!!", "éééé", "iVBO Rw0K", "a"])
    def test_what_is_no_base64_shows_nothing(self, data: str) -> None:
        assert sniffed(data) is None


@given(st.binary(), st.booleans(), st.booleans(), st.integers(1, 80))
def test_base64_is_made_standard(
    octets: bytes, safe: bool, padded: bool, width: int
) -> None:
    data = encoded(octets)
    found = data.replace("+", "-").replace("/", "_") if safe else data
    found = found if padded else found.rstrip("=")
    lines = [found[at : at + width] for at in range(0, len(found), width)]
    assert standard(found) == data
    assert standard("\r\n".join(lines)) == data
    assert standard(data) == data


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/png", "image"),
        ("IMAGE/PNG", "image"),
        ("audio/wav", "audio"),
        ("video/mp4", "video"),
        ("application/pdf", "document"),
        ("text/plain", "document"),
        ("", "document"),
        (None, "document"),
    ],
)
def test_kinds(mime: str | None, kind: str) -> None:
    assert kind_of(mime) == kind


@pytest.mark.parametrize(
    ("mime", "name"),
    [
        *((mime, name) for name, mime in AUDIO_FORMATS.items()),
        ("audio/mpeg", "mp3"),
        ("audio/x-wav", "wav"),
        ("Audio/L16; rate=24000", "pcm16"),
        ("audio/unknown", None),
        (None, None),
    ],
)
def test_short_names_of_audio_formats(mime: str | None, name: str | None) -> None:
    assert audio_format(mime) == name
