"""Fetching over HTTP within limits: judged addresses, time, size, redirects.

    url -> permit (robots.txt) -> connect to a judged address -> status -> body, unpacked as it comes -> Page

Every redirect takes the same way from the start. No cookies, no credentials, no proxy: what a page is must not depend
on who asks, and the judged address must be the one that is connected to.
"""

import re
import ssl
import time
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from email.message import Message

import httpcore
import httpx

from groundwork.errors import Invalid, NotFound, Unavailable
from groundwork.ingest.sources.addresses import Gate

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429})

_HOST = re.compile(rb"[a-z0-9_.-]+|[0-9a-f:.]+")
"""Once it is in ASCII: anything else is a mistake, or meant to be read in two ways."""

_deadline: ContextVar[float] = ContextVar("deadline")
"""When the fetch that this thread is busy with has to be over, in `time.monotonic` seconds."""


@dataclass(frozen=True)
class Limits:
    """What one fetch may take."""

    timeout_seconds: float
    max_bytes: int
    """After decompression; as much may come over the network."""
    cut: bool = False
    """Whether the start of a larger page is taken, instead of none of it."""


@dataclass(frozen=True)
class Page:
    """What an address answered."""

    url: str
    """Where it came from in the end, after redirects."""
    content: bytes
    media_type: str
    """In lower case, without parameters; empty when the server does not say."""
    charset: str | None


Permit = Callable[[str], None]
"""Waits until an address may be fetched. Raises Refused when it may not be."""


@dataclass
class Fetcher:
    """Fetches pages; thread-safe. `close` ends its connections."""

    gate: Gate
    limits: Limits
    user_agent: str
    _pool: httpcore.ConnectionPool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(), network_backend=_Backend(self.gate), max_connections=8, keepalive_expiry=15.0
        )

    def close(self) -> None:
        """Ends every connection."""
        self._pool.close()

    def fetch(self, url: str, permit: Permit = lambda _: None, limits: Limits | None = None) -> Page:
        """The page at `url`, which `permit` is asked about before each redirect too.

        Raises Invalid for an address that cannot be fetched and a page beyond a limit, Refused for one that may not
        be, NotFound when there is none, Unavailable when the server does not answer in time or asks to come later.
        """
        limits = limits or self.limits
        left = limits.timeout_seconds
        for _ in range(_MOST_REDIRECTS + 1):
            permit(url)
            began = time.monotonic()
            answer = self._ask(url, replace(limits, timeout_seconds=left), limits.timeout_seconds)
            if isinstance(answer, Page):
                return answer
            url = answer
            left -= time.monotonic() - began
        raise Invalid(f"The address redirects more than {_MOST_REDIRECTS} times; give the one it leads to, if any.")

    def _ask(self, url: str, limits: Limits, whole_time: float) -> Page | str:
        """One request: the page, or the address it redirects to."""
        address = httpx.URL(url)
        headers = [
            (b"Host", address.netloc),
            (b"User-Agent", f"{self.user_agent} (+robots.txt: {self.user_agent})".encode()),
            (b"Accept", b"text/html, text/*;q=0.9, application/pdf;q=0.9, */*;q=0.5"),
            (b"Accept-Encoding", b"gzip"),
        ]
        target = httpcore.URL(
            scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path
        )
        extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), limits.timeout_seconds)}
        with (
            _within(limits.timeout_seconds),
            _explained(address.host, whole_time),
            self._pool.stream("GET", target, headers=headers, extensions=extensions) as response,
        ):
            fields = _fields(response)
            if response.status in _REDIRECTS and "location" in fields:
                return canonical(joined(url, fields["location"]))
            _check_status(response.status, fields)
            content = unpacked(response.iter_stream(), fields.get("content-encoding", ""), limits)
        media_type, charset = _content_type(fields.get("content-type", ""))
        return Page(url, content, media_type, charset)


