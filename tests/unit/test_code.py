"""Source code is split where its definitions end, and a passage says in which of them it stands."""

from pathlib import Path

import pytest

from groundwork.embedders.packaged import tokenizer_file
from groundwork.ingest.code import Code
from groundwork.ingest.split import Chunk, Splitter

SOURCE = Path(__file__).resolve().parents[2] / "src" / "groundwork"

PYTHON = '''
import os

@decorated(
    by=1,
)
class Ledger:
    """Keeps accounts."""

    # What is owed.
    def total(self, rows):
        for row in rows:
            if row:
                print(row)
        return sum(rows)

def main() -> None:
    go(
        1,
    )

if __name__ == "__main__":
    main()
'''
JAVA = """
package org.example;

/** Keeps accounts. */
public class Ledger extends Base {
    private final List<String> rows;

    @Override
    public int total(int from,
                     int to) throws IOException {
        if (from > to) {
            throw new IllegalArgumentException("from");
        }
        return helper(from, to);
    }
}
"""
JAVASCRIPT = """
export const add = (a, b) => a + b;

export default async function load(url) {
  items.forEach(function (x) {
    go(x);
  });
}

class Thing extends Base {
  render() {
    return null;
  }
}
"""
GO = """
type Server struct {
	addr string
}

// Run serves.
func (s *Server) Run(ctx context.Context) error {
	return nil
}
"""
RUST = """
#[derive(Debug)]
pub struct Point { x: i32 }

impl<T> fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "x")
    }
}
"""
C = """
#include <stdio.h>

static int helper(int a, char *b)
{
    printf("%d", a);
    return 0;
}
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (PYTHON, ["Ledger", "total", "main"]),
        (JAVA, ["Ledger", "total"]),
        (JAVASCRIPT, ["add", "load", "Thing", "render"]),
        (GO, ["Server", "Run"]),
        (RUST, ["Point", "fmt::Display", "fmt"]),
        (C, ["helper"]),
        ("CREATE TABLE IF NOT EXISTS users (\n  id int\n);\n", ["users"]),
        ("set -e\ngo() {\n  echo hello\n}\n", ["go"]),
    ],
)
def test_definitions_are_found_in_many_languages(text: str, names: list[str]) -> None:
    assert [definition.name for definition in Code(text).definitions] == names


def test_a_definition_begins_with_its_comments_and_ends_with_its_last_line() -> None:
    whole = {definition.name: PYTHON[definition.start : definition.end] for definition in Code(PYTHON).definitions}
    assert whole["Ledger"].startswith("@decorated(\n    by=1,\n)\nclass Ledger:")
    assert whole["total"].startswith("    # What is owed.\n")
    assert whole["total"].endswith("        return sum(rows)\n")
    assert whole["main"] == "def main() -> None:\n    go(\n        1,\n    )\n"


def split(text: str, chunk_tokens: int) -> list[Chunk]:
    return Splitter(tokenizer_file(), chunk_tokens).split(text, markdown=False, pages=(), code=True)


def test_passages_are_whole_definitions_that_say_where_they_stand() -> None:
    chunks = split(PYTHON, 50)
    (total,) = [chunk for chunk in chunks if "sum(rows)" in chunk.text]
    assert total.heading_path == ("Ledger", "total")
    assert total.text.startswith("    # What is owed.\n    def total")
    (main,) = [chunk for chunk in chunks if "def main" in chunk.text]
    assert "sum(rows)" not in main.text


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py"))[::7], ids=lambda path: path.name)
def test_no_word_of_real_code_is_lost_or_moved(path: Path) -> None:
    text = path.read_text()
    chunks = split(text, 200)
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "x = '" + "word " * 5000 + "'", "def f():\n" + "    x = 1\n" * 20_000, "}" * 5000, "f(" * 5000],
    ids=["empty", "blank", "one long line", "one long function", "brackets", "calls"],
)
def test_odd_code_is_split_as_well(text: str) -> None:
    chunks = split(text, 100)
    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join(text.split())
