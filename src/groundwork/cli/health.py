"""`groundwork health`."""

import sys
from typing import TYPE_CHECKING, Any

from groundwork.cli.options import AsJson
from groundwork.cli.output import EXIT_CODES, put_json, say
from groundwork.cli.run import with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform


def health(as_json: AsJson = False) -> None:
    """Look at every component. Ends with code 8 when one has failed."""

    async def work(platform: "Platform") -> dict[str, Any]:
        await platform.lexical.catch_up(2.0)
        return await platform.health()

    body = with_platform(work)
    if as_json:
        put_json(body)
    else:
        for name, component in body["components"].items():
            say(f"{name:14} {component['status']:9} {component.get('message', '')}".rstrip())
    if body["status"] == "failed":
        sys.exit(EXIT_CODES["unavailable"])
