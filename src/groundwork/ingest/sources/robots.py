"""What a site allows robots to fetch, and how fast: robots.txt as in RFC 9309, and its Crawl-delay within reason."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from protego import Protego

from groundwork.errors import GroundworkError, Refused, Unavailable

_MOST_BYTES = 500 << 10
"""Of a robots.txt that have to be read (RFC 9309, section 2.5)."""

Read = Callable[[str, int], bytes]
"""Fetches an address and answers up to so many bytes of it."""


@dataclass
class _Site:
    rules: Protego
    delay: float
    next_at: float = 0.0


class Robots:
    """The rules of the sites of one sync; thread-safe. Each robots.txt is read once."""

    def __init__(self, read: Read, user_agent: str, longest_delay: float) -> None:
        self._read = read
        self._user_agent = user_agent
        self._longest_delay = longest_delay
        self._sites: dict[str, _Site] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Ends every wait."""
        self._closed.set()

    def allows(self, url: str) -> bool:
        """Whether `url` may be fetched. Raises what fetching the robots.txt raises."""
        return self._site(url).rules.can_fetch(url, self._user_agent)

    def permit(self, url: str) -> None:
        """Waits for this fetch's turn. Raises Refused when robots.txt forbids it, Unavailable when that is not known."""
        site = self._site(url)
        if not site.rules.can_fetch(url, self._user_agent):
            raise Refused(
                f"The robots.txt of {httpx.URL(url).host} does not allow {self._user_agent} to fetch this page: leave it "
                "out, or ask the site's owner to allow it."
            )
        with self._lock:
            now = time.monotonic()
            turn = max(now, site.next_at)
            site.next_at = turn + site.delay
        if self._closed.wait(turn - now) if turn > now else self._closed.is_set():
            raise Unavailable("The source was closed before its pages were fetched.")

    def _site(self, url: str) -> _Site:
        origin = str(httpx.URL(url).copy_with(raw_path=b"/robots.txt", fragment=None))
        with self._lock:
            if origin not in self._sites:
                self._sites[origin] = self._load(origin)
            return self._sites[origin]

    def _load(self, address: str) -> _Site:
        try:
            text = self._read(address, _MOST_BYTES).decode("utf-8", "replace")
        except (Refused, Unavailable) as error:
            if isinstance(error, Refused):
                raise
            # Rules that cannot be read forbid everything until they can be (RFC 9309, section 2.3.1.4).
            raise Unavailable(
                f"It is not known what may be fetched, as {address} cannot be read: {error.message}"
            ) from error
        except GroundworkError:
            text = ""  # a site without rules allows everything (section 2.3.1.3)
        rules = Protego.parse(text)
        asked = rules.crawl_delay(self._user_agent) or 0.0
        return _Site(rules, max(0.0, min(float(asked), self._longest_delay)))
