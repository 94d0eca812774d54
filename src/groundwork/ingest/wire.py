"""How a worker process is spoken to: a JSON header and a body, each after its length as eight bytes, big-endian."""

import json
from typing import IO

_LENGTH = 8


def send(stream: IO[bytes], header: dict[str, object], body: bytes) -> None:
    """Writes one message."""
    head = json.dumps(header).encode()
    stream.write(len(head).to_bytes(_LENGTH, "big") + head + len(body).to_bytes(_LENGTH, "big"))
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, object], bytes]:
    """Reads one message. Raises EOFError when the other side is gone."""
    head = _exactly(stream, int.from_bytes(_exactly(stream, _LENGTH), "big"))
    body = _exactly(stream, int.from_bytes(_exactly(stream, _LENGTH), "big"))
    return json.loads(head), body


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data
