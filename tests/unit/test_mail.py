"""A mail reads as its headers, its words, and what is attached to it, each file by its own format."""

from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from groundwork.errors import Invalid
from groundwork.ingest.extract import Extracted, Extractor
from groundwork.settings import IngestSettings
from plugins.documents import docx, paragraph, pdf


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor(IngestSettings(ocr_languages=""), workers=1) as extractor:
        yield extractor


def mail(subject: str = "Budget", body: str = "See below.") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ada Lovelace <ada@example.org>"
    message["To"] = "grace@example.org"
    message["Date"] = "Mon, 02 Nov 2026 09:30:00 +0000"
    message["Subject"] = subject
    message.set_content(body)
    return message


def attach(message: EmailMessage, name: str, content: bytes, kind: str = "application/octet-stream") -> None:
    main, _, sub = kind.partition("/")
    message.add_attachment(content, maintype=main, subtype=sub, filename=name)


def read(extractor: Extractor, message: EmailMessage) -> Extracted:
    return extractor.extract(message.as_bytes(), "x.eml")


def test_headers_come_first_then_the_words(extractor: Extractor) -> None:
    extracted = read(extractor, mail("Bücher für 2027", "Grüße aus Köln."))
    assert extracted.text == (
        "From: Ada Lovelace <ada@example.org>\nTo: grace@example.org\nDate: Mon, 02 Nov 2026 09:30:00 +0000\n"
        "Subject: Bücher für 2027\n\nGrüße aus Köln."
    )
    assert (extracted.title, extracted.media_type) == ("Bücher für 2027", "message/rfc822")


def test_attachments_are_read_by_their_own_formats_under_their_names(extractor: Extractor) -> None:
    message = mail()
    attach(message, "plan.pdf", pdf("The plan is simple."))
    attach(message, "notes.docx", docx(paragraph("Notes", "Heading1") + paragraph("Call the bank.")))
    attach(message, "figures.csv", b"item,price\nchair,40\n", "text/csv")
    attach(message, "tool.py", b"# a comment\nprint(1)\n")
    extracted = read(extractor, message)
    assert extracted.markdown
    assert extracted.text.split("\n\n")[2:] == [
        "# Attachment: plan.pdf",
        "The plan is simple.",
        "# Attachment: notes.docx",
        "## Notes",
        "Call the bank.",
        "# Attachment: figures.csv",
        "item: chair; price: 40",
        "# Attachment: tool.py",
        "```\n# a comment\nprint(1)\n```",
    ]


def test_a_broken_attachment_is_named_with_its_reason_and_costs_nothing_else(extractor: Extractor) -> None:
    message = mail()
    attach(message, "broken.pdf", b"%PDF-1.7 and then nothing")
    attach(message, "empty.txt", b"")
    attach(message, "archive.zip", b"PK\x03\x04 no archive either")
    attach(message, "scan.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "image/png")
    attach(message, "fine.txt", b"Fine words.")
    text = read(extractor, message).text
    for name, reason in [
        ("broken.pdf", "The PDF is damaged or incomplete"),
        ("empty.txt", "It is empty"),
        ("archive.zip", "The file is damaged"),
        ("scan.png", "The file is a PNG image; recognition is off"),
    ]:
        assert f"# Attachment: {name}\n\n(This attachment was not read. {reason}" in text
    assert text.endswith("# Attachment: fine.txt\n\nFine words.")


def test_mails_in_mails_are_read_three_deep(extractor: Extractor) -> None:
    message = mail("Level 5", "Words of level 5.")
    for level in (4, 3, 2, 1):
        outer = mail(f"Level {level}", f"Words of level {level}.")
        outer.add_attachment(message)
        message = outer
    text = read(extractor, message).text
    assert "### Attachment: Level 4.eml" in text
    assert "Words of level 4." in text
    assert "Words of level 5." not in text
    assert "#### Attachment: Level 5.eml\n\n(This attachment was not read. It lies more than 3 files deep.)" in text


def test_more_attachments_than_a_mail_has_are_named_only(extractor: Extractor) -> None:
    message = mail()
    for number in range(103):
        attach(message, f"{number}.txt", b"Words of a file.")
    text = read(extractor, message).text
    assert text.count("Words of a file.") == 100
    assert text.count("There are more than 100 files inside.") == 3


def test_of_alternatives_the_plain_one_is_read_and_a_web_page_where_there_is_no_other(extractor: Extractor) -> None:
    both = mail(body="The plain words.")
    both.add_alternative("<p>The page's words.</p>", subtype="html")
    assert "The page's words." not in read(extractor, both).text
    page = mail(body=" ")
    page.add_alternative("<h1>Offer</h1><p>Only <b>today</b>.</p><table><tr><td>1</table>", subtype="html")
    assert "# Offer\n\nOnly **today**." in read(extractor, page).text


def test_old_mail_without_a_word_about_its_encoding_is_read(extractor: Extractor) -> None:
    content = b"From: a@example.org\nSubject: Na\xefve\n\nD\xe9j\xe0 vu.\n"
    extracted = extractor.extract(content, "x.eml")
    assert extracted.text == "From: a@example.org\nSubject: Naïve\n\nDéjà vu."
    wrong = b'From: a@example.org\nSubject: x\nContent-Type: text/plain; charset="no-such"\n\nD\xe9j\xe0 vu.\n'
    assert "Déjà vu." in extractor.extract(wrong, "x.eml").text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"just words, no mail", "has no headers"),
        (b"From: a@example.org\nSubject: x\n\n", None),
        (b'From: a@example.org\nContent-Type: multipart/encrypted; boundary="b"\n\n--b--\n', "encrypted"),
        (b'From: a@example.org\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: multi', None),
        (b'From: \xff<<>,;"\nTo: =?x?q?=\nDate: never\nSubject: y\n\nwords', None),
    ],
)
def test_odd_mails_are_read_or_say_why(extractor: Extractor, content: bytes, reason: str | None) -> None:
    if reason is None:
        assert extractor.extract(content, "x.eml").text
    else:
        with pytest.raises(Invalid, match=reason):
            extractor.extract(content, "x.eml")
