"""Media inline: data URLs, media types and what the first bytes say.

Knows bytes and names of formats, no dialect. Nothing here fetches.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from llmwire.messages import Base64, MediaKind, Source, Url

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
AUDIO_FORMATS: Final = {
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "ogg": "audio/ogg",
    "aiff": "audio/aiff",
    "pcm16": "audio/pcm",
    "m4a": "audio/m4a",
    "webm": "audio/webm",
}
"""Media type by the short name that OpenAI uses."""
_FORMATS: Final = {
    **{mime: name for name, mime in AUDIO_FORMATS.items()},
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/l16": "pcm16",
}


def parse_url(url: str) -> tuple[str | None, Source]:
    """A URL as (media type, source): data URLs give base64, others stay URLs."""
    match = _DATA_URL.match(url)
    if match is None:
        return None, Url(url)
    mime = match[1].lower() or None
    body = url[match.end() :]
    if match[2].lower().endswith(";base64"):
        return mime, Base64(body)
    octets = base64.b64encode(unquote_to_bytes(body))
    return mime, Base64(octets.decode("ascii"))


def data_url(mime: str | None, data: str) -> str:
    """Base64 `data` as a data URL."""
    return f"data:{mime or sniffed(data) or 'application/octet-stream'};base64,{data}"


def sniffed(data: str) -> str | None:
    """Media type that the first bytes of base64 `data` show, if any. Never raises."""
    head = data[:32].replace("-", "+").replace("_", "/")
    try:
        octets = base64.b64decode(head[: len(head) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return None
    for magic, mime in _MAGIC:
        if octets.startswith(magic):
            return mime
    if octets.startswith(b"RIFF") and octets[8:12] == b"WEBP":
        return "image/webp"
    if octets.startswith(b"RIFF") and octets[8:12] == b"WAVE":
        return "audio/wav"
    return None


def standard(data: str) -> str:
    """Base64 in the standard alphabet, padded, without white space."""
    if not data.isalnum():
        data = "".join(data.split()).replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def kind_of(mime: str | None) -> MediaKind:
    """What a media type is: image, audio, video, else document."""
    head = (mime or "").partition("/")[0].lower()
    if head == "image":
        return "image"
    if head == "audio":
        return "audio"
    return "video" if head == "video" else "document"


def audio_format(mime: str | None) -> str | None:
    """OpenAI's short name for an audio media type, None where it has none."""
    return _FORMATS.get((mime or "").partition(";")[0].strip().lower())
