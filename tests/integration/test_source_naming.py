"""What a source may be called when somebody adds it, and how one is found that a path names."""

from pathlib import Path

import pytest

from groundwork.assembly import Platform
from groundwork.errors import Invalid
from groundwork.ingest.registry import NewSource
from plugins.installation import Run, write

_ODD = ["", "  ", "a/b", "..", ".hidden", "tab\tbed", "bell\a", "nul\0", "half\ud800", "x" * 201]


@pytest.mark.parametrize("name", _ODD, ids=ascii)
def test_a_source_is_not_added_under_a_name_that_nobody_can_use(run: Run[object], tmp_path: Path, name: str) -> None:
    async def inside(platform: Platform) -> None:
        with pytest.raises(Invalid, match="source's name"):
            await platform.sources.add(NewSource(name, str(tmp_path)))
        assert (await platform.sources.page())["items"] == []

    run(inside)


def test_a_source_is_not_added_to_a_collection_that_could_not_be_made(run: Run[object], tmp_path: Path) -> None:
    async def inside(platform: Platform) -> None:
        for collection in ("", "a/b", "x" * 201, "nul\0"):
            with pytest.raises(Invalid, match="collection's name"):
                await platform.sources.add(NewSource("docs", str(tmp_path), collection))
        assert [each["name"] for each in (await platform.catalog.collections())["items"] if each["documents"]] == []
        added = await platform.sources.add(NewSource("x" * 200, str(tmp_path), "Ünïcode & more"))
        assert added["collection"] == "Ünïcode & more"

    run(inside)


def test_a_source_of_ingest_keeps_its_path_as_its_name_and_is_found_by_both(run: Run[object], tmp_path: Path) -> None:
    folder = write(tmp_path / "papers", {"a.md": "The heron stands in the reeds."})

    async def inside(platform: Platform) -> None:
        await platform.queue_ingest(folder, "default", "bulk")
        (source,) = (await platform.sources.page())["items"]
        assert source["name"] == str(folder)
        assert (await platform.sources.find(str(folder))).id == (await platform.sources.find(source["id"])).id

    run(inside)