def canonical(url: str) -> str:
    """The one spelling of an address under which its page is kept: no fragment, no default port, host in lower case.

    Raises Invalid for what is not an http or https address, and for one with a password in it.
    """
    try:
        address = httpx.URL(url.strip())
        host = address.raw_host
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise Invalid(f"{url[:200]!r} is not a web address: {error}.") from None
    if address.scheme not in ("http", "https") or _HOST.fullmatch(host) is None:
        raise Invalid(f"{url[:200]!r} is not a web address: one begins with http:// or https://.")
    if address.userinfo:
        raise Invalid("An address with a password in it is not taken, because addresses are stored and shown.")
    return str(address.copy_with(fragment=None, path=address.path or "/"))


def unpacked(stream: Iterable[bytes], encoding: str, limits: Limits) -> bytes:
    """What a body holds, never more of it in memory than `limits` admit.

    Raises Invalid when it is larger, or packed in a way that was not asked for.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return _collected(stream, limits)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _collected(_inflated(stream, limits.max_bytes), limits)
    raise Invalid(f"The server packs the page as {encoding[:40]!r}, which was not asked for.")


def _collected(stream: Iterable[bytes], limits: Limits) -> bytes:
    parts: list[bytes] = []
    room = limits.max_bytes
    for part in stream:
        parts.append(part)
        room -= len(part)
        if room < 0:
            if limits.cut:
                return b"".join(parts)[: limits.max_bytes]
            raise _too_large(limits.max_bytes)
    return b"".join(parts)


def _inflated(stream: Iterable[bytes], max_bytes: int) -> Generator[bytes]:
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever its header says
    room = max_bytes
    try:
        for part in stream:
            while part and room >= 0:
                unpacked_part = inflater.decompress(part, room + 1)
                room -= len(unpacked_part)
                yield unpacked_part
                part = inflater.unconsumed_tail
                if inflater.eof and inflater.unused_data.startswith(b"\x1f\x8b"):
                    part, inflater = inflater.unused_data, zlib.decompressobj(wbits=47)
    except zlib.error as error:
        raise Invalid("What the server sent is damaged: it cannot be unpacked.") from error
    if not inflater.eof:
        raise Unavailable("The server broke off in the middle of the page: try again later.")


def _too_large(max_bytes: int) -> Invalid:
    return Invalid(f"The page is larger than {max_bytes / (1 << 20):g} MiB (GROUNDWORK_SOURCES__FETCH_MAX_MB).")


def joined(url: str, location: str) -> str:
    try:
        return str(httpx.URL(url).join(location))
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise Invalid(f"The address redirects to {location[:200]!r}, which is no web address.") from None


def _check_status(status: int, fields: dict[str, str]) -> None:
    if status in (200, 203):
        return
    if status in (404, 410):
        raise NotFound(f"The server says that there is no such page (status {status}).")
    if status in _LATER or status >= 500:
        after = fields.get("retry-after", "")
        when = f"in {after} seconds" if after.isdigit() else "later"
        raise Unavailable(f"The server cannot serve the page now (status {status}): try again {when}.")
    if status in (401, 403, 407):
        raise Invalid(
            f"The server does not let everyone read the page (status {status}); only public ones are fetched."
        )
    raise Invalid(f"The server answers with status {status} instead of a page.")


def _content_type(value: str) -> tuple[str, str | None]:
    message = Message()
    message["content-type"] = value
    charset = message.get_param("charset")
    return message.get_content_type() if "/" in value else "", charset if isinstance(charset, str) else None


def _fields(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@contextmanager
def _within(seconds: float) -> Generator[None]:
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def _remaining(timeout: float | None) -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for this fetch is over")
    return left if timeout is None else min(timeout, left)


@contextmanager
def _explained(host: str, seconds: float) -> Generator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise Unavailable(
            f"{host} did not answer within {seconds:g} seconds (GROUNDWORK_SOURCES__FETCH_TIMEOUT_SECONDS)."
        ) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
        raise Unavailable(f"{host} does not answer as a web server should: {error or type(error).__name__}.") from error


class _Backend(httpcore.NetworkBackend):
    """Connects to judged addresses only, and keeps to the deadline of the fetch."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"no address of {host}")
        for address in self._gate.admit(host, port):
            try:
                stream = self._inner.connect_tcp(address, port, _remaining(timeout), local_address, socket_options)
                return _Stream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        raise httpcore.UnsupportedProtocol("pages are not fetched from local sockets")


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends with the fetch: a server that drips cannot hold it up."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)
