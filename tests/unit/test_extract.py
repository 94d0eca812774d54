"""What comes out of a file, and what a person is told when nothing does. Every file here is made by hand."""

from collections.abc import Iterator

import pytest

from groundwork.errors import Invalid, Unavailable
from groundwork.ingest.extract import Extracted, Extractor, extract
from groundwork.settings import IngestSettings
from plugins.documents import archive, docx, opendocument, paragraph, pdf

LIMITS = IngestSettings()


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor(LIMITS, workers=1) as extractor:
        yield extractor


def page(extracted: Extracted, number: int) -> str:
    ends = [*extracted.pages[1:], len(extracted.text)]
    return extracted.text[extracted.pages[number - 1] : ends[number - 1]].strip()


def test_a_pdf_knows_its_title_and_where_its_pages_start(extractor: Extractor) -> None:
    content = pdf("Grüße from page one.", "", "Page three has its words.", title="Annual report")
    extracted = extractor.extract(content, "x.bin")
    assert (extracted.media_type, extracted.title, len(extracted.pages)) == ("application/pdf", "Annual report", 3)
    assert [page(extracted, number) for number in (1, 2, 3)] == [
        "Grüße from page one.",
        "",
        "Page three has its words.",
    ]
    assert not extracted.markdown


def test_lines_that_were_wrapped_are_one_paragraph_again(extractor: Extractor) -> None:
    lines = [
        "The reservoir was built in the years after the great flood and holds",
        "enough water to supply the whole of the valley through a dry summer",
        "with some left.",
        "Chapter Two",
        "It is emptied every tenth year, so that the wall can be looked over",
        "from its foot.",
    ]
    extracted = extractor.extract(pdf("\n".join(lines)), "x.pdf")
    assert extracted.text.split("\n") == [" ".join(lines[:3]), lines[3], " ".join(lines[4:])]


def test_content_decides_what_a_file_is(extractor: Extractor) -> None:
    assert extractor.extract(pdf("A PDF."), "report.docx").media_type == "application/pdf"
    assert extractor.extract(b"<!DOCTYPE html><p>A page.</p>", "report.pdf").text == "A page."
    assert extractor.extract(b"Plain words.", "report.docx").media_type == "text/plain"


def test_a_pdf_cut_off_at_its_end_still_gives_its_text(extractor: Extractor) -> None:
    content = pdf("Nothing is lost of this page.")
    assert extractor.extract(content[: content.index(b"xref")], "x.pdf").text == "Nothing is lost of this page."


@pytest.mark.parametrize("cut", [12, 200, 400])
def test_a_pdf_that_lost_more_than_its_end_is_refused(extractor: Extractor, cut: int) -> None:
    with pytest.raises(Invalid, match="The PDF is damaged or incomplete"):
        extractor.extract(pdf("One.", "Two.")[:cut], "x.pdf")


def test_a_pdf_of_pictures_says_that_it_needs_text_recognition(extractor: Extractor) -> None:
    with pytest.raises(Invalid, match=r"2 pages.*OCR"):
        extractor.extract(pdf("", ""), "scan.pdf")
    without = Extractor(LIMITS.model_copy(update={"ocr_languages": ""}), workers=1)
    with without, pytest.raises(Invalid, match=r"2 pages of the PDF; recognition is off.*OCR_LANGUAGES"):
        without.extract(pdf("", ""), "scan.pdf")


def test_a_docx_keeps_its_headings_and_no_escapes(extractor: Extractor) -> None:
    body = (
        paragraph("Leave policy", "Heading1")
        + paragraph("Ask first! Then (maybe) go.")
        + paragraph("Rules", "Heading2")
    )
    extracted = extractor.extract(docx(body), "leave-policy_2026.docx")
    assert extracted.text == "# Leave policy\n\nAsk first! Then (maybe) go.\n\n## Rules"
    assert (extracted.title, extracted.markdown, extracted.pages) == ("Leave policy", True, ())


def test_a_document_without_title_or_heading_is_named_after_its_file(extractor: Extractor) -> None:
    assert extractor.extract(docx(paragraph("Words.")), "staff_hand-book.docx").title == "Staff hand book"


def test_an_archive_that_inflates_is_refused_before_it_does(extractor: Extractor) -> None:
    with pytest.raises(Invalid, match="unpacks to 38 MiB"):
        extractor.extract(docx(paragraph("a" * 40_000_000)), "bomb.docx")


def test_an_odt_keeps_formatted_words_lists_and_tables(extractor: Extractor) -> None:
    content = opendocument(
        "text",
        '<office:text><text:h text:outline-level="1">Ducks</text:h>'
        "<text:p>Some <text:span>bold</text:span> words<text:s/>here.</text:p>"
        "<text:list><text:list-item><text:p>first</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell>"
        "<text:list><text:list-item><text:p>in a cell</text:p></text:list-item></text:list></table:table-cell>"
        "</table:table-row></table:table></office:text>",
    )
    extracted = extractor.extract(content, "ducks.odt")
    assert extracted.text == "# Ducks\n\nSome bold words here.\n\n- first\n\n| a | in a cell |\n| --- | --- |"
    assert extracted.title == "Ducks"


