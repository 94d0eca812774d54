"""Pages found by sitemap and by following links, on a real server on this machine."""

import datetime
import gzip
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from groundwork.errors import Invalid, NotFound, Refused, Unavailable
from groundwork.ingest.sources.addresses import Gate
from groundwork.ingest.sources.config import WebConfig
from groundwork.ingest.sources.fetch import Limits
from groundwork.ingest.sources.links import links
from groundwork.ingest.sources.sitemap import read_sitemap
from groundwork.ingest.sources.web import WebSource
from groundwork.settings import SourceSettings
from plugins.website import Answer, Website, redirect

_NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


@pytest.fixture
def site() -> Iterator[Website]:
    with Website().serving() as website:
        yield website


def _source(gate: Gate | None = None, settings: dict[str, Any] | None = None, **config: Any) -> closing[WebSource]:
    given: dict[str, Any] = {"allow_private_addresses": True, "fetch_timeout_seconds": 5, "fetch_max_mb": 1}
    return closing(WebSource(WebConfig(**config), SourceSettings(**{**given, **(settings or {})}), gate))


def _offered(site: Website, **config: Any) -> list[str]:
    with _source(**config) as source:
        return [item.uri.removeprefix(site.url) for item in source.items()]


def _urlset(*urls: str) -> str:
    return f'<?xml version="1.0"?><urlset xmlns="{_NAMESPACE}">{"".join(f"<url><loc> {u} </loc></url>" for u in urls)}</urlset>'


def _index(*urls: str) -> str:
    return f'<sitemapindex xmlns="{_NAMESPACE}">{"".join(f"<sitemap><loc>{u}</loc></sitemap>" for u in urls)}</sitemapindex>'


# Sitemaps


def test_an_index_of_sitemaps_is_read_through(site: Website) -> None:
    site.put("/one.xml", _urlset(f"{site.url}/a", f"{site.url}/b#x", f"{site.url}/a"), "application/xml")
    site.put("/two.xml.gz", gzip.compress(_urlset(f"{site.url}/c?d=1&amp;e=2").encode()), "application/gzip")
    site.put("/three.txt", f"{site.url}/d\n\n{site.url}/e\n", "text/plain")
    parts = [f"{site.url}/{name}" for name in ("one.xml", "two.xml.gz", "three.txt", "index.xml")]
    sitemap = site.put("/index.xml", _index(*parts), "text/xml")
    assert _offered(site, sitemaps=[sitemap]) == ["/a", "/b", "/c?d=1&e=2", "/d", "/e"]


def test_only_pages_of_its_own_site_are_taken_from_a_sitemap(site: Website) -> None:
    pages = [
        f"{site.url}/a",
        "http://10.0.0.1/inside",
        "https://elsewhere.example/",
        "file:///etc/passwd",
        "not an address",
    ]
    assert _offered(site, sitemaps=[site.put("/s.xml", _urlset(*pages))]) == ["/a"]


def test_an_image_in_a_sitemap_is_no_page() -> None:
    page = "<url><image:image><image:loc>https://e.org/i.png</image:loc></image:image><loc>https://e.org/p</loc></url>"
    content = f'<urlset xmlns="{_NAMESPACE}" xmlns:image="http://x/image">{page}</urlset>'.encode()
    assert read_sitemap(content, Limits(1, 1000)).pages == ["https://e.org/p"]


_BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
_DANGEROUS = {
    "entity bomb": f'<!DOCTYPE x [<!ENTITY e0 "0123456789">{_BOMB}]>' + _urlset("&e11;").partition("?>")[2],
    "external entity": '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + _urlset("&f;").partition("?>")[2],
    "external subset": '<!DOCTYPE urlset SYSTEM "http://127.0.0.1:9/x.dtd"><urlset/>',
}


@pytest.mark.parametrize("content", _DANGEROUS.values(), ids=_DANGEROUS)
def test_a_sitemap_with_a_document_type_is_refused(site: Website, content: str) -> None:
    with pytest.raises(Invalid, match="declares a document type"):
        _offered(site, sitemaps=[site.put("/s.xml", content)])


