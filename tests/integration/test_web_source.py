"""Web pages from a real server on this machine: what is taken, what is refused, and that nothing lasts for ever."""

import gzip
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from groundwork.errors import GroundworkError, Invalid, NotFound, Refused, Unavailable
from groundwork.ingest.extract import extract
from groundwork.ingest.items import Item
from groundwork.ingest.sources.addresses import Address, Gate
from groundwork.ingest.sources.config import WebConfig
from groundwork.ingest.sources.web import WebSource
from groundwork.settings import IngestSettings, SourceSettings
from plugins.website import Answer, Send, Website, redirect


@pytest.fixture
def site() -> Iterator[Website]:
    with Website().serving() as website:
        yield website


@dataclass(frozen=True)
class LoopbackIsPublic(Gate):
    """Judges as ever, except that this machine stands for a public one."""

    def judge(self, host: str, address: Address) -> None:
        if str(address) != "127.0.0.1":
            super().judge(host, address)


def _source(
    *urls: str, gate: Gate | None = None, settings: dict[str, Any] | None = None, **config: Any
) -> closing[WebSource]:
    given: dict[str, Any] = {"allow_private_addresses": gate is None, "fetch_timeout_seconds": 5, "fetch_max_mb": 1}
    chosen = SourceSettings(**{**given, **(settings or {})})
    return closing(WebSource(WebConfig(urls=urls, **config), chosen, gate))


def _read(url: str, **more: Any) -> bytes:
    with _source(url, **more) as source:
        (item,) = source.items()
        return item.read()


def _paths(site: Website, items: Sequence[Item]) -> list[str]:
    return [item.uri.removeprefix(site.url) for item in items]


# What is fetched, and as what


def test_pages_come_with_their_text_and_a_fitting_name(site: Website) -> None:
    site.put("/handbook/leave", "<html><head><title>Leave</title></head><body><p>Thirty days.</p></body></html>")
    with _source(f"{site.url}/handbook/leave#top") as source:
        (item,) = source.items()
        assert item.uri == f"{site.url}/handbook/leave"
        assert not site.asked, "listing fetches nothing"
        content = item.read()
        assert item.filename_read is not None
        extracted = extract(content, item.filename_read(), IngestSettings())
    assert (extracted.title, extracted.text.strip()) == ("Leave", "Thirty days.")
    assert site.asked == ["/robots.txt", "/handbook/leave"]
    assert site.hosts == [f"127.0.0.1:{site.port}"] * 2
    assert all(agent.startswith("Groundwork") for agent in site.agents)


@pytest.mark.parametrize(
    ("path", "media_type", "name"),
    [
        ("/data", "text/csv; header=present", "data.csv"),
        ("/export?id=7", "application/pdf", "export.pdf"),
        ("/README.md", "text/plain", "README.md"),
        ("/notes.txt", "text/html", "notes.html"),
        ("/raw/guide.md", "application/octet-stream", "guide.md"),
        ("/api", "application/problem+json", "api.json"),
        ("/", "text/html", "127.0.0.1.html"),
        ("/v1.2/", "text/html", "v1.2.html"),
        ("/page", None, "page.txt"),
    ],
)
def test_the_media_type_decides_the_name(site: Website, path: str, media_type: str | None, name: str) -> None:
    with _source(site.put(path, b"content", media_type)) as source:
        (item,) = source.items()
        assert item.read() == b"content"
        assert item.filename_read is not None
        assert item.filename_read() == name


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("iso-8859-1", b"<p>Caf\xe9 \x80</p>", "Café €"),
        ("windows-1251", "<p>Привет</p>".encode("cp1251"), "Привет"),
        ("shift_jis", "<meta charset=utf-8><p>日本語</p>".encode("shift_jis"), "日本語"),
        ("utf-8", "<meta charset=iso-8859-1><p>Grüße</p>".encode(), "Grüße"),
        ("no-such-charset", "<meta charset=utf-8><p>Grüße</p>".encode(), "Grüße"),
        ("punycode", "<p>Grüße</p>".encode(), "Grüße"),
        ("utf-8", b"<meta charset=windows-1251>" + "<p>Привет</p>".encode("cp1251"), "Привет"),
    ],
)
def test_the_encoding_that_the_server_names_is_used(site: Website, charset: str, raw: bytes, text: str) -> None:
    content = _read(site.put("/", raw, f"text/html; charset={charset}"))
    assert extract(content, "page.html", IngestSettings()).text.strip() == text


