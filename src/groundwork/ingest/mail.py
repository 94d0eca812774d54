"""An e-mail: its headers as a person reads them, its words, and the files attached to it. Runs in a worker process."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

from groundwork.errors import Invalid
from groundwork.ingest.decode import clean, decode

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_SIGNATURES = frozenset({"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"})
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
_SUFFIXES = {
    "text/plain": ".txt", "text/html": ".html", "text/csv": ".csv", "application/json": ".json", "message/rfc822": ".eml",
}  # fmt: skip
_MOST_PARTS = 1000
"""Parts that are looked at: no mail anyone wrote has more."""


@dataclass(frozen=True)
class Part:
    """A file attached to a mail."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """A mail taken apart."""

    subject: str
    headers: str
    body: tuple[tuple[str, str], ...]
    """Pieces of the body: `text/plain` or `text/html`, and the text."""
    parts: tuple[Part, ...]


def read_mail(content: bytes) -> Mail:
    """Takes a mail apart. Raises Invalid when it is encrypted or no mail at all."""
    message = message_from_bytes(content, policy=policy.default)
    headers = [(name, _header(message, name)) for name in _HEADERS]
    if not any(value for _, value in headers):
        raise Invalid("The file is named as an e-mail and holds none: it has no headers. Check what it is.")
    if message.get_content_type() in _ENCRYPTED:
        raise Invalid("The e-mail is encrypted: save it decrypted from its own program and add it again.")
    body: list[tuple[str, str]] = []
    parts: list[Part] = []
    for piece in list(_pieces(message))[:_MOST_PARTS]:
        if _is_body(piece):
            body.append((piece.get_content_type(), _text(piece)))
        elif piece.get_content_type() not in _SIGNATURES:
            parts.append(Part(_name(piece, len(parts) + 1), _content(piece)))
    shown = "\n".join(f"{name}: {value}" for name, value in headers if value)
    return Mail(_header(message, "Subject"), shown, tuple(body), tuple(parts))


def _pieces(message: EmailMessage) -> Iterator[EmailMessage]:
    """The parts a reader sees: of alternatives the plain one where it says anything, pictures in the text left out."""
    kind = message.get_content_type()
    if kind == "multipart/alternative":
        yield from _pieces(_best(list(_children(message))) or EmailMessage())
    elif kind == "multipart/related":
        inner = list(_children(message))
        yield from (piece for one in inner[:1] for piece in _pieces(one))
        yield from (one for one in inner[1:] if one.get_content_disposition() == "attachment")
    elif message.is_multipart() and kind != "message/rfc822":
        yield from (piece for one in _children(message) for piece in _pieces(one))
    elif not message.is_multipart() or kind == "message/rfc822":
        yield message


def _children(message: EmailMessage) -> Iterator[EmailMessage]:
    payload = message.get_payload()
    if isinstance(payload, list):
        yield from cast("list[EmailMessage]", payload)


def _best(alternatives: list[EmailMessage]) -> EmailMessage | None:
    plain = [one for one in alternatives if one.get_content_type() == "text/plain" and _text(one).strip()]
    return next(iter([*plain, *reversed(alternatives)]), None)


def _is_body(piece: EmailMessage) -> bool:
    named = piece.get_content_disposition() == "attachment" or _filename(piece)
    return piece.get_content_type() in ("text/plain", "text/html") and not named


def _text(piece: EmailMessage) -> str:
    content = cast("bytes | None", piece.get_payload(decode=True)) or b""
    charset = piece.get_content_charset()
    if charset:
        try:
            return clean(content.decode(charset))
        except (LookupError, ValueError):
            pass
    return decode(content, declared=piece.get_content_type() == "text/html") if content.strip() else ""


def _content(piece: EmailMessage) -> bytes:
    if piece.get_content_type() == "message/rfc822":
        return b"".join(inner.as_bytes() for inner in _children(piece))
    return cast("bytes | None", piece.get_payload(decode=True)) or b""


def _name(piece: EmailMessage, number: int) -> str:
    name = _filename(piece)
    if not name and piece.get_content_type() == "message/rfc822":
        name = next((_header(inner, "Subject") for inner in _children(piece)), "")
    suffix = _SUFFIXES.get(piece.get_content_type(), "")
    name = " ".join(re.split(r"[/\\]", name)[-1].split()) or f"attachment {number}"
    return name if "." in name[1:] and suffix != ".eml" else name.removesuffix(suffix) + suffix


def _filename(piece: EmailMessage) -> str:
    try:
        return clean(piece.get_filename() or "")
    except Exception:  # parsing a header that breaks its own grammar can fail in many ways
        return ""


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = str(message.get(name, ""))
    except Exception:  # as above: what it says is then what was sent
        value = "\ufffd"
    if "\ufffd" in value:
        # Bytes beyond ASCII, which no header may hold, and many do.
        raw = next((str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()), "")
        value = decode(raw.encode("utf-8", "surrogateescape"))
    return " ".join(clean(value).split())