def test_slides_of_an_odp_are_pages(extractor: Extractor) -> None:
    slide = (
        '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>{}</text:p></draw:text-box>'
        "</draw:frame></draw:page>"
    )
    content = opendocument(
        "presentation", f"<office:presentation>{slide.format('One')}{slide.format('Two')}</office:presentation>"
    )
    extracted = extractor.extract(content, "x.odp")
    assert [page(extracted, 1), page(extracted, 2)] == ["## One", "## Two"]


def test_an_encrypted_odt_says_so(extractor: Extractor) -> None:
    content = opendocument("text", "", **{"META-INF/manifest.xml": "<manifest:encryption-data/>"})
    with pytest.raises(Invalid, match="encrypted: remove its password"):
        extractor.extract(content, "x.odt")


def test_a_web_page_is_its_content_and_not_its_furniture(extractor: Extractor) -> None:
    content = (
        "<html><head><title>Guide – Example</title><style>p{}</style></head><body><nav><a href='/'>Home</a></nav>"
        "<main><h1>Guide</h1><p>Caf\xe9 &amp; <a href='/x'>more</a>, see <a href='https://e.org/a_b'>there</a>.</p>"
        "<table><tr><th>a<th>b<tr><td>1<td>2</table>after <script>var x</script></main><footer>© Example</footer>"
    ).encode("cp1252")
    extracted = extractor.extract(content, "guide.html")
    assert extracted.title == "Guide – Example"
    assert extracted.text.split("\n\n") == [
        "# Guide",
        "Café & more, see [there](https://e.org/a_b).",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
        "after",
    ]


def test_a_page_whose_navigation_is_never_closed_is_not_lost(extractor: Extractor) -> None:
    assert "words" in extractor.extract(b"<html><body><nav>menu<p>All the words.</body></html>", "x.html").text


def test_a_mail_reads_as_its_headers_and_its_words(extractor: Extractor) -> None:
    content = (
        b"From: Ada <ada@example.org>\r\nTo: grace@example.org\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nSee you at the caf\xe9.\r\n"
    )
    extracted = extractor.extract(content, "x.eml")
    assert extracted.title == "Café"
    assert "<ada@example.org>" in extracted.text
    assert "See you at the café." in extracted.text


@pytest.mark.parametrize("name", ["notes.md", "notes.txt", "notes.py", "notes"])
def test_text_files_are_stored_as_they_are(extractor: Extractor, name: str) -> None:
    text = "# Notes\n\n* one \\* [a](b)\n\n\n\tindented  \n"
    extracted = extractor.extract(text.encode(), name)
    assert extracted.text == text
    assert extracted.markdown == (name == "notes.md")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "x.docx", "The file is empty"),
        (b" \r\n\0\n", "x.txt", "The file is empty"),
        (b"PK\x03\x04 and then nothing", "x.xlsx", "damaged or incomplete"),
        (archive({"readme.txt": "words"}), "x.zip", "archive of other files"),
        (archive({"word/styles.xml": "<x/>"}), "x.docx", "The DOCX is damaged or incomplete"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "x.docx", "encrypted"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "x.doc", "save it as DOCX"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "x.png", "PNG image"),
        (b"\x1f\x8b\x08" + bytes(20), "x.gz", "gzip archive"),
        (bytes(range(1, 256)) * 9, "x.txt", "not text"),
        (b"<html><body><nav></nav></body></html>", "x.html", "holds no text"),
        (docx(""), "x.docx", "holds no text"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(extractor: Extractor, content: bytes, name: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        extractor.extract(content, name)


def test_size_and_text_have_limits() -> None:
    with pytest.raises(Invalid, match="GROUNDWORK_INGEST__MAX_FILE_MB"):
        extract(b"a" * (1 << 20) + b"b", "x.txt", LIMITS.model_copy(update={"max_file_mb": 1}))
    small = LIMITS.model_copy(update={"extract_text_mb": 1})
    with pytest.raises(Invalid, match=r"1\.2 million characters"):
        extract(b"word " * 240_000, "x.txt", small)
    with pytest.raises(Invalid, match="million characters"):
        extract(b"<p>" + b"word " * 240_000, "x.html", small)


def test_a_closed_extractor_says_so() -> None:
    extractor = Extractor(LIMITS, workers=1)
    extractor.close()
    extractor.close()
    with pytest.raises(Unavailable):
        extractor.extract(pdf("x"), "x.pdf")
