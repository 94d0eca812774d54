"""The HTTP API as an integrator meets it: a service in a process of its own, on its own embedded PostgreSQL."""

import io
import json
import zipfile
from collections.abc import Generator
from pathlib import Path

import pytest

from plugins.embedded_process import all_gone
from plugins.installation import write
from plugins.service import Service, command, new_key, service

TEXT = (
    "# Heron pump\n\nThe Heron pump moves forty litres a minute. It must be primed before first use.\n\n"
    "## Storage\n\nDrain the pump before winter. Keep it above freezing.\n"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    data_dir = Path("/tmp") / tmp_path_factory.mktemp("http").name / "data"
    data_dir = _passable(data_dir)
    folder = write(tmp_path_factory.mktemp("docs"), {"pump.md": TEXT})
    assert command(data_dir, "ingest", str(folder)).returncode == 0
    with service(data_dir) as serving:
        yield serving
    assert all_gone(data_dir), "the service left PostgreSQL behind"


def _passable(path: Path) -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="groundwork-http-")) / path.name


def test_search_returns_passages_whose_text_is_at_their_span(running: Service) -> None:
    for path in ("/api/v1/search", "/api/search"):
        reply = running.call("POST", path, {"query": "How do I store the pump in winter?"})
        assert reply.status == 200
        best = reply.body["passages"][0]
        assert "Drain the pump before winter." in best["text"]
        span = best["source_span"]
        at = f"/api/v1/documents/{best['document_id']}/text?version={best['version']}"
        stored = running.call("GET", f"{at}&start={span['start']}&end={span['end']}")
        assert stored.body == {"text": best["text"], "version": best["version"]}


def test_an_answer_cites_words_that_stand_there(running: Service) -> None:
    reply = running.call("POST", "/api/v1/ask", {"question": "How many litres a minute does the Heron pump move?"})
    body = reply.body
    assert body["mode"] == "extracted"
    first = body["citations"][0]
    assert first["quote"] == "The Heron pump moves forty litres a minute."
    assert all(each["verified"] for each in body["citations"])
    for each in body["citations"]:
        where, span = each["source_span"], each["answer_span"]
        at = f"/api/v1/documents/{each['document_id']}/text?version={each['version']}"
        stored = running.call("GET", f"{at}&start={where['start']}&end={where['end']}").body["text"]
        assert stored == each["quote"]
        assert body["answer"][span["start"] : span["end"]].strip()
        assert body["answer"][span["end"] :].startswith(f" [{each['index']}]")
    assert set(body["timings_ms"]) == {"embed", "dense", "lexical", "fuse", "hydrate", "rerank", "generate"}


def test_a_question_the_documents_do_not_answer_gets_no_answer(running: Service) -> None:
    body = running.call("POST", "/api/v1/ask", {"question": "Who composed the opera Aida?"}).body
    assert (body["mode"], body["citations"]) == ("none", [])
    assert "do not" in body["answer"]


def test_a_streamed_answer_tells_the_same_as_a_whole_one(running: Service) -> None:
    question = "How many litres a minute does the Heron pump move?"
    whole = running.call("POST", "/api/v1/ask", {"question": question}).body
    reply = running.call("POST", "/api/v1/ask", {"question": question, "stream": True})
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    events = [_event(block) for block in reply.content.decode().strip().split("\n\n") if not block.startswith(":")]
    names = [name for name, _ in events]
    assert names[0] == "passages"
    assert names[-1] == "done"
    assert "".join(data["text"] for name, data in events if name == "delta") == whole["answer"]
    assert [data for name, data in events if name == "citation"] == whole["citations"]
    done = events[-1][1]
    assert {**done, "timings_ms": None} == {**whole, "timings_ms": None}


def _event(block: str) -> tuple[str, dict[str, object]]:
    name, data = block.split("\n", 1)
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_an_upload_is_accepted_at_once_and_searchable_soon(running: Service) -> None:
    reply = running.upload("valve.md", b"# Valve\n\nThe brass valve opens anticlockwise.\n", "plumbing")
    assert reply.status == 202
    assert reply.body["status"] == "pending"
    document = running.document_when_done(reply.body["id"])
    assert set(document) >= {
        "id", "uri", "title", "collection", "media_type", "status", "version", "pages", "chunks", "error",
    }  # fmt: skip
    assert (document["status"], document["title"], document["chunks"]) == ("ready", "Valve", 1)
    found = running.call("POST", "/api/v1/search", {"query": "brass valve", "collections": ["plumbing"]}).body
    assert found["passages"][0]["document_id"] == document["id"]

    replaced = running.upload("valve.md", b"# Valve\n\nThe brass valve was replaced by steel.\n", "plumbing").body
    assert replaced["id"] == document["id"]
    assert running.document_when_done(document["id"])["version"] != document["version"]

    assert running.call("DELETE", f"/api/v1/documents/{document['id']}").status == 200
    assert running.call("GET", f"/api/v1/documents/{document['id']}").status == 404
    left = running.call("POST", "/api/v1/search", {"query": "brass valve", "collections": ["plumbing"]}).body
    assert left["passages"] == []


