"""`groundwork rebuild`."""

from typing import TYPE_CHECKING

from groundwork.cli.options import AsJson
from groundwork.cli.output import put_json, say
from groundwork.cli.progress import progress
from groundwork.cli.run import with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform


def rebuild(as_json: AsJson = False) -> None:
    """Build every derived index anew from the database. Searches go on meanwhile."""

    async def work(platform: "Platform") -> dict[str, int]:
        done = 0
        with progress(quiet=as_json) as advance:

            def show(documents: int) -> None:
                nonlocal done
                done += documents
                advance("lexical index, documents", done, None)

            return await platform.rebuild(show)

    built = with_platform(work, announce=True)
    if as_json:
        put_json(built)
    else:
        say(f"Rebuilt: the lexical index holds {built['lexical']:,} passages.")
