"""Words: a question meets a text in its own language, whatever else the index holds."""

import pytest

from groundwork.lexical.words import PLAIN, analysis_of, question_terms, text_terms


def meets(question: str, text: str, language: str | None, others: tuple[str, ...] = ()) -> set[str]:
    """The words of the text that the question finds."""
    analysis = analysis_of(language)
    wanted = question_terms(question, {analysis, *others})
    return {term for variants in wanted.words for term in variants} & set(text_terms(text, analysis).words)


@pytest.mark.parametrize(
    ("language", "question", "text"),
    [
        ("en", "running", "They run; one runs."),
        ("de", "Strömungen", "Die Strömung reißt ab."),
        ("fr", "élèves", "Un eleve."),
        ("es", "canciones", "La canción."),
        ("ru", "книги", "Эта книга."),
        ("ar", "الكتاب", "كتاب جديد"),
        ("pl", "ŻÓŁW", "żółw"),
        (None, "tests", "A test."),
        ("zh", "拦截", "领先国家橄榄球联盟，以24次拦截"),
        ("ja", "東京", "私は東京に住んでいます"),
        ("th", "กรุงเทพ", "ฉันอยู่กรุงเทพมหานคร"),
        ("ko", "서울", "서울에서 만나요"),
        ("en", "ＡＢＣ１２３", "abc123"),
    ],
)
def test_forms_of_a_word_meet_in_every_language(language: str | None, question: str, text: str) -> None:
    assert meets(question, text, language)


def test_a_text_in_another_language_beside_it_changes_nothing() -> None:
    assert meets("running", "They run.", "en", ("de", "ar", PLAIN)) == meets("running", "They run.", "en")


def test_function_words_do_not_count_unless_there_is_nothing_else() -> None:
    assert [term for (term,) in question_terms("What is the lift of a wing?", {"en"}).words] == ["lift", "wing"]
    assert [term for (term,) in question_terms("the who", {"en"}).words] == ["the", "who"]


def test_a_function_word_of_another_language_is_an_ordinary_word() -> None:
    words = {
        term
        for variants in question_terms("What did people die of in the war?", {"en", "de"}).words
        for term in variants
    }
    assert {"die", "war"} <= words


def test_pairs_are_content_words_in_a_row() -> None:
    text = text_terms("the lift coefficient of the wing", "en").pairs
    assert text == ["lift_cofficient", "cofficient_wing"] or text == ["lift_coeffici", "coeffici_wing"]
    assert [pair for (pair,) in question_terms("lift coefficients", {"en"}).pairs] == text[:1]


def test_variants_of_a_word_stay_together() -> None:
    variants = question_terms("running models", {"en", PLAIN}).words
    assert [set(each) for each in variants] == [{"run", "running"}, {"model", "models"}]


def test_nothing_in_it_is_looked_up_by_nothing() -> None:
    assert question_terms("?! …", {"en", "zh"}).words == []
