"""Web pages as a source: by address, by sitemap, and by following the links of a site.

A page named by address or sitemap is fetched when it is read. A page found by following links has been fetched by then,
and waits in a temporary file, so that a site is asked for each page once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

from groundwork.errors import GroundworkError, Invalid
from groundwork.ingest.items import Item
from groundwork.ingest.sources.addresses import Gate
from groundwork.ingest.sources.config import WebConfig
from groundwork.ingest.sources.crawl import Crawl, Spool, site_of
from groundwork.ingest.sources.fetch import Fetcher, Limits, Page, canonical
from groundwork.ingest.sources.media import file_name, may_be_document, suffix_for, with_encoding
from groundwork.ingest.sources.names import Selection
from groundwork.ingest.sources.robots import Robots
from groundwork.ingest.sources.sitemap import read_sitemap
from groundwork.settings import SourceSettings

_MOST_SITEMAPS = 1000


class WebSource:
    """The pages that a configuration names. `gate` decides which machines may be asked for them."""

    def __init__(self, config: WebConfig, settings: SourceSettings, gate: Gate | None = None) -> None:
        self._config = config
        self._urls = [canonical(url) for url in config.urls]
        self._sitemaps = [canonical(url) for url in config.sitemaps]
        self._selection = Selection(config.include, config.exclude)
        self._limits = Limits(settings.fetch_timeout_seconds, settings.fetch_max_mb << 20)
        self._most = min(config.max_pages or settings.max_pages, settings.max_pages)
        gate = gate or Gate(settings.allow_private_addresses)
        self._fetcher = Fetcher(gate, self._limits, settings.user_agent)
        self._robots = Robots(self._read_robots, settings.user_agent, settings.max_crawl_delay_seconds)
        self._spool = Spool()
        self._gaps: list[str] = []

    @property
    def uri_prefix(self) -> str:
        """What the URIs of all its documents begin with."""
        if not self._sitemaps and not self._config.depth and len(self._urls) == 1:
            return self._urls[0]
        sites = {site_of(url) for url in (*self._urls, *self._sitemaps)}
        if len(sites) == 1:
            return sites.pop()
        return "https://" if all(site.startswith("https:") for site in sites) else "http"

    @property
    def gaps(self) -> list[str]:
        """Sitemaps and pages whose further pages are not known, and why."""
        return list(self._gaps)

    def items(self) -> Iterator[Item]:
        """Every page once, by its canonical address. Raises what the first sitemap raises when it cannot be had."""
        self._gaps.clear()
        seen: set[str] = set()
        for item in self._offered():
            if item.uri in seen:
                continue
            if len(seen) == self._most:
                self._gaps.append(
                    f"There are more than {self._most} pages: raise `max_pages` of the source or "
                    "GROUNDWORK_SOURCES__MAX_PAGES, or choose fewer with `include` and `exclude`."
                )
                return
            seen.add(item.uri)
            yield item

    def close(self) -> None:
        """Ends its connections and removes its temporary files."""
        self._robots.close()
        self._fetcher.close()
        self._spool.close()

    def _offered(self) -> Iterator[Item]:
        if self._config.depth:
            yield from self._crawl()
        else:
            yield from map(self._later, self._urls)
        for address in self._sitemaps:
            yield from map(self._later, self._listed(address))

    def _later(self, url: str) -> Item:
        document = _Document(url, lambda: self._fetch(url))
        return Item(url, file_name(url, ".html"), document.read, filename_read=document.filename)

    def _crawl(self) -> Iterator[Item]:
        crawl = Crawl(self._fetch, self._follows, self._config.depth, 2 * self._most)
        for found in crawl.run(self._urls):
            if found.problem is not None:
                self._gaps.append(found.problem)
            if found.page is not None:
                yield self._spooled(found.url, found.page)
            elif found.is_wanted:
                yield self._later(found.url)

    def _follows(self, url: str) -> bool:
        if not may_be_document(url) or not self._selection.admits(_path(url)):
            return False
        try:
            return self._robots.allows(url)
        except GroundworkError:
            return True  # the fetch will say what is wrong

    def _spooled(self, url: str, page: Page) -> Item:
        path = self._spool.put(with_encoding(page))
        return Item(url, file_name(page.url, suffix_for(page)), lambda: self._spool.get(path))

    def _listed(self, address: str) -> Iterator[str]:
        """Pages of a sitemap and of those it names, on the sitemap's own site only (sitemaps.org, location)."""
        waiting, known = deque([address]), {address}
        while waiting:
            sitemap = waiting.popleft()
            try:
                page = self._fetch(sitemap)
                found = read_sitemap(page.content, self._limits)
            except GroundworkError as error:
                if sitemap == address:
                    raise
                self._gaps.append(f"The pages of the sitemap {sitemap} are not known: {error.message}")
                continue
            sites = {site_of(address), site_of(page.url)}
            for url in self._on_sites(found.pages, sites):
                if self._selection.admits(_path(url)):
                    yield url
            for url in self._on_sites(found.sitemaps, sites):
                if url not in known and len(known) < _MOST_SITEMAPS:
                    known.add(url)
                    waiting.append(url)

    def _on_sites(self, addresses: Sequence[str], sites: set[str]) -> Iterator[str]:
        for address in addresses:
            try:
                url = canonical(address)
            except Invalid:
                continue
            if site_of(url) in sites:
                yield url

    def _fetch(self, url: str) -> Page:
        return self._fetcher.fetch(url, self._robots.permit)

    def _read_robots(self, url: str, most_bytes: int) -> bytes:
        return self._fetcher.fetch(url, limits=Limits(self._limits.timeout_seconds, most_bytes, cut=True)).content


@dataclass
class _Document:
    """A page that is fetched when it is read, and whose file name is known then."""

    url: str
    fetch: Callable[[], Page]
    name: str | None = None

    def read(self) -> bytes:
        page = self.fetch()
        self.name = file_name(page.url, suffix_for(page))
        return with_encoding(page)

    def filename(self) -> str:
        return self.name or file_name(self.url, ".html")


def _path(url: str) -> str:
    return httpx.URL(url).path.strip("/")
