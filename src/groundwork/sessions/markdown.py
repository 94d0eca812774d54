"""A conversation as Markdown, for people who keep or send it."""

from collections.abc import Iterator
from typing import Any

WITHHELD = "Withheld: this was made from a collection that you may not read any more."


def as_markdown(session: dict[str, Any]) -> str:
    """A conversation with its turns, each with what its answer cites."""
    title = _line(session["title"] or "Conversation")
    head = f"# {title}\n\nBegun {session['created_at']}, {session['turn_count']} questions.\n"
    return "\n".join([head, *(part for turn in session["turns"] for part in _turn(turn))])


def _turn(turn: dict[str, Any]) -> Iterator[str]:
    yield f"## {turn['number']}. {'Withheld' if turn['withheld'] else _line(turn['question'])}\n"
    yield f"*{turn['at']}*\n"
    if turn["withheld"]:
        yield f"{WITHHELD}\n"
        return
    answer = turn["answer"]
    yield f"{answer.get('answer') or ''}\n"
    for citation in answer.get("citations", []):
        yield _citation(citation)


def _citation(citation: dict[str, Any]) -> str:
    page = f", page {citation['page']}" if citation.get("page") is not None else ""
    span = citation["source_span"]
    mark = "" if citation.get("verified") else " (not equal to the stored text)"
    quote = "\n".join(f"   > {line}" for line in str(citation["quote"]).splitlines())
    return (
        f"{citation['index']}. {_line(citation['title'])}{page}, in {_line(citation['collection'])}{mark}\n\n{quote}\n\n"
        f"   Document {citation['document_id']}, version {citation['version']}, characters {span['start']}-{span['end']}: "
        f"{_line(citation['uri'])}\n"
    )


def _line(text: str) -> str:
    return " ".join(str(text).split())