def test_what_is_no_document_is_refused_by_its_type(site: Website) -> None:
    with pytest.raises(Invalid, match="image/png, which holds no text"):
        _read(site.put("/logo", b"\x89PNG", "image/png"))


def test_packed_pages_are_unpacked(site: Website) -> None:
    packed = gzip.compress(b"first ") + gzip.compress(b"second")
    site.pages["/"] = Answer(packed, "text/plain", headers=(("Content-Encoding", "gzip"),))
    assert _read(f"{site.url}/") == b"first second"


def test_one_page_is_one_document_however_it_is_spelt(site: Website) -> None:
    url = site.put("/a", "A")
    with _source(url, f"{url}#part", url.replace("http", "HTTP")) as source:
        assert _paths(site, list(source.items())) == ["/a"]


# What the server says


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (404, NotFound, "no such page"), (410, NotFound, "no such page"), (403, Invalid, "only public ones"),
        (401, Invalid, "only public ones"), (429, Unavailable, "in 120 seconds"), (503, Unavailable, "in 120 seconds"),
        (500, Unavailable, "status 500"), (204, Invalid, "status 204"), (418, Invalid, "status 418"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_page_says_what_to_do(
    site: Website, status: int, kind: type[GroundworkError], said: str
) -> None:
    site.pages["/"] = Answer(status=status, headers=(("Retry-After", "120"),))
    with pytest.raises(kind, match=said):
        _read(f"{site.url}/")


def test_redirects_are_followed_and_the_document_keeps_its_address(site: Website) -> None:
    site.put("/new/place", "<p>Here.</p>")
    site.pages["/moved"] = redirect("place", 308)
    site.pages["/old"] = redirect("/new/place#x", 301)
    with _source(f"{site.url}/old") as source:
        (item,) = source.items()
        assert b"Here." in item.read()
        assert item.uri == f"{site.url}/old"


def test_redirects_that_never_end_do(site: Website) -> None:
    site.pages["/a"], site.pages["/b"] = redirect("/b"), redirect("/a")
    with pytest.raises(Invalid, match="redirects more than 5 times"):
        _read(f"{site.url}/a")
    assert len(site.asked) == 7, "robots.txt, the page, five redirects"


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://example.org/x", "gopher://x", "http://u:p@example.org/", "http://[x/"]
)
def test_a_redirect_to_something_else_than_a_web_page_is_refused(site: Website, to: str) -> None:
    site.pages["/"] = redirect(to)
    with pytest.raises(Invalid):
        _read(f"{site.url}/")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "//example.org",
        "example.org",
        "http://user:secret@example.org/",
        "http://",
        "http://0177.0.0.1/",
        "http://a b/",
    ],
)
def test_only_web_addresses_without_passwords_are_taken(url: str) -> None:
    with pytest.raises((Invalid, ValidationError)):
        WebSource(WebConfig(urls=(url,)), SourceSettings())


# No way into the private network


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "localhost",
        "127.1",
        "017700000001",
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0",
    ],
)
def test_addresses_of_this_machine_are_refused_before_anything_is_sent(site: Website, host: str) -> None:
    with pytest.raises(Refused, match="leads to"):
        _read(f"http://{host}:{site.port}/", gate=Gate())
    assert not site.asked


def test_a_name_that_leads_inside_is_refused(site: Website) -> None:
    with pytest.raises(Refused, match=r"intranet\.example leads to 10\.1\.2\.3"):
        _read(f"http://intranet.example:{site.port}/", gate=Gate(resolve=lambda *_: ["10.1.2.3"]))


@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://2852039166/"]
)
def test_a_redirect_inside_is_refused(site: Website, target: str) -> None:
    site.pages["/"] = redirect(target)
    gate = LoopbackIsPublic(resolve=lambda *_: ["127.0.0.1"])
    with pytest.raises(Refused, match="leads to"):
        _read(f"http://public.example:{site.port}/", gate=gate)
    assert site.asked == ["/robots.txt", "/"]


