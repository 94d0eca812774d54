"""The language a document is recorded with."""

import pytest

from groundwork.ingest.language import language_of


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The quick brown fox jumps over the lazy dog while the farmer watches from the porch of his house."),
        ("de", "Der Widerstand des Flügels nimmt mit dem Quadrat der Geschwindigkeit zu, wie Messungen gezeigt haben."),
        ("zh", "黑豹队的防守只丢了308分，在联赛中排名第六。"),
        ("ar", "تخلى دفاع البانثرز عن ثلاثمائة نقطة فقط وجاء في المرتبة السادسة."),
        ("ru", "Сопротивление крыла растёт с квадратом скорости, как показали измерения."),
    ],
)
def test_prose_is_told_apart(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "  \n", "12 34 56", "\ud800 \0"])
def test_what_is_no_prose_has_no_language(text: str) -> None:
    assert language_of(text) is None