def test_a_broken_upload_fails_with_a_reason(running: Service) -> None:
    reply = running.upload("scan.pdf", b"%PDF-1.4 and then nothing of the kind")
    document = running.document_when_done(reply.body["id"])
    assert document["status"] == "failed"
    assert document["error"]


def test_lists_are_paged_to_their_end_without_repeats(running: Service) -> None:
    for number in range(5):
        reply = running.upload(f"page-{number}.txt", f"Page {number} of the paging test.".encode(), "paged")
        running.document_when_done(reply.body["id"])
    seen: list[str] = []
    path = "/api/v1/documents?collection=paged&limit=2"
    cursor = ""
    while True:
        page = running.call("GET", path + cursor).body
        seen += [item["uri"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"upload:page-{number}.txt" for number in range(5)]


def test_collections_can_be_made_listed_and_removed(running: Service) -> None:
    made = running.call("POST", "/api/v1/collections", {"name": "short-lived", "description": "for a test"})
    assert (made.status, made.body["documents"]) == (201, 0)
    assert running.call("POST", "/api/v1/collections", {"name": "short-lived"}).status == 409
    names = [each["name"] for each in running.call("GET", "/api/v1/collections").body["items"]]
    assert {"default", "short-lived"} <= set(names)
    assert running.call("DELETE", "/api/v1/collections/short-lived").status == 200
    assert running.call("GET", "/api/v1/collections/short-lived").status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/search", {}, 422),
        ("POST", "/api/v1/search", {"query": "   "}, 422),
        ("POST", "/api/v1/search", {"query": "x" * 9000}, 422),
        ("POST", "/api/v1/search", {"query": "x", "limit": 0}, 422),
        ("POST", "/api/v1/search", {"query": "x", "surprise": 1}, 422),
        ("POST", "/api/v1/search", {"query": "x", "collections": ["nowhere"]}, 404),
        ("POST", "/api/v1/ask", {"question": "x", "collections": ["nowhere"], "stream": True}, 404),
        ("GET", "/api/v1/documents/not-an-id", None, 422),
        ("GET", "/api/v1/documents/01990000-0000-7000-8000-000000000000", None, 404),
        ("GET", "/api/v1/documents?limit=0", None, 422),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/api/v1/search", {"query": "x"}, 405),
    ],
)
def test_what_is_wrong_is_said_as_a_problem_document(
    running: Service, method: str, path: str, body: object, status: int
) -> None:
    reply = running.call(method, path, body)
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.body["status"] == status
    assert reply.body["detail"]


def test_a_question_with_any_characters_is_answered(running: Service) -> None:
    for question in (
        "\u0000pump",
        "🙂🙂",
        "a AND (b OR",
        "'; DROP TABLE documents; --",
        "..",
        "ﷺ",
        "x " * 3000,
        "\ud83d pump",
    ):
        reply = running.call("POST", "/api/v1/ask", {"question": question})
        assert reply.status in {200, 422}, question


def test_probes_and_documentation(running: Service) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert running.call("GET", path).body["status"] == "ok"
    assert running.call("GET", "/docs").status == 200
    described = running.call("GET", "/openapi.json").body["paths"]
    assert {"/api/v1/search", "/api/v1/ask", "/api/v1/documents", "/api/v1/collections", "/health/ready"} <= set(
        described
    )


def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    data_dir = _passable(tmp_path / "data")
    with service(data_dir, HTTP__MAX_UPLOAD_MB="1") as small:
        reply = small.upload("large.txt", b"x" * (3 << 20))
        assert reply.status == 413
        assert "MAX_UPLOAD_MB" in reply.body["detail"]
        held = small.call("POST", "/api/v1/search", {"query": "x" * (3 << 20)})
        assert held.status == 413
        assert "2 MiB" in held.body["detail"]
        assert small.call("GET", "/health/ready").status == 200


