"""The generation of a collection grows with everything that may change an answer, and with nothing else."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import psycopg

from groundwork.access.scope import OPERATOR, Readers, set_readers
from groundwork.assembly import Platform, Request
from groundwork.ingest.items import Item
from groundwork.ingest.upkeep.labels import Relabel
from groundwork.retrieve import records
from plugins.installation import Run, ingest, quiet, unheard, write


async def _generation(platform: Platform, name: str = "home") -> int:
    collection = await platform.catalog.seen_by(OPERATOR).collection(name)
    (key, _, _, generation) = (await platform.database.fetch(
        "SELECT id, name, private, generation FROM collections WHERE name = %s", (name,)
    ))[0]  # fmt: skip
    assert await records.generations(platform.database, [key]) == {key: generation}
    assert collection["generation"] == generation
    return generation


async def _assert_grows(platform: Platform, deed: Awaitable[Any]) -> Any:
    before = await _generation(platform)
    done = await deed
    assert await _generation(platform) > before, deed
    return done


async def _assert_stays(platform: Platform, deed: Awaitable[Any]) -> Any:
    before = await _generation(platform)
    done = await deed
    assert await _generation(platform) == before, deed
    return done


async def _upload(platform: Platform, text: str) -> str:
    document = await platform.accept_upload("home", "up.md", text.encode(), OPERATOR)
    await platform.take_upload(document["id"], unheard)
    return document["id"]


async def _documents(platform: Platform) -> dict[str, str]:
    """Ids by the last part of the URI."""
    items = (await platform.catalog.documents("home"))["items"]
    return {each["uri"].rpartition("/")[2].rpartition(":")[2]: each["id"] for each in items}


def test_it_grows_with_every_change_of_texts_and_labels(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        folder = write(tmp_path / "docs", {"a.md": "# A\n\nOne.", "b.md": "# B\n\nTwo."})
        await platform.create_collection("home")
        await _assert_grows(platform, ingest(platform, folder, "home"))
        await _assert_stays(platform, ingest(platform, folder, "home"))
        write(folder, {"a.md": "# A\n\nThree.", "b.md": "# B\n\nTwo."})
        await _assert_grows(platform, ingest(platform, folder, "home"))
        write(folder, {"a.md": "# A\n\nThree."})
        await _assert_grows(platform, ingest(platform, folder, "home"))
        upload = await _assert_grows(platform, _upload(platform, "# Up\n\nFour."))

        document = (await _documents(platform))["a.md"]
        await _assert_grows(platform, platform.relabel(document, Relabel(add=["x"])))
        await _assert_stays(platform, platform.relabel(document, Relabel(add=["x"])))
        await _assert_grows(platform, platform.relabel(document, Relabel(metadata={"owner": "ada"})))
        await _assert_stays(platform, platform.relabel(document, Relabel(metadata={"owner": "ada"})))
        await _assert_grows(platform, platform.relabel(document, Relabel(metadata={"owner": None})))
        await _assert_grows(platform, platform.relabel(document, Relabel(remove=["x"])))

        await _assert_stays(platform, platform.search(Request("Three", collections=["home"])))
        await _assert_grows(platform, platform.delete_document(upload))
        await _assert_grows(platform, platform.remove_source(str(folder), "home"))

    run(work)


def test_it_grows_when_who_may_read_changes_and_whom_it_may_be_told(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        await platform.create_collection("home")
        await platform.access.people.add("ada", "member", None, OPERATOR)
        named = Readers(everyone=False, users=("ada",))
        await _assert_grows(platform, set_readers(platform.database, "home", named))
        await _assert_grows(platform, platform.access.people.erase("ada", OPERATOR))
        await _assert_grows(platform, platform.set_private("home", True, OPERATOR))
        await _assert_stays(platform, platform.set_private("home", True, OPERATOR))
        await _assert_grows(platform, platform.set_private("home", False, OPERATOR))

    run(work)


def test_it_grows_with_an_import_also_of_labels_alone(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        folder = write(tmp_path / "docs", {"a.md": "# A\n\nOne.", "empty.txt": ""})
        await ingest(platform, folder, "there")
        await platform.export_collection("there", tmp_path / "there.zip")
        await platform.create_collection("home")
        await _assert_grows(platform, platform.import_collection(tmp_path / "there.zip", "home"))
        await _assert_stays(platform, platform.import_collection(tmp_path / "there.zip", "home"))
        for name in ("a.md", "empty.txt"):  # of the second nothing could be taken: it has no text
            await platform.relabel((await _documents(platform))[name], Relabel(add=["x"]))
            await _assert_grows(platform, platform.import_collection(tmp_path / "there.zip", "home"))

    run(work)


def test_it_grows_when_a_lost_text_is_given_up(run: Run[object]) -> None:
    async def work(platform: Platform) -> None:
        await platform.ingest_items([Item("mem:a.md", "a.md", lambda: b"# A\n\nOne.")], "home", quiet)
        with psycopg.connect(platform.database.url, autocommit=True) as admin:
            admin.execute("SET session_replication_role = replica")  # as damage does: no rule is kept
            admin.execute("DELETE FROM document_versions")
        await _assert_grows(platform, platform.check(mend=True))

    run(work)
