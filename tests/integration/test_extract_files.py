"""Real files, and files broken on purpose: what is read of each, where, and what a person is told about the rest."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundwork.embedders.packaged import tokenizer_file
from groundwork.errors import Invalid
from groundwork.ingest.extract import Extracted, Extractor
from groundwork.ingest.split import Splitter
from groundwork.settings import IngestSettings

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
FILES, BROKEN = DATA / "files", DATA / "broken"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FILES.is_dir(), reason="the document sets are not beside the project"),
]

HAS_TESSERACT = shutil.which("tesseract") is not None
SCANS = {
    "files/html/example_image_01.png": "",
    "files/ocr/nemotron_multipage.pdf": "Docling bundles PDF document conversion to JSON and Markdown",
    "files/ocr/ocr_test.pdf": "in an easy self contained package",
    "files/ocr/ocr_test_rotated_180.pdf": "Docling bundles PDF document conversion to JSON and Markdown",
    "files/ocr/ocr_test_rotated_270.pdf": "Docling bundles PDF document conversion to JSON and Markdown",
    "files/ocr/ocr_test_rotated_90.pdf": "Docling bundles PDF document conversion to JSON and Markdown",
    "files/ocr/qr_bill_example.jpg": "We are billing you as follows for completion of the assigned activities",
    "files/ocr/sample_with_rotation_mismatch.pdf": "Permit me to introduce you to the facility of facsimile",
}
"""Files that are pictures only, and words to be recognised in each; none in a picture without any."""
DAMAGED_PDF = "The PDF is damaged or incomplete: export or download it again"
DAMAGED = "The file is damaged or incomplete: export or download it again"
FAILING = {
    "files/pdf_password/2206.01062_pg3.pdf": "The PDF is encrypted: remove its password and add it again",
    "broken/bitrot.pdf": DAMAGED_PDF,
    "broken/header_only.pdf": DAMAGED_PDF,
    "broken/inflates_30MB.docx": "The DOCX unpacks to 28 MiB, 999 times its size",
    "broken/missing_document_xml.docx": "The DOCX is damaged or incomplete",
    "broken/truncated.docx": DAMAGED,
    "broken/truncated.xlsx": DAMAGED,
    "broken/truncated_half.pdf": DAMAGED_PDF,
    "broken/zero_byte.docx": "The file is empty",
    "broken/zero_byte.pdf": "The file is empty",
}

PHRASES = {
    "pdf/multi_page.pdf": (
        5,
        {
            "IBM MT/ST (Magnetic Tape/Selectric Typewriter): Introduced in 1964, this machine combined": 1,
            "OpenOffice and LibreOffice": 2,
            "redlining (early version tracking)": 3,
            "Accessibility: Writers no longer needed": 4,
            "from clunky typewriters to": 5,
        },
    ),
    "pdf/redp5110_sampled.pdf": (
        18,
        {
            "Hernando Bedoya Rob Bestgen": None,
            "Expert help to achieve your business requirements": 3,
            "Hernando Bedoya is a Senior IT Specialist at STG Lab": 4,
            "the average cost of a data breach increased in 2013 by 15% globally": 5,
            "storing information by who, what, when, where, and how": 6,
            "CHGFCNUSG FCNID(QIBM_DB_SECADM) USER(HBEDOYA) USAGE(*ALLOWED)": 8,
            "Identifies the table on which the row permission is created": 10,
            "Port used by the current client to communicate with the server": 12,
            "Figure 4-68 Visual Explain with RCAC enabled": 15,
            "access to data in a comprehensive and transparent way": 18,
        },
    ),
    "pdf/bookmark_sample.pdf": (3, {"PART I - DEFINITIONS": 1, "PART II - OBLIGATIONS": 2, "4. Termination": 3}),
    "pdf/code_and_formula.pdf": (2, {"JavaScript Code Example": 1, "2 + 8 = 12": 2}),
    "pdf/normal_4pages.pdf": (4, {"1 들어가며": 1, "2 코로나-19 관련 보험 현황": 2, "07233 서울시 영등포구": 4}),
    "odf/odf_presentation_01.odp": (3, {"Test Table Slide": 1, "A rectangle shape with this text inside": 2}),
    "pptx/powerpoint_unrecognized_shape.pptx": (
        3,
        {"Q3 Revenue Summary": 1, "Net retention rate: 112%": 2, "Hire 3 additional SEs": 3},
    ),
    "pptx/powerpoint_sample.pptx": (3, {"With footnote": 1, "Second slide title": 2, "List item4": 3}),
}
"""Pages in all, and the page each phrase stands on, looked up with poppler's pdftotext; None: not on any, as joined."""


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor(IngestSettings(), workers=1) as extractor:
        yield extractor


def extract(extractor: Extractor, name: str) -> Extracted:
    path = DATA / name
    return extractor.extract(path.read_bytes(), path.name)


def all_files() -> list[str]:
    found = [*FILES.rglob("*"), *BROKEN.rglob("*")]
    return sorted(str(path.relative_to(DATA)) for path in found if path.is_file() and "reference" not in path.parts)


