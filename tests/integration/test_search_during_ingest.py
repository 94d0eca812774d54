"""Searching while documents change: never an error, never half of a version."""

import asyncio
from pathlib import Path

from groundwork.assembly import Platform, Request
from plugins.installation import Run, ingest, write

_PARTS = 12


def _edition(number: int) -> dict[str, str]:
    """Documents whose every part names the edition, so that a mixture would show."""
    return {
        f"{name}.md": f"# Book {name}\n\n"
        + "\n\n".join(f"## Part {part}\n\n" + f"edition{number} part {part} of {name}. " * 30 for part in range(_PARTS))
        for name in ("one", "two", "three")
    }


def test_a_reader_never_sees_two_editions_of_a_document_at_once(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "books", _edition(0))

    async def work(platform: Platform) -> None:
        await ingest(platform, folder)
        follower = asyncio.create_task(platform.lexical.follow(0.05))
        ended = asyncio.Event()
        mixed: list[str] = []
        searches = 0

        async def read() -> None:
            nonlocal searches
            while not ended.is_set():
                found = await platform.search(Request("edition part of one two three", limit=100))
                searches += 1
                for uri in {each.chunk.uri for each in found.passages}:
                    editions = {
                        each.chunk.text.split("edition")[1][:2] for each in found.passages if each.chunk.uri == uri
                    }
                    versions = {each.chunk.version for each in found.passages if each.chunk.uri == uri}
                    if len(editions) > 1 or len(versions) > 1:
                        mixed.append(uri)

        readers = [asyncio.create_task(read()) for _ in range(3)]
        for number in range(1, 6):
            write(folder, _edition(number))
            await ingest(platform, folder)
        ended.set()
        await asyncio.gather(*readers)
        follower.cancel()
        assert searches > 20
        assert mixed == []

    run(work)
