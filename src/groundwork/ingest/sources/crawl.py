"""Following the links of a site, nearest pages first."""

import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx

from groundwork.errors import GroundworkError, Unavailable
from groundwork.ingest.sources.fetch import Page
from groundwork.ingest.sources.links import links
from groundwork.ingest.sources.media import suffix_for, with_encoding

_WITH_LINKS = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True)
class Found:
    """What became of one address."""

    url: str
    page: Page | None = None
    problem: str | None = None
    """Why pages beyond this one are not known, where that is so."""
    is_wanted: bool = False
    """Whether it is a document of the source although it could not be fetched: named by a person, or only silent now."""


class Crawl:
    """One walk through a site. `follows` says of a link on it whether it is taken."""

    def __init__(
        self, fetch: Callable[[str], Page], follows: Callable[[str], bool], depth: int, most_fetched: int
    ) -> None:
        self._fetch = fetch
        self._follows = follows
        self._depth = depth
        self._left = most_fetched
        self._most = most_fetched

    def run(self, urls: Sequence[str]) -> Iterator[Found]:
        """The pages at `urls`, then those that they link to on the same sites, and so on."""
        waiting = deque((url, 0) for url in dict.fromkeys(urls))
        known = set(urls)
        sites = {site_of(url) for url in urls}
        while waiting:
            if self._left == 0:
                yield Found(waiting[0][0], problem=f"Not every link was followed: {self._most} pages were fetched.")
                return
            self._left -= 1
            url, depth = waiting.popleft()
            found = self._visit(url, depth)
            if found.page is not None and depth == 0:
                sites.add(site_of(found.page.url))
            if found.page is not None and site_of(found.page.url) not in sites:
                continue  # a link of this site that redirects to another
            yield found
            if found.page is not None and depth < self._depth:
                fresh = [link for link in self._links(found.page, sites) if link not in known]
                known.update(fresh)
                waiting.extend((link, depth + 1) for link in fresh)

    def _visit(self, url: str, depth: int) -> Found:
        try:
            page = self._fetch(url)
            suffix_for(page)
        except Unavailable as error:
            return Found(url, problem=f"The links of {url} are not known: {error.message}", is_wanted=True)
        except GroundworkError:  # a broken link is no document; an address that a person gave is reported
            return Found(url, is_wanted=depth == 0)
        return Found(url, page)

    def _links(self, page: Page, sites: set[str]) -> list[str]:
        if page.media_type not in _WITH_LINKS:
            return []
        found = links(with_encoding(page), page.url)
        return [link for link in found if site_of(link) in sites and self._follows(link)]


class Spool:
    """Contents in temporary files; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self._folder: Path | None = None
        self._closed = False

    def put(self, content: bytes) -> Path:
        """Keeps `content`; where. Raises Unavailable after `close`."""
        with self._lock:
            if self._closed:
                raise _closed()
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="groundwork-web-"))
            path = self._folder / str(next(self._numbers))
        path.write_bytes(content)
        return path

    def get(self, path: Path) -> bytes:
        """What was kept there. Raises Unavailable after `close`."""
        if self._closed:
            raise _closed()
        return path.read_bytes()

    def close(self) -> None:
        """Removes everything."""
        with self._lock:
            self._closed = True
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


def _closed() -> Unavailable:
    return Unavailable("The source was closed before its pages were read.")


def site_of(url: str) -> str:
    """Scheme, host and port of an address, with a slash."""
    return str(httpx.URL(url).copy_with(raw_path=b"/", fragment=None))
