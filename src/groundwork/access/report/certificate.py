"""When a certificate ends, read from its PEM file: X.509 in DER (RFC 5280, section 4.1), as far as its validity."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_LONG_LENGTH, _MOST_LENGTH_BYTES = 0x80, 4
_SECOND_CENTURY = 50


def expires_at(file: Path) -> datetime:
    """When the first certificate of a PEM file ends. Raises OSError, and ValueError when there is none in it."""
    _, begin, rest = file.expanduser().read_text("ascii", errors="replace").partition(_BEGIN)
    block, end, _ = rest.partition(_END)
    if not begin or not end:
        raise ValueError("there is no certificate in it")
    _, certificate, _ = _value(ssl.PEM_cert_to_DER_cert(f"{begin}{block}{end}"))
    _, signed, _ = _value(certificate)
    tag, _, after_first = _value(signed)
    rest_of_it = after_first if tag == _VERSION else signed
    for _ in ("serial number", "algorithm", "issuer"):
        _, _, rest_of_it = _value(rest_of_it)
    _, validity, _ = _value(rest_of_it)
    _, _, after_begin = _value(validity)
    return _moment(*_value(after_begin)[:2])


def _value(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first value, and what follows it. Raises ValueError."""
    if len(data) < 2:
        raise ValueError("it is cut off")
    length, start = data[1], 2
    if length >= _LONG_LENGTH:
        size = length - _LONG_LENGTH
        if not 0 < size <= _MOST_LENGTH_BYTES:
            raise ValueError("it is no DER")
        start += size
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("it is cut off")
    return data[0], data[start : start + length], data[start + length :]


def _moment(tag: int, content: bytes) -> datetime:
    """Raises ValueError. Years of two digits are of 1950 to 2049 (RFC 5280, section 4.1.2.5.1)."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = f"{19 if int(text[:2]) >= _SECOND_CENTURY else 20}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError("it does not say when it ends")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
