"""A source that does not answer for a while costs no document, and is told."""

from typing import Any

from groundwork.assembly import Platform
from groundwork.ingest.registry import NewSource
from groundwork.settings import Settings
from plugins.installation import on_platform, unheard
from plugins.website import Answer, Website


def _allowing(settings: Settings) -> Settings:
    sources = settings.sources.model_copy(update={"allow_private_addresses": True})
    return settings.model_copy(update={"sources": sources})


async def _sync(platform: Platform) -> dict[str, Any]:
    row = await platform.sources.find("site")
    return (await platform.sources.sync(platform.pipeline, row.id, unheard)).body()


async def _documents(platform: Platform) -> dict[str, tuple[str, bool]]:
    rows = await platform.database.fetch("SELECT uri, status, live_version IS NOT NULL FROM documents ORDER BY uri")
    return {uri.rpartition("/")[2]: (status, is_live) for uri, status, is_live in rows}


def _publish(site: Website, *names: str) -> str:
    for name in names:
        site.put(f"/{name}", f"<html><body><p>What {name} says.</p></body></html>")
    urls = "".join(f"<url><loc>{site.url}/{name}</loc></url>" for name in names)
    return site.put("/sitemap.xml", f"<urlset>{urls}</urlset>", "application/xml")


def test_pages_that_do_not_answer_stay_as_they_are_and_are_told(settings: Settings) -> None:
    with Website().serving() as site:

        async def work(platform: Platform) -> None:
            await platform.sources.add(NewSource("site", _publish(site, "a", "b")))
            assert (await _sync(platform))["added"] == 2
            site.pages["/a"] = Answer(status=503)
            site.put("/b", "<html><body><p>Something else.</p></body></html>")
            report = await _sync(platform)
            assert (report["updated"], report["failed"], report["removed"]) == (1, 1, 0)
            assert "cannot serve the page now (status 503)" in report["failures"][0]["error"]
            assert await _documents(platform) == {"a": ("ready", True), "b": ("ready", True)}
            _publish(site, "a", "b")
            report = await _sync(platform)
            assert (report["unchanged"], report["updated"], report["failed"]) == (1, 1, 0)

        on_platform(_allowing(settings), work)


def test_a_new_page_that_does_not_answer_is_noted_and_taken_later(settings: Settings) -> None:
    with Website().serving() as site:

        async def work(platform: Platform) -> None:
            await platform.sources.add(NewSource("site", _publish(site, "a")))
            site.pages["/a"] = Answer(status=503)
            assert (await _sync(platform))["failed"] == 1
            assert await _documents(platform) == {"a": ("failed", False)}
            _publish(site, "a")
            assert (await _sync(platform))["failed"] == 0
            assert await _documents(platform) == {"a": ("ready", True)}

        on_platform(_allowing(settings), work)


def test_a_page_that_is_gone_from_the_sitemap_is_removed_and_none_while_part_of_it_is_not_known(
    settings: Settings,
) -> None:
    with Website().serving() as site:
        parts = {name: f"<sitemap><loc>{site.url}/{name}.xml</loc></sitemap>" for name in ("one", "two")}

        def part(name: str, *pages: str) -> None:
            urls = "".join(f"<url><loc>{site.url}/{page}</loc></url>" for page in pages)
            site.put(f"/{name}.xml", f"<urlset>{urls}</urlset>", "application/xml")

        async def work(platform: Platform) -> None:
            _publish(site, "a", "b", "c")
            part("one", "a", "b")
            part("two", "c")
            index = site.put("/sitemap.xml", f"<sitemapindex>{''.join(parts.values())}</sitemapindex>", "text/xml")
            await platform.sources.add(NewSource("site", index))
            assert (await _sync(platform))["added"] == 3
            part("one", "a")
            site.pages["/two.xml"] = Answer(status=502)
            report = await _sync(platform)
            assert report["removed"] == 0
            assert "two.xml are not known" in report["gaps"][0]
            part("two", "c")
            assert (await _sync(platform))["removed"] == 1
            assert set(await _documents(platform)) == {"a", "c"}

        on_platform(_allowing(settings), work)


def test_a_sitemap_that_does_not_answer_fails_the_sync_and_removes_nothing(settings: Settings) -> None:
    with Website().serving() as site:

        async def work(platform: Platform) -> str:
            await platform.sources.add(NewSource("site", _publish(site, "a")))
            await _sync(platform)
            site.pages["/sitemap.xml"] = Answer(status=500)
            try:
                await _sync(platform)
            except Exception as error:
                assert await _documents(platform) == {"a": ("ready", True)}
                return type(error).__name__
            return "nothing was raised"

        assert on_platform(_allowing(settings), work) == "Unavailable"
