"""`groundwork ask`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, Collections, MediaTypes, Since, Sources, Tags, Until
from groundwork.cli.output import put_json, say
from groundwork.cli.run import caller, with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform


def ask(
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    collection: Collections = None,
    source: Sources = None,
    media_type: MediaTypes = None,
    tag: Tags = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the documents, with citations."""

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.assembly import Request  # start-up time

        await platform.ready()
        wanted = Request(
            question,
            collections=collection,
            sources=source,
            media_types=media_type,
            tags=tag,
            since=since,
            until=until,
            caller=await caller(platform),
        )
        return (await platform.ask(wanted)).body()

    body = with_platform(work, scope="ask")
    if as_json:
        put_json(body)
    else:
        _tell(body)


def _tell(body: dict[str, Any]) -> None:
    say(body["answer"])
    if body["citations"]:
        say()
    for citation in body["citations"]:
        page = f", page {citation['page']}" if citation["page"] is not None else ""
        span = citation["source_span"]
        mark = "checked against the stored text" if citation["verified"] else "NOT EQUAL to the stored text"
        say(f"[{citation['index']}] {citation['title']}{page}")
        say(f"    {citation['uri']}  characters {span['start']}-{span['end']}, {mark}")