def test_a_dangerous_part_of_an_index_is_a_gap_and_the_rest_is_taken(site: Website) -> None:
    bad = site.put("/bad.xml", _DANGEROUS["entity bomb"])
    good = site.put("/good.xml", _urlset(f"{site.url}/a"))
    sitemap = site.put("/index.xml", _index(bad, f"{site.url}/gone.xml", good))
    with _source(sitemaps=[sitemap]) as source:
        assert [item.uri for item in source.items()] == [f"{site.url}/a"]
        assert len(source.gaps) == 2
        assert "bad.xml are not known: The sitemap declares a document type" in source.gaps[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html><body>Not found</body></html>", "no sitemap: its root"),
        (b"<urlset><url></urlset>", "not well-formed"),
        (b"Just some words.", "no line of it is a web address"),
        (gzip.compress(bytes(50 << 20)), "larger than 1 MiB"),
    ],
    ids=["page", "broken", "words", "gzip bomb"],
)
def test_what_is_no_sitemap_is_said_so(site: Website, content: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        _offered(site, sitemaps=[site.put("/s.xml", content)])


def test_a_sitemap_that_is_not_there_stops_the_source(site: Website) -> None:
    with pytest.raises(NotFound):
        _offered(site, sitemaps=[f"{site.url}/none.xml"])


def test_patterns_are_compared_with_the_path_of_a_page(site: Website) -> None:
    pages = [f"{site.url}/{path}" for path in ("docs/a", "docs/b/c?x=1", "blog/d", "docs/archive/e")]
    sitemap = site.put("/s.xml", _urlset(*pages))
    assert _offered(site, sitemaps=[sitemap], include=["/docs"], exclude=["archive/"]) == ["/docs/a", "/docs/b/c?x=1"]


def test_more_pages_than_allowed_are_left_out_and_said_so(site: Website) -> None:
    sitemap = site.put("/s.xml", _urlset(*(f"{site.url}/{number}" for number in range(10))))
    for limits in ({"max_pages": 3}, {"settings": {"max_pages": 3}}, {"max_pages": 50, "settings": {"max_pages": 3}}):
        with _source(sitemaps=[sitemap], **limits) as source:
            assert len(list(source.items())) == 3
            assert "more than 3 pages" in source.gaps[0]


# Following links


def _linking(*targets: str) -> str:
    return "".join(f'<p><a class="x" href="{target}">to</a></p>' for target in targets)


def _small_site(site: Website) -> None:
    site.put(
        "/", _linking("a", "/b#part", "https://elsewhere.example/", "mailto:x@y.z", "film.mp4", "?page=2", "broken")
    )
    site.put("/?page=2", "second")
    site.put("/a", _linking("/deep/c", "/"))
    site.put("/b", "plain")
    site.put("/deep/c", _linking("d"))
    site.put("/deep/d", "far")


@pytest.mark.parametrize(
    ("depth", "pages"),
    [
        (0, ["/"]),
        (1, ["/", "/a", "/b", "/?page=2"]),
        (2, ["/", "/a", "/b", "/?page=2", "/deep/c"]),
        (9, ["/", "/a", "/b", "/?page=2", "/deep/c", "/deep/d"]),
    ],
)
def test_links_of_the_same_site_are_followed_so_far(site: Website, depth: int, pages: list[str]) -> None:
    _small_site(site)
    assert _offered(site, urls=[f"{site.url}/"], depth=depth) == pages


def test_a_page_found_by_links_is_fetched_once(site: Website) -> None:
    _small_site(site)
    with _source(urls=[f"{site.url}/"], depth=9) as source:
        items = list(source.items())
        assert [item.read() for item in items][-1] == b"\xef\xbb\xbffar"
        assert items[-1].filename == "d.html"
    assert len(site.asked) == len(set(site.asked))
    assert "/film.mp4" not in site.asked


def test_links_are_followed_only_where_patterns_and_robots_admit(site: Website) -> None:
    _small_site(site)
    site.put("/robots.txt", "User-agent: *\nDisallow: /b\n", "text/plain")
    assert _offered(site, urls=[f"{site.url}/"], depth=9, exclude=["deep/"]) == ["/", "/a", "/?page=2"]
    assert "/deep/c" not in site.asked


def test_a_link_that_redirects_to_another_site_is_not_taken(site: Website) -> None:
    with Website().serving() as other:
        other.put("/", "of another site")
        site.put("/", _linking("/away"))
        site.pages["/away"] = redirect(other.url)
        assert _offered(site, urls=[f"{site.url}/"], depth=1) == ["/"]


def test_a_page_that_does_not_answer_leaves_a_gap_and_stays_a_document(site: Website) -> None:
    site.put("/", _linking("/down", "/up"))
    site.pages["/down"] = Answer(status=503)
    site.put("/up", "text")
    with _source(urls=[f"{site.url}/"], depth=2) as source:
        root, down, _up = source.items()
        assert down.uri == f"{site.url}/down"
        assert "/down are not known: The server cannot serve the page now" in source.gaps[0]
        assert b"href" in root.read()
        with pytest.raises(Unavailable):
            down.read()


def test_an_address_that_a_person_gave_is_reported_when_it_is_broken(site: Website) -> None:
    with _source(urls=[f"{site.url}/gone"], depth=1) as source:
        (item,) = source.items()
        with pytest.raises(NotFound):
            item.read()


def test_a_site_of_broken_links_ends(site: Website) -> None:
    site.put("/", _linking(*(f"/{number}" for number in range(500))))
    with _source(urls=[f"{site.url}/"], depth=1, max_pages=5) as source:
        assert len(list(source.items())) == 1
        assert "10 pages were fetched" in source.gaps[0]


def test_links_are_found_in_untidy_pages() -> None:
    page = b"""<base href="/docs/"><A HREF=one>1</A><a
        title="x" href = 'two?a=1&amp;b=2#c'>2</a><a name=x>no</a><link href=style.css><a href="javascript:x()">no</a>
        <a href="http://[broken">no</a><a href="//other.example/x">x</a><area href=no>"""
    assert links(page, "http://h.example/a/b") == [
        "http://h.example/docs/one",
        "http://h.example/docs/two?a=1&b=2",
        "http://other.example/x",
    ]


@pytest.mark.parametrize("piece", [b"<a ", b"<a href=", b"<a href='", b"<base ", b"<a " + b"href " * 100], ids=repr)
def test_no_page_takes_long_to_search_for_links(piece: bytes) -> None:
    began = time.monotonic()
    assert len(links(piece * ((4 << 20) // len(piece)), "http://h.example/")) <= 1
    assert time.monotonic() - began < 10


# https


def test_a_certificate_is_checked_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = _certificate(tmp_path, "docs.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    gate = Gate(allow_private=True, resolve=lambda *_: ["127.0.0.1"])
    with Website(tls=tls).serving() as site:
        site.put("/", "Hello")
        with _source(
            gate, urls=[f"https://docs.example:{site.port}/", f"https://other.example:{site.port}/"]
        ) as source:
            good, bad = source.items()
            assert b"Hello" in good.read()
            with pytest.raises(Unavailable, match=r"(?i)certificate.*other\.example"):
                bad.read()
    assert set(site.hosts) == {f"docs.example:{site.port}"}


def test_a_redirect_from_https_into_the_private_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _certificate(tmp_path, "docs.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    gate = Gate(
        allow_private=True, resolve=lambda host, _: ["127.0.0.1"] if host == "docs.example" else ["169.254.0.9"]
    )
    with Website(tls=tls).serving() as site:
        site.pages["/"] = redirect("http://metadata.example/")
        with _source(gate, urls=[f"https://docs.example:{site.port}/"]) as source:
            (item,) = source.items()
            with pytest.raises(Refused, match=r"metadata\.example leads to 169\.254\.0\.9"):
                item.read()


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(private)
    return paths