def test_a_port_in_use_is_said_at_once(running: Service, tmp_path: Path) -> None:
    port = running.url.rpartition(":")[2]
    refused = command(_passable(tmp_path / "data"), "serve", "--port", port)
    assert refused.returncode == 8
    assert f"port {port} (Address already in use)" in refused.stderr


def test_a_start_that_fails_says_why_without_a_trace(tmp_path: Path) -> None:
    nowhere = "postgresql://127.0.0.1:1/none"
    failed = command(_passable(tmp_path / "data"), "serve", "--port", "0", DATABASE_URL=nowhere)
    assert failed.returncode == 8
    assert "Error: The database does not answer" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_documents_are_labelled_found_by_label_and_removed_with_proof(running: Service) -> None:
    document = running.document_when_done(
        running.upload("hinge.md", b"# Hinge\n\nThe hinge is oiled.\n", "doors").body["id"]
    )
    at = f"/api/v1/documents/{document['id']}"
    labelled = running.call("PATCH", at, {"add_tags": ["iron"], "metadata": {"owner": "workshop"}})
    assert (labelled.status, labelled.body["tags"], labelled.body["metadata"]) == (200, ["iron"], {"owner": "workshop"})
    assert [each["id"] for each in running.call("GET", "/api/v1/documents?tag=iron").body["items"]] == [document["id"]]
    today = document["live_since"][:10]
    question = {"query": "hinge", "collections": ["doors"], "tags": ["iron"], "since": today, "until": today}
    assert len(running.call("POST", "/api/v1/search", question).body["passages"]) == 1
    assert running.call("POST", "/api/v1/search", {**question, "tags": ["wood"]}).body["passages"] == []
    assert running.call("POST", "/api/v1/search", {**question, "since": "soon"}).status == 422

    kept = running.call("GET", f"{at}/versions").body["items"]
    assert [(each["version"], each["live"]) for each in kept] == [(document["version"], True)]
    removed = running.call("DELETE", at).body
    assert set(removed["proof"].values()) == {0}
    assert running.call("GET", f"{at}/versions").status == 404


def test_a_collection_is_exported_as_a_whole_file(running: Service) -> None:
    running.document_when_done(running.upload("latch.md", b"# Latch\n\nThe latch is brass.\n", "gates").body["id"])
    reply = running.call("GET", "/api/v1/collections/gates/export")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert json.loads(archive.read("manifest.json"))["counts"]["documents"] == 1
    assert running.call("GET", "/api/v1/collections/nothing/export").status == 404


def test_what_belongs_to_a_hidden_collection_is_not_there_over_http(tmp_path: Path) -> None:
    data_dir = _passable(tmp_path / "data")
    folder = write(tmp_path / "secret", {"plan.md": "# Plan\n\nThe secret plan."})
    assert command(data_dir, "sources", "add", "plans", str(folder), "--collection", "hidden").returncode == 0
    assert command(data_dir, "sources", "sync", "plans").returncode == 0
    assert command(data_dir, "collections", "access", "hidden", "--nobody", "--everyone").returncode == 2
    assert command(data_dir, "collections", "access", "hidden", "--nobody").returncode == 0
    with service(data_dir) as whole:
        assert len(whole.call("GET", "/api/v1/sources").body["items"]) == 1, "an admin sees it"
        serving = whole.knowing(new_key(data_dir, "search", "ask", "ingest"))
        assert serving.call("GET", "/api/v1/sources").body["items"] == []
        assert serving.call("GET", "/api/v1/jobs").body["items"] == []
        for method, path in (("GET", ""), ("GET", "/plan"), ("POST", "/sync")):
            assert serving.call(method, f"/api/v1/sources/plans{path}").status == 404
        more = {"name": "more", "location": str(folder), "collection": "hidden"}
        for method, path, body in (
            ("DELETE", "/api/v1/sources/plans", None),
            ("POST", "/api/v1/sources", more),
            ("POST", "/ingest", None),
        ):
            assert serving.call(method, path, body).status == 403
        refused = serving.upload("more.md", b"# More", "hidden")
        assert refused.status == 404
        assert serving.call("POST", "/api/v1/search", {"query": "secret plan"}).body["passages"] == []
    kept = command(data_dir, "search", "secret plan", "--json")
    assert "The secret plan." in kept.stdout
