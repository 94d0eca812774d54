"""Citations on real documents: each resolves, compares equal, and names the right page."""

import hashlib
import json
from pathlib import Path

import pytest

from groundwork.assembly import Platform, Request
from groundwork.settings import EmbedderSettings, Settings
from plugins.installation import ingest, on_platform

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the document sets are not beside the project"),
]


@pytest.fixture
def real(settings: Settings) -> Settings:
    return settings.model_copy(update={"embedder": EmbedderSettings(kind="openvino")})


def _questions(count: int) -> list[str]:
    lines = (DATA / "spans" / "questions.jsonl").read_text().splitlines()
    return [json.loads(line)["question"] for line in lines][:count]


def test_every_citation_of_two_hundred_questions_resolves_and_compares_equal(real: Settings) -> None:
    async def work(platform: Platform) -> tuple[int, int]:
        for folder in ("spans/corpora", "files/pdf", "files/md", "files/html", "files/docx"):
            await ingest(platform, DATA / folder)
        texts: dict[tuple[str, str], str] = {}
        answered = cited = 0
        for question in _questions(200):
            body = await platform.ask(Request(question))
            answered += body["mode"] == "extracted"
            for citation in body["citations"]:
                cited += 1
                key = (citation["document_id"], citation["version"])
                if key not in texts:
                    texts[key] = (await platform.catalog.text(*key))["text"]
                    assert "sha256:" + hashlib.sha256(texts[key].encode()).hexdigest() == citation["version"]
                span = citation["source_span"]
                assert texts[key][span["start"] : span["end"]] == citation["quote"]
                assert citation["verified"] is True
        return answered, cited

    answered, cited = on_platform(real, work)
    assert answered >= 190
    assert cited >= answered


@pytest.mark.parametrize(
    ("question", "document", "page"),
    [
        ("What are the two main components of the optimized table structure language?", "2305.03393v1-pg9.pdf", 1),
        ("Who benefits from row permissions and column masks in DB2 for i?", "redp5110_sampled.pdf", None),
    ],
)
def test_a_citation_from_a_pdf_names_a_page_that_holds_the_words(
    real: Settings, question: str, document: str, page: int | None
) -> None:
    async def work(platform: Platform) -> None:
        await ingest(platform, DATA / "files" / "pdf" / document)
        body = await platform.ask(Request(question))
        assert body["citations"]
        for citation in body["citations"]:
            assert page is None or citation["page"] == page
            whole = await platform.catalog.text(citation["document_id"], citation["version"])
            pages = (await platform.catalog.document(citation["document_id"]))["pages"]
            assert 1 <= citation["page"] <= pages
            assert citation["quote"] in whole["text"]

    on_platform(real, work)


def test_broken_files_fail_with_reasons_and_the_rest_goes_on(real: Settings) -> None:
    async def work(platform: Platform) -> None:
        report = await ingest(platform, DATA / "broken")
        assert report["failed"] >= 8
        assert report["added"] + report["failed"] == report["found"]
        for failed in report["failures"]:
            assert len(failed["error"]) > 15
            assert "Traceback" not in failed["error"]
        listed = (await platform.catalog.documents(status="failed"))["items"]
        assert len(listed) == report["failed"]
        assert all(each["error"] for each in listed)

    on_platform(real, work)
