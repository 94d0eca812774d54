"""Which addresses are this machine's own."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a name or address, in brackets or not, means this machine alone."""
    name = host.lower().removesuffix(".")
    if name == "localhost":
        return True
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def is_plain_address(url: str) -> bool:
    """Whether a text is http or https to a host, without credentials or a query."""
    try:
        parts = urlsplit(url)
        is_bare = "@" not in parts.netloc and not (parts.query or parts.fragment)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and is_bare
    except ValueError:  # a port or a host that is none
        return False
