"""Text files come out as they were written, whatever their encoding says or does not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.errors import Invalid
from groundwork.ingest.decode import clean, decode
from groundwork.ingest.detect import detect
from groundwork.ingest.tables import csv_text

TEXT = "Déjà vu – „Grüße“ für 5 €, naïve café"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_text_reads_the_same_in_every_encoding(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)) == TEXT


def test_a_page_may_declare_its_encoding() -> None:
    page = '<html><head><meta charset="shift_jis"></head><body>日本語の文書</body></html>'
    assert decode(page.encode("shift_jis"), declared=True) == page


def test_a_page_that_declares_latin1_or_nonsense_is_read_as_browsers_do() -> None:
    for name in ("iso-8859-1", "no-such-encoding", "utf-8"):
        page = f'<meta http-equiv="Content-Type" content="text/html; charset={name}">{TEXT}'
        assert decode(page.encode("cp1252"), declared=True) == page


LETTERS = {
    "Вчера вечером мы говорили о том, как перевезти старую библиотеку.": ["cp1251", "koi8-r", "cp866", "iso8859-5"],
    "昨天晚上我们讨论了怎样把旧图书馆搬到新大楼里去。所有的书必须在月底之前装箱。": ["gb18030"],
    "昨天晚上我們討論了怎樣把舊圖書館搬到新大樓裡去。所有的書必須在月底之前裝箱。": ["big5"],
    "昨日の夜、私たちは古い図書館を新しい建物に移す方法について話し合いました。": ["shift_jis", "euc_jp", "iso2022_jp"],
    "어젯밤 우리는 오래된 도서관을 새 건물로 옮기는 방법에 대해 이야기했습니다.": ["cp949"],
    "Χθες το βράδυ μιλήσαμε πολύ για το πώς θα μεταφέρουμε την παλιά βιβλιοθήκη.": ["cp1253"],
    "אתמול בערב דיברנו הרבה על איך להעביר את הספרייה הישנה לבניין החדש.": ["cp1255"],
    "تحدثنا مساء أمس طويلا عن كيفية نقل المكتبة القديمة إلى المبنى الجديد.": ["cp1256"],
    "Wczoraj wieczorem długo rozmawialiśmy o tym, jak przenieść starą bibliotekę do nowego budynku, żeby zdążyć.": [
        "cp1250",
        "iso8859-2",
    ],
    "Včera večer jsme dlouho mluvili o tom, jak přestěhovat starou knihovnu do nové budovy, než začnou.": [
        "cp1250",
        "iso8859-2",
    ],
    "Dün akşam eski kütüphaneyi yeni binaya nasıl taşıyacağımızı uzun uzun konuştuk, yoksa işçiler gecikir.": [
        "cp1254"
    ],
    "Hier soir, nous avons discuté de la façon de déménager la vieille bibliothèque ; c’était à côté, déjà.": [
        "cp1252"
    ],
    "El niño está aquí, mañana será otro día; ¿qué más?": ["cp1252"],
    "© 2020 Foo": ["cp1252"],
}
"""A sentence about moving a library, as programs of the last century wrote it to disk, nothing said about how."""


@pytest.mark.parametrize(
    ("text", "encoding"), [(text, encoding) for text, encodings in LETTERS.items() for encoding in encodings]
)
def test_letters_of_old_encodings_come_out_right(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text
    page = f"<html><body><p class='text'>{text}</p></body></html>"
    assert decode(page.encode(encoding), declared=True) == page


def test_one_bad_byte_spoils_nothing_else() -> None:
    assert decode("Über ".encode() + b"caf\xe9" + " größer".encode()) == "Über café größer"


def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(Invalid, match="not text"):
        decode(bytes(range(256)) * 8)


@given(st.binary())
def test_no_bytes_make_a_text_that_postgresql_refuses(content: bytes) -> None:
    try:
        text = decode(content)
    except Invalid:
        return
    assert "\0" not in text
    text.encode("utf-8")


@given(st.text(st.characters(codec=None)))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    once.encode("utf-8")


def test_lines_end_in_a_line_feed_alone() -> None:
    assert decode(b"one\r\ntwo\r\n") == "one\ntwo\n"


def test_each_row_of_a_table_says_what_its_values_are() -> None:
    text = 'Name;Role;Office\n"Ada, L.";Engineer;London\nGrace;Admiral;\n'
    assert csv_text(text) == "Name: Ada, L.; Role: Engineer; Office: London\nName: Grace; Role: Admiral"


def test_a_table_of_numbers_alone_keeps_every_row() -> None:
    assert csv_text("1,2\n3,4\n") == "1 | 2\n3 | 4"


def test_a_title_over_a_table_is_not_its_header() -> None:
    assert (
        csv_text("Ducks per year,,\nYear,Lake,Sea\n2019,120,80\n") == "Ducks per year\nYear: 2019; Lake: 120; Sea: 80"
    )


@pytest.mark.timeout(20)
def test_a_page_of_comments_is_told_at_once() -> None:
    assert detect(b"<!---->" * 250 + b"x", "x") == "text/plain"
    assert detect(b"<!-- a --> <!-- b --><html>", "x") == "text/html"


def test_rows_may_end_in_a_carriage_return_alone() -> None:
    assert csv_text("a,b\r1,2\r") == "a: 1; b: 2"
