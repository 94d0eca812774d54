"""`groundwork security`."""

from typing import TYPE_CHECKING, Any

import typer

from groundwork.cli.options import AsJson
from groundwork.cli.output import put_json, say
from groundwork.cli.run import with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform

app = typer.Typer(help="Look whether the installation is kept safely.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def report(as_json: AsJson = False) -> None:
    """Report on logins, accounts, keys, secrets, the certificate and the audit log, and say what to do."""

    async def work(platform: "Platform") -> dict[str, Any]:
        return await platform.access.report.run()

    body = with_platform(work)
    if as_json:
        put_json(body)
        return
    for each in body["findings"]:
        _tell(each)
    matters = sum(each["severity"] != "ok" for each in body["findings"])
    say(f"{matters} of {len(body['findings'])} findings need somebody to look at them.")


def _tell(finding: dict[str, Any]) -> None:
    which = f": {', '.join(finding['which'])}" if finding["which"] else ""
    more = finding["count"] - len(finding["which"])
    if which and more > 0:
        which += f", and {more:,} more"
    say(f"{finding['severity']:<9} {finding['count']:>6,}  {finding['what']}{which}")
    if finding["severity"] != "ok":
        say(f"{'':18}{finding['next']}")
