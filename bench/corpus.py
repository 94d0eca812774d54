"""What the benchmark takes in: a BEIR folder, or text made from a fixed seed."""

import random
from dataclasses import dataclass
from pathlib import Path

from groundwork.evaluate import beir
from groundwork.ingest.items import Item

PREFIX = "bench:"
_SYLLABLES = (
    "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru".split()
)


@dataclass(frozen=True)
class Corpus:
    """Documents to take in and questions to ask of them."""

    name: str
    items: list[Item]
    questions: list[str]


def from_folder(folder: Path, documents: int | None) -> Corpus:
    """A BEIR folder's documents and questions."""
    dataset = beir.load(folder)
    items = [_item(each.id, each.title, each.text or each.title) for each in dataset.documents[:documents]]
    return Corpus(dataset.name, items, [query.text for query in dataset.queries])


def generated(documents: int, words: int = 180) -> Corpus:
    """Text with a vocabulary of Zipf's shape, about as long as an abstract, and questions from its words."""
    chance = random.Random(7)
    vocabulary = ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    items: list[Item] = []
    questions: list[str] = []
    for number in range(documents):
        drawn = chance.choices(vocabulary, weights, k=chance.randint(words // 2, words * 3 // 2))
        sentences = [" ".join(drawn[at : at + 14]).capitalize() + "." for at in range(0, len(drawn), 14)]
        items.append(_item(str(number), " ".join(drawn[:6]), " ".join(sentences)))
        if len(questions) < 400:
            questions.append(" ".join(chance.sample(drawn, 8)))
    return Corpus("generated", items, questions)


def _item(name: str, title: str, text: str) -> Item:
    content = text.encode()
    return Item(PREFIX + name, "document.txt", lambda: content, title or None)
