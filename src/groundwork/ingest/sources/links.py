"""The links of a web page."""

import html
import re
from itertools import islice

from groundwork.errors import Invalid
from groundwork.ingest.decode import decode
from groundwork.ingest.sources.fetch import canonical, joined

_MOST_BYTES = 4 << 20
"""Of a page that are searched for links."""
_MOST_LINKS = 10_000
# No repetition is unbounded, so that the time is in proportion to the page whatever is in it.
_LINK = re.compile(
    r"""<a\s[^<>]{0,1000}?\bhref\s{0,9}=\s{0,9}(?:"([^"]{1,2048})"|'([^']{1,2048})'|([^\s"'>]{1,2048}))""", re.I
)
_BASE = re.compile(r"""<base\s[^<>]{0,200}?\bhref\s{0,9}=\s{0,9}["']?([^\s"'>]{1,2048})""", re.I)


def links(content: bytes, url: str) -> list[str]:
    """Addresses of up to 10,000 pages that the HTML page at `url` links to, each once, as they come."""
    try:
        page = decode(content[:_MOST_BYTES], declared=True)
    except Invalid:
        return []
    base = _BASE.search(page)
    root = _absolute(url, base[1]) if base else url
    written = dict.fromkeys("".join(match.groups("")) for match in _LINK.finditer(page))
    found = [_absolute(root or url, link) for link in islice(written, _MOST_LINKS)]
    return list(dict.fromkeys(link for link in found if link is not None))


def _absolute(base: str, link: str) -> str | None:
    try:
        return canonical(joined(base, html.unescape(link).strip()))
    except Invalid:
        return None
