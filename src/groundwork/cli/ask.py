"""`groundwork ask`."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, Collections, MediaTypes, Since, Sources, Tags, Until
from groundwork.cli.output import note, put_json, say
from groundwork.cli.progress import waiting
from groundwork.cli.run import caller, with_platform
from groundwork.errors import of_kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from groundwork.answer.events import Event
    from groundwork.assembly import Platform


def ask(
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    collection: Collections = None,
    source: Sources = None,
    media_type: MediaTypes = None,
    tag: Tags = None,
    since: Since = None,
    until: Until = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="Go on with this conversation; `new` begins one."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Ask only models on the operator's own machines.")] = False,
    extract: Annotated[
        bool, typer.Option("--extract", help="Ask no model: answer with the documents' own sentences.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the documents, with citations."""

    async def work(platform: "Platform") -> dict[str, Any]:
        from groundwork.answer.dialogue import Dialogue  # start-up time
        from groundwork.assembly import Request  # start-up time

        shown.enter_context(waiting("Looking in the documents..."))
        await platform.ready()
        who = await caller(platform)
        wanted = Request(
            question,
            collections=collection,
            sources=source,
            media_types=media_type,
            tags=tag,
            since=since,
            until=until,
            caller=who,
        )
        dialogue = Dialogue(who, session, private=private, generate=not extract)
        if as_json:
            return await platform.ask(wanted, dialogue)
        return await _written(await platform.stream(wanted, dialogue), shown.close)

    with ExitStack() as shown:
        body = with_platform(work, scope="ask")
    if as_json:
        put_json(body)
    else:
        _tell(body)


async def _written(events: "AsyncIterator[Event]", begin: "Callable[[], None]") -> dict[str, Any]:
    """Prints the answer as it is written, `begin` being called before its first words; its body.

    Raises Unavailable, OverBudget when it does not come to its end.
    """
    begun = False
    async for event in events:
        if event.name in {"delta", "done", "error"}:
            begin()
        if event.name == "delta":
            say(event.data["text"], end="")
            begun = True
        elif event.name == "done":
            say()
            return event.data
        elif event.name == "error":
            if begun:
                say()
            raise of_kind(event.data["kind"], event.data["message"])
    raise AssertionError("an answer ends with `done` or `error`")


def _tell(body: dict[str, Any]) -> None:
    if reason := body["reason"]:
        note(f"No model wrote this: {reason}{'' if reason.endswith(('.', '?')) else '.'}")
    if body["mode"] == "generated" and not body["citations"]:
        note("The model cited nothing for this: check it before you rely on it.")
    if body["citations"]:
        say()
    for citation in _first_of_each(body["citations"]):
        page = f", page {citation['page']}" if citation["page"] is not None else ""
        span = citation["source_span"]
        mark = "checked against the stored text" if citation["verified"] else "NOT EQUAL to the stored text"
        say(f"[{citation['index']}] {citation['title']}{page}")
        say(f"    {citation['uri']}  characters {span['start']}-{span['end']}, {mark}")
    if body["session_id"]:
        note(f"Conversation {body['session_id']}: go on with --session {body['session_id']}")


def _first_of_each(citations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several statements may rest on the same words: each place once."""
    first: dict[int, dict[str, Any]] = {}
    for each in citations:
        first.setdefault(each["index"], each)
    return list(first.values())