def test_a_robots_txt_that_redirects_inside_is_refused(site: Website) -> None:
    site.pages["/robots.txt"] = redirect("http://10.0.0.1/")
    with pytest.raises(Refused, match=r"leads to 10\.0\.0\.1"):
        _read(f"http://public.example:{site.port}/", gate=LoopbackIsPublic(resolve=lambda *_: ["127.0.0.1"]))


def test_the_connection_goes_to_the_address_that_was_judged(site: Website) -> None:
    """The name is asked for once; a second look-up, as a client that is given the name would make, leads inside."""
    site.put("/", "Hello")
    site.put("/robots.txt", "", "text/plain")
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    gate = LoopbackIsPublic(resolve=lambda *_: next(answers))
    assert b"Hello" in _read(f"http://rebinding.example:{site.port}/", gate=gate)
    assert next(answers) == ["10.0.0.1"]


def test_a_name_that_changes_its_mind_between_connections_is_refused(site: Website) -> None:
    site.pages["/robots.txt"] = Answer(headers=(("Connection", "close"),))
    site.put("/", "secret")
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    with pytest.raises(Refused, match=r"leads to 10\.0\.0\.1"):
        _read(f"http://rebinding.example:{site.port}/", gate=LoopbackIsPublic(resolve=lambda *_: next(answers)))
    assert site.asked == ["/robots.txt"]


def test_the_server_is_told_the_name_and_not_the_address(site: Website) -> None:
    site.put("/", "Hello")
    gate = LoopbackIsPublic(resolve=lambda *_: ["127.0.0.1"])
    assert b"Hello" in _read(f"http://docs.example:{site.port}/", gate=gate)
    assert set(site.hosts) == {f"docs.example:{site.port}"}


def test_the_next_address_of_a_name_is_tried(site: Website) -> None:
    site.put("/", "Hello")
    gate = Gate(allow_private=True, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert b"Hello" in _read(f"http://docs.example:{site.port}/", gate=gate)


# robots.txt


def test_robots_rules_for_us_are_honoured(site: Website) -> None:
    rules = "User-agent: *\nDisallow: /\n\nUser-agent: Groundwork\nDisallow: /private/\nDisallow: /*.pdf$\n"
    site.put("/robots.txt", rules, "text/plain")
    urls = [site.put(path, "text") for path in ("/open", "/private/a", "/b.pdf")]
    with _source(*urls) as source:
        allowed, *forbidden = source.items()
        assert allowed.read() == b"\xef\xbb\xbftext"
        for item in forbidden:
            with pytest.raises(Refused, match=r"robots\.txt of 127\.0\.0\.1 does not allow Groundwork"):
                item.read()
    assert site.asked == ["/robots.txt", "/open"], "the rules are read once, and nothing forbidden is asked for"


def test_a_redirect_to_a_forbidden_page_is_not_followed(site: Website) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /private\n", "text/plain")
    site.put("/private", "no")
    site.pages["/"] = redirect("/private")
    with pytest.raises(Refused):
        _read(f"{site.url}/")
    assert "/private" not in site.asked


def test_rules_that_cannot_be_read_forbid_for_now(site: Website) -> None:
    site.pages["/robots.txt"] = Answer(status=500)
    with pytest.raises(Unavailable, match=r"not known what may be fetched.*robots\.txt"):
        _read(site.put("/", "text"))


@pytest.mark.parametrize(
    "answer", [Answer(status=404), Answer(status=403), Answer(b"\xff\xfe\x00garbage", "image/png")]
)
def test_a_site_without_rules_allows_everything(site: Website, answer: Answer) -> None:
    site.pages["/robots.txt"] = answer
    assert b"text" in _read(site.put("/", "text"))


def test_the_start_of_an_endless_robots_txt_counts(site: Website) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /private\n" + "# more\n" * 200_000, "text/plain")
    assert b"text" in _read(site.put("/open", "text"))
    with pytest.raises(Refused):
        _read(site.put("/private", "text"))


def test_the_crawl_delay_is_kept_within_reason(site: Website) -> None:
    site.put("/robots.txt", "User-agent: *\nCrawl-delay: 3600\n", "text/plain")
    urls = [site.put(f"/{number}", "text") for number in range(3)]
    began = time.monotonic()
    with _source(*urls, settings={"max_crawl_delay_seconds": 0.2}) as source:
        assert len([item.read() for item in source.items()]) == 3
    assert 0.4 <= time.monotonic() - began < 3


def test_closing_ends_a_wait_for_the_crawl_delay(site: Website) -> None:
    site.put("/robots.txt", "User-agent: *\nCrawl-delay: 60\n", "text/plain")
    urls = [site.put(f"/{number}", "text") for number in range(2)]
    with _source(*urls, settings={"max_crawl_delay_seconds": 60}) as source:
        first, second = source.items()
        first.read()
        threading.Timer(0.2, source.close).start()
        with pytest.raises(Unavailable, match="was closed"):
            second.read()


# Limits


def test_a_page_that_is_too_large_is_refused(site: Website) -> None:
    with pytest.raises(Invalid, match=r"larger than 1 MiB \(GROUNDWORK_SOURCES__FETCH_MAX_MB\)"):
        _read(site.put("/", b"x" * ((1 << 20) + 1), "text/plain"))


def test_an_endless_page_is_broken_off(site: Website) -> None:
    sent: list[int] = []

    def endless(send: Send) -> None:
        while True:
            send(b"x" * 65536)
            sent.append(65536)

    site.pages["/"] = Answer(media_type="text/plain", drip=endless)
    with pytest.raises(Invalid, match="larger than 1 MiB"):
        _read(f"{site.url}/")
    assert sum(sent) < 16 << 20


def test_a_page_that_unpacks_without_end_is_broken_off(site: Website) -> None:
    bomb = gzip.compress(bytes(300 << 20), 9)
    assert len(bomb) < 1 << 20
    site.pages["/"] = Answer(bomb, "text/plain", headers=(("Content-Encoding", "gzip"),))
    began = time.monotonic()
    with pytest.raises(Invalid, match="larger than 1 MiB"):
        _read(f"{site.url}/")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [(gzip.compress(b"text" * 1000)[:-20], Unavailable), (b"not packed at all", Invalid)],
    ids=["truncated", "damaged"],
)
def test_what_cannot_be_unpacked_is_said_so(site: Website, body: bytes, kind: type[GroundworkError]) -> None:
    site.pages["/"] = Answer(body, "text/plain", headers=(("Content-Encoding", "gzip"),))
    with pytest.raises(kind):
        _read(f"{site.url}/")


