"""Patterns that choose among the documents of a source."""

import time

import pytest

from groundwork.ingest.sources.names import Selection, clean_name, is_hidden, is_readable


@pytest.mark.parametrize(
    ("pattern", "chosen", "not_chosen"),
    [
        ("*.md", ["a.md", "x/y/a.md"], ["a.mdx", "md"]),
        ("drafts", ["drafts/a.md", "x/drafts/y/a.md", "drafts"], ["mydrafts/a.md"]),
        ("drafts/", ["drafts/a.md", "x/drafts/a.md"], ["drafts", "x/drafts"]),
        ("/notes", ["notes/a.md", "notes"], ["x/notes/a.md"]),
        ("docs/*.md", ["docs/a.md"], ["docs/x/a.md", "x/docs/a.md"]),
        ("docs/**/*.md", ["docs/a.md", "docs/x/y/a.md"], ["a.md", "docs/a.txt"]),
        ("docs/**", ["docs/a.md", "docs/x/a.md"], ["docs", "other/a.md"]),
        ("**/api/*.html", ["api/a.html", "x/y/api/a.html"], ["x/api.html"]),
        ("report-202[3-5].pdf", ["report-2024.pdf", "x/report-2023.pdf"], ["report-2022.pdf"]),
        ("page?.txt", ["page1.txt"], ["page10.txt", "page.txt"]),
    ],
)
def test_patterns_mean_what_they_mean_in_a_gitignore(pattern: str, chosen: list[str], not_chosen: list[str]) -> None:
    for path in chosen:
        assert Selection(include=[pattern]).admits(path), path
        assert not Selection(exclude=[pattern]).admits(path), path
    for path in not_chosen:
        assert not Selection(include=[pattern]).admits(path), path
        assert Selection(exclude=[pattern]).admits(path), path


def test_without_patterns_everything_is_chosen_and_exclusion_has_the_last_word() -> None:
    assert Selection().admits("any/thing.md")
    assert not Selection(include=["*.md"], exclude=["private"]).admits("private/a.md")


def test_an_excluded_folder_is_not_entered() -> None:
    selection = Selection(exclude=["archive/", "/build", "*.md"])
    assert not selection.enters("x/archive")
    assert not selection.enters("build")
    assert selection.enters("src/build")
    assert selection.enters("docs")


def test_no_pattern_takes_long() -> None:
    began = time.monotonic()
    assert not Selection(include=["*a" * 40 + "b"]).admits("a" * 5000)
    assert not Selection(include=["**/a/" * 30 + "b"]).admits("a/" * 500 + "c")
    assert time.monotonic() - began < 2


def test_which_names_are_documents() -> None:
    assert is_readable("README")
    assert is_readable("Report.PDF")
    assert not is_readable("film.mp4")
    assert is_hidden(".env")
    assert is_hidden("~$open.docx")
    assert clean_name("bad\udcff\0name") == "bad??name"
