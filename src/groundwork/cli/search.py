"""`groundwork search`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, Collections, Limit, MediaTypes, SearchMode, Since, Sources, Tags, Until
from groundwork.cli.output import put_json, say
from groundwork.cli.run import caller, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform


def search(
    query: Annotated[str, typer.Argument(help="What to search for.", show_default=False)],
    limit: Limit = 10,
    mode: Annotated[SearchMode, typer.Option(help="Which indexes to ask.")] = SearchMode.HYBRID,
    collection: Collections = None,
    source: Sources = None,
    media_type: MediaTypes = None,
    tag: Tags = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Find passages."""

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.assembly import Request  # start-up time

        await platform.ready()
        who = await caller(platform)
        wanted = Request(query, limit, mode.value, collection, source, media_type, tag, since, until, caller=who)
        return (await platform.search(wanted)).body()

    body = with_platform(work, scope="search")
    if as_json:
        put_json(body)
    elif not body["passages"]:
        say("Nothing found.")
    else:
        for place, passage in enumerate(body["passages"], start=1):
            _tell(place, passage)


def _tell(place: int, passage: dict[str, Any]) -> None:
    page = f", page {passage['page']}" if passage["page"] is not None else ""
    headings = " > ".join(passage["heading_path"])
    span = passage["source_span"]
    say(f"{place}. {passage['title']}{page}  ({passage['score']:.3f})")
    if headings:
        say(f"   {headings}")
    say(f"   {passage['uri']}  characters {span['start']}-{span['end']}")
    text = " ".join(passage["text"].split())
    say(f"   {text[:300]}{'…' if len(text) > 300 else ''}\n")
