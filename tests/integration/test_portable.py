"""A collection leaves as one file and arrives as it was; a file that is not whole changes nothing."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from groundwork.access.scope import OPERATOR
from groundwork.assembly import Platform, Request
from groundwork.errors import Conflict, Corrupt, GroundworkError, Invalid, NotFound
from groundwork.ingest.upkeep.labels import Relabel
from groundwork.settings import Settings
from plugins.installation import Run, ingest, on_platform, write

LIBRARY = {
    "kettle.md": "# Kettle\n\nThe kettle boils water in ninety seconds.\n\n## Descaling\n\nUse vinegar every month.\n",
    "naïve.md": "# Überschrift\n\nDie Straße ist naß. 雨が降る。 🙂 Ende.\n" * 40,
    "lamp.txt": "The lamp has three levels of brightness.",
    "empty.txt": "",
}
QUESTIONS = ("How long does the kettle take?", "Straße", "levels of brightness", "vinegar")


async def _fill(platform: Platform, folder: Path) -> None:
    write(folder, LIBRARY)
    await ingest(platform, folder, "home")
    write(folder, {**LIBRARY, "lamp.txt": "The lamp has five levels of brightness."})
    await ingest(platform, folder, "home")
    lamp = next(each for each in (await platform.catalog.documents("home"))["items"] if "lamp" in each["uri"])
    await platform.relabel(lamp["id"], Relabel(add=["light"], metadata={"room": "hall"}))


async def _content(platform: Platform, collection: str) -> list[tuple[Any, ...]]:
    """All of a collection but its ids: documents, versions, passages, vectors."""
    return await platform.database.fetch(
        "SELECT d.uri, d.title, d.media_type, d.status, d.error, d.tags, d.metadata, d.live_since, d.created_at, "
        "(SELECT json_agg(json_build_array(v.sha256, v.text, v.title, v.language, v.pages, v.markdown, v.id = d.live_version) "
        "ORDER BY v.sha256) FROM document_versions v WHERE v.document_id = d.id)::text, "
        "(SELECT json_agg(json_build_array(c.ordinal, c.start_char, c.end_char, c.page, c.heading_path, c.text, c.embed_hash, "
        "e.embedding::text) ORDER BY c.ordinal) FROM chunks c JOIN chunk_embeddings e ON e.chunk_id = c.id "
        "WHERE c.document_id = d.id)::text "
        "FROM documents d JOIN collections k ON k.id = d.collection_id WHERE k.name = %s ORDER BY d.uri",
        (collection,),
    )


async def _passages(platform: Platform, collection: str) -> list[list[tuple[Any, ...]]]:
    """What searches find, best first; passages of the same score in the order of their texts."""
    found = [await platform.search(Request(question, collections=[collection])) for question in QUESTIONS]
    return [
        sorted((-round(each.score, 6), each.chunk.uri, each.chunk.start, each.chunk.text) for each in one.passages)
        for one in found
    ]


def test_a_collection_arrives_as_it_left(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        written = await platform.export_collection("home", tmp_path / "home.zip")
        assert (written["documents"], written["versions"]) == (4, 4)
        done = await platform.import_collection(tmp_path / "home.zip", "copy")
        assert (done["added"], done["failed"], done["unchanged"], done["embedded"]) == (3, 1, 0, 0)

        assert await _content(platform, "copy") == await _content(platform, "home")
        assert await _passages(platform, "copy") == await _passages(platform, "home")
        tagged = await platform.search(Request("lamp", collections=["copy"], tags=["light"], mode="lexical"))
        assert len(tagged.passages) == 1

    run(work)


def test_an_import_again_changes_nothing_and_mends_what_differs(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        await platform.export_collection("home", tmp_path / "home.zip")
        await platform.import_collection(tmp_path / "home.zip", "copy")
        generation = (await platform.catalog.collection("copy"))["generation"]
        again = await platform.import_collection(tmp_path / "home.zip", "copy")
        assert (again["unchanged"], again["chunks"]) == (4, 0)
        assert (await platform.catalog.collection("copy"))["generation"] == generation

        documents = (await platform.catalog.documents("copy"))["items"]
        await platform.delete_document(documents[0]["id"])
        mended = await platform.import_collection(tmp_path / "home.zip", "copy")
        assert mended["unchanged"] == 3
        assert await _content(platform, "copy") == await _content(platform, "home")

    run(work)


def test_another_installation_takes_it_in(settings: Settings, tmp_path: Path, second_database_url: str) -> None:
    async def leave(platform: Platform) -> list[list[tuple[Any, ...]]]:
        await _fill(platform, tmp_path / "library")
        await platform.export_collection("home", tmp_path / "home.zip")
        return await _passages(platform, "home")

    async def arrive(platform: Platform) -> list[list[tuple[Any, ...]]]:
        done = await platform.import_collection(tmp_path / "home.zip")
        assert (done["collection"], done["embedded"]) == ("home", 0)
        return await _passages(platform, "home")

    elsewhere = settings.model_copy(
        update={"data_dir": tmp_path / "elsewhere", "database_url": SecretStr(second_database_url)}
    )
    assert on_platform(settings, leave) == on_platform(elsewhere, arrive)


def test_texts_of_another_model_are_embedded_anew(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        await platform.export_collection("home", tmp_path / "home.zip")
        foreign = _rewritten(tmp_path / "home.zip", tmp_path / "foreign.zip", _of_another_model)
        await platform.delete_collection("home")  # so that no vector is known
        done = await platform.import_collection(foreign, "copy")
        assert done["chunks"] > 0
        assert done["embedded"] > 0
        found = await platform.search(Request("brightness", collections=["copy"], mode="dense"))
        assert "brightness" in found.passages[0].chunk.text

    run(work)


def _of_another_model(name: str, content: bytes) -> bytes:
    return content.replace(b'"revision"', b'"revision": "other", "was"') if name == "manifest.json" else content


def _rewritten(file: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy whose members went through `change`; None leaves one out."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def _with_hashes(name: str, changed: bytes) -> Callable[[str, bytes], bytes]:
    """A change that puts a member in and names its new hash: damage that hashes cannot show."""

    def change(each: str, content: bytes) -> bytes:
        if each == name:
            return changed
        if each == "manifest.json":
            said = json.loads(content)
            said["members"][name] = {"bytes": len(changed), "sha256": hashlib.sha256(changed).hexdigest()}
            return json.dumps(said).encode()
        return content

    return change


def _damages(good: Path, folder: Path) -> list[tuple[str, Path, type[GroundworkError]]]:
    with zipfile.ZipFile(good) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    shifted = members["chunks.jsonl"].replace(b'"start": 0', b'"start": 1')
    further = members["chunks.jsonl"].replace(b'"end": ', b'"end": 9')
    other_text = members["versions.jsonl"].replace(b"brightness", b"brightnezz")
    rubbish = b"{" + members["documents.jsonl"]
    newer = members["manifest.json"].replace(b'"format_version": 1', b'"format_version": 99')
    assert len({newer, members["manifest.json"]}) == 2
    flipped = bytearray(good.read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    made: list[tuple[str, bytes, type[GroundworkError]]] = [
        ("not a zip", b"nothing of the kind", Invalid),
        ("empty", b"", Invalid),
        ("cut off", good.read_bytes()[:-400], Invalid),
        ("a byte changed", bytes(flipped), Corrupt),
    ]
    files: list[tuple[str, Path, type[GroundworkError]]] = []
    for what, content, error in made:
        (folder / f"{what}.zip").write_bytes(content)
        files.append((what, folder / f"{what}.zip", error))
    rewritten: list[tuple[str, Callable[[str, bytes], bytes | None], type[GroundworkError]]] = [
        ("another zip", lambda name, content: None if name == "manifest.json" else content, Invalid),
        ("from the future", lambda name, content: newer if name == "manifest.json" else content, Conflict),
        ("texts left out", lambda name, content: None if name == "versions.jsonl" else content, Corrupt),
        ("vectors cut", lambda name, content: content[:-8] if name == "vectors.f16" else content, Corrupt),
        ("spans moved", _with_hashes("chunks.jsonl", shifted), Corrupt),
        ("spans beyond the text", _with_hashes("chunks.jsonl", further), Corrupt),
        ("another text", _with_hashes("versions.jsonl", other_text), Corrupt),
        ("lines that are none", _with_hashes("documents.jsonl", rubbish), Corrupt),
        ("a document too few", _with_hashes("documents.jsonl", members["documents.jsonl"].split(b"\n", 1)[1]), Corrupt),
        ("no vectors at all", _with_hashes("vectors.f16", b""), Corrupt),
    ]
    for what, change, error in rewritten:
        files.append((what, _rewritten(good, folder / f"{what}.zip", change), error))
    return files


def test_a_file_that_is_not_whole_changes_nothing(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        await platform.export_collection("home", tmp_path / "home.zip")
        for what, file, error in _damages(tmp_path / "home.zip", tmp_path):
            with pytest.raises(error) as raised:
                await platform.import_collection(file, "copy")
            assert type(raised.value) is error, what
            assert {each["name"] for each in (await platform.catalog.collections())["items"]} == {"home"}, what
        with pytest.raises(NotFound):
            await platform.import_collection(tmp_path / "nowhere.zip")
        with pytest.raises(Invalid):
            await platform.import_collection(tmp_path / "home.zip", "a/b")

    run(work)


def test_an_export_leaves_a_whole_file_or_none(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        target = tmp_path / "out"
        target.mkdir()
        (target / "home.zip").write_bytes(b"precious")
        with pytest.raises(Conflict, match="--force"):
            await platform.export_collection("home", target / "home.zip")

        def interrupted(what: str, done: int, total: int | None) -> None:
            if "chunks" in what:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await platform.export_collection("home", target / "home.zip", True, interrupted)
        assert [(path.name, path.read_bytes()) for path in target.iterdir()] == [("home.zip", b"precious")]

        await platform.export_collection("home", target / "home.zip", True)
        assert zipfile.is_zipfile(target / "home.zip")
        with pytest.raises(NotFound):
            await platform.export_collection("nothing", target / "nothing.zip")
        with pytest.raises(NotFound):
            await platform.export_collection("home", target / "nowhere" / "home.zip")

    run(work)


def test_an_import_cut_off_is_finished_by_the_next(
    run: Run[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundwork.ingest.portable.take._BATCH_DOCUMENTS", 1)

    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        await platform.export_collection("home", tmp_path / "home.zip")

        def cut_off(what: str, done: int, total: int | None) -> None:
            if what == "importing documents" and done == 2:
                raise RuntimeError("the power went")

        with pytest.raises(RuntimeError):
            await platform.import_collection(tmp_path / "home.zip", "copy", cut_off)
        assert len(await _content(platform, "copy")) == 2
        done = await platform.import_collection(tmp_path / "home.zip", "copy")
        assert done["unchanged"] == 2
        assert await _content(platform, "copy") == await _content(platform, "home")

    run(work)


def test_an_empty_collection_travels_too(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await platform.create_collection("bare", "Nothing yet.")
        await platform.export_collection("bare", tmp_path / "bare.zip")
        await platform.delete_collection("bare")
        assert (await platform.import_collection(tmp_path / "bare.zip"))["documents"] == 0
        assert (await platform.catalog.collection("bare"))["description"] == "Nothing yet."

    run(work)


def test_what_is_private_stays_private(run: Run[object], tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await _fill(platform, tmp_path / "library")
        await platform.export_collection("home", tmp_path / "open.zip")
        await platform.set_private("home", True, OPERATOR)
        await platform.export_collection("home", tmp_path / "private.zip")
        found = await platform.search(Request("levels of brightness", collections=["home"]))
        assert found.passages
        assert all(each.chunk.private for each in found.passages)

        async def taken(file: Path, name: str) -> bool:
            await platform.import_collection(file, name)
            return (await platform.catalog.collection(name))["private"]

        assert await taken(tmp_path / "private.zip", "copy")
        assert not await taken(tmp_path / "open.zip", "other")
        assert await taken(tmp_path / "private.zip", "other"), "its passages must not become less private"
        assert await taken(tmp_path / "open.zip", "copy")
        older = _rewritten(tmp_path / "open.zip", tmp_path / "older.zip", _without_privacy)
        assert not await taken(older, "third")

    run(work)


def _without_privacy(name: str, content: bytes) -> bytes:
    if name != "manifest.json":
        return content
    said = json.loads(content)
    del said["collection"]["private"]
    return json.dumps(said).encode()
