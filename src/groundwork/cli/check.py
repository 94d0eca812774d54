"""`groundwork check`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson
from groundwork.cli.output import EXIT_CODES, counted, put_json, say
from groundwork.cli.progress import progress
from groundwork.cli.run import with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform


def check(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is found, as far as that can be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that what is stored is whole: texts, passages, vectors, indexes, originals, jobs.

    Ends with exit code 9 when something is broken and was not mended.
    """

    async def work(platform: "Platform") -> dict[str, Any]:
        with progress(quiet=as_json) as advance:
            return await platform.check(repair, advance)

    body = with_platform(work, announce=True)
    if as_json:
        put_json(body)
    else:
        _tell(body)
    if not body["ok"]:
        sys.exit(EXIT_CODES["corrupt"])


def _tell(body: dict[str, Any]) -> None:
    broken = [each for each in body["checks"] if each["found"] or each["left"]]
    for each in broken:
        say(f"BROKEN    {each['truth']}" if each["left"] else f"mended    {each['truth']}")
        say(f"          {counted(each['found'], 'violation')}, {each['left']:,} left. {each['cure']}")
        for example in each["examples"]:
            say(f"          {example}")
    whole = len(body["checks"]) - len(broken)
    say(f"{counted(whole, 'check')} of {len(body['checks'])} found nothing, in {body['seconds']:.1f} s.")
    if not body["ok"] and not body["mended"]:
        say("Next: groundwork check --repair")