@pytest.mark.parametrize("name", [name for name in all_files() if name not in SCANS])
def test_every_file_is_read_or_says_what_to_do(extractor: Extractor, name: str) -> None:
    if name in FAILING:
        with pytest.raises(Invalid, match=FAILING[name]):
            extract(extractor, name)
        return
    extracted = extract(extractor, name)
    assert extracted.text.strip()
    assert extracted.title.strip()
    assert not re.search("[\0\ufffd]|\r\n", extracted.text)
    assert list(extracted.pages) == sorted(extracted.pages)
    chunks = Splitter(tokenizer_file(), 200).split(extracted.text, extracted.markdown, extracted.pages)
    assert all(extracted.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join(extracted.text.split())


@pytest.mark.parametrize("name", SCANS)
def test_a_scan_that_nothing_recognises_says_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        Extractor(IngestSettings(), workers=1) as alone,
        pytest.raises(Invalid, match=r"Tesseract.*not installed: install it .*apt-get install tesseract-ocr"),
    ):
        extract(alone, name)


@pytest.mark.skipif(not HAS_TESSERACT, reason="Tesseract is not installed")
@pytest.mark.parametrize("name", SCANS)
def test_scans_are_read_however_they_lie(extractor: Extractor, name: str) -> None:
    if not SCANS[name]:
        with pytest.raises(Invalid, match="No text was recognised in the PNG image"):
            extract(extractor, name)
        return
    assert SCANS[name] in " ".join(extract(extractor, name).text.split())


@pytest.mark.skipif(not HAS_TESSERACT, reason="Tesseract is not installed")
def test_pages_of_a_scan_are_known(extractor: Extractor) -> None:
    extracted = extract(extractor, "files/ocr/nemotron_multipage.pdf")
    assert len(extracted.pages) == 4
    assert all(extracted.text[at:].startswith("Docling bundles") for at in extracted.pages)


@pytest.mark.parametrize("name", PHRASES)
def test_phrases_stand_on_their_pages(extractor: Extractor, name: str) -> None:
    pages, phrases = PHRASES[name]
    extracted = extract(extractor, f"files/{name}")
    assert len(extracted.pages) == pages
    ends = [*extracted.pages[1:], len(extracted.text)]
    texts = [extracted.text[start:end] for start, end in zip(extracted.pages, ends, strict=True)]
    for phrase, page in phrases.items():
        found = [number for number, text in enumerate(texts, start=1) if phrase in text]
        assert found == ([] if page is None else [page]), phrase


def test_chunks_of_a_pdf_name_the_page_a_reader_opens(extractor: Extractor) -> None:
    extracted = extract(extractor, "files/pdf/multi_page.pdf")
    chunks = Splitter(tokenizer_file(), 200).split(extracted.text, extracted.markdown, extracted.pages)
    assert {chunk.page for chunk in chunks} == {1, 2, 3, 4, 5}
    (chunk,) = [chunk for chunk in chunks if "redlining" in chunk.text]
    assert chunk.page == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("broken/garbage_prefix.pdf", "The concept of the word processor predates modern computers"),
        ("broken/truncated_noxref.pdf", "The concept of the word processor predates modern computers"),
        ("broken/pdf_named.docx", "The concept of the word processor predates modern computers"),
        ("broken/html_named.pdf", "I am HTML, not PDF. Token: ZX-4411."),
        ("broken/latin1_no_decl.html", "Déjà vu – café à 5 €"),
        ("broken/illformed_document_xml.docx", "This is my second thought."),
        ("broken/invalid_utf8.md", "ÿþú bad bytes\n\nLast line END-OK"),
        ("broken/nul_bytes.txt", "alpha beta gamma\nalpha"),
        ("broken/unclosed_tags.html", "deep"),
        ("files/xlsx/xlsx_02_sample_sales_data.xlsm", "Product: Widget C; Date: 2024-01-07 00:00:00; Quantity: 12"),
        ("files/csv/csv-semicolon.csv", "First Name: Sheryl; Last Name: Baxter; Company: Rasmussen Group"),
        ("files/odf/text_document_03.odt", "After table with bold, underline, strikethrough, and italic formatting"),
        ("files/docx/word_sample.docx", "| Leaves | Ash, Elm, Maple | 50 |"),
        ("files/docx/list_after_num_headers.docx", "Chính sách bảo hành"),
        ("files/pptx/powerpoint_malformed_pictures.pptx", "Slide With Missing BlipFill"),
        ("files/pdf/right_to_left_03.pdf", "شرکت بورس کاالی ايران"),
        ("files/pdf/2305.03393v1-pg9.pdf", "Effects of reducing the # of layers in encoder and decoder stages"),
        ("files/epub/epub_purvis_poetry.epub", "The cold storms of winter shall chill him no more,"),
    ],
)
def test_words_come_out_as_they_are_read(extractor: Extractor, name: str, expected: str) -> None:
    assert expected in extract(extractor, name).text


def test_a_saved_web_page_is_its_article(extractor: Extractor) -> None:
    extracted = extract(extractor, "files/html/wiki_duck.html")
    assert extracted.title == "Duck - Wikipedia"
    assert extracted.text.startswith("# Duck\n")
    assert "Ducks are generally smaller and shorter-necked than swans and geese" in extracted.text
    assert "## Etymology" in extracted.text
    for furniture in ("Privacy policy", "Jump to content", "Create account", "meta-generator", "](/wiki/"):
        assert furniture not in extracted.text


def test_titles_come_from_metadata_then_headings_then_names(extractor: Extractor) -> None:
    assert extract(extractor, "files/pdf/amt_handbook_sample.pdf").title == "AMT General Handbook"
    assert extract(extractor, "files/docx/word_sample.docx").title == "Swimming in the lake"
    assert extract(extractor, "files/pdf/multi_page.pdf").title == "Multi page"
    assert extract(extractor, "files/email/msg_simple.msg").title == "Simple Email"
    assert extract(extractor, "files/xlsx/xlsx_01.xlsx").title == "Xlsx 01"