def test_a_packing_that_was_not_asked_for_is_refused(site: Website) -> None:
    site.pages["/"] = Answer(b"..", "text/plain", headers=(("Content-Encoding", "br"),))
    with pytest.raises(Invalid, match="'br', which was not asked for"):
        _read(f"{site.url}/")


@pytest.mark.parametrize("pause", [0.05, 30], ids=["drips", "silent"])
def test_a_slow_page_ends_with_its_time(site: Website, pause: float) -> None:
    stop = threading.Event()

    def drip(send: Send) -> None:
        while not stop.is_set():
            send(b"x")
            stop.wait(pause)

    site.pages["/"] = Answer(media_type="text/plain", drip=drip)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer within 1 seconds"):
        _read(f"{site.url}/", settings={"fetch_timeout_seconds": 1})
    stop.set()
    assert 0.9 <= time.monotonic() - began < 3


def test_redirects_share_one_time_limit(site: Website) -> None:
    def slow(send: Send) -> None:
        time.sleep(0.4)
        send(b"")

    for number in range(5):
        site.pages[f"/{number}"] = Answer(status=302, headers=(("Location", f"/{number + 1}"),), drip=slow)
    site.pages["/5"] = Answer(b"", drip=lambda _: time.sleep(2))
    began = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer within 1 seconds"):
        _read(f"{site.url}/0", settings={"fetch_timeout_seconds": 1})
    assert time.monotonic() - began < 3


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 does not answer as a web server"):
        _read("http://127.0.0.1:9/")


def test_a_connection_that_breaks_off_is_unavailable(site: Website) -> None:
    site.pages["/"] = Answer(
        media_type="text/plain", headers=(("Content-Length", "100"),), drip=lambda send: send(b"x")
    )
    with pytest.raises(Unavailable):
        _read(f"{site.url}/")
