"""A source of 5,000 documents synced again unchanged, and once more with one paragraph changed.

The second sync must embed nothing and end in seconds, the third embed no more than the paragraph's own passages.
"""

import argparse
import random
import tempfile
from pathlib import Path

from drills import Result
from drills._processes import groundwork

_PARAGRAPHS = 6
_WORDS = 60


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of this drill."""
    parser.add_argument("--documents", type=int, default=5000, help="how many documents (default: 5000)")
    parser.add_argument("--seconds", type=float, default=15.0, help="what the second sync may take (default: 15)")


def run(options: argparse.Namespace) -> Result:
    """The drill."""
    with tempfile.TemporaryDirectory(prefix="groundwork-drill-") as place:
        Path(place).chmod(0o711)
        folder, data_dir = Path(place) / "library", Path(place) / "data"
        _write(folder, options.documents)
        groundwork(data_dir, "sources", "add", "library", str(folder))
        first, second = (groundwork(data_dir, "sources", "sync", "library")[0] for _ in range(2))
        _change_a_paragraph(folder / "00000.md")
        third, _ = groundwork(data_dir, "sources", "sync", "library")
    figures = {
        "documents": first["added"],
        "passages": first["chunks"],
        "first_seconds": first["seconds"],
        "second_seconds": second["seconds"],
        "second_embedded": second["embedded"],
        "third_seconds": third["seconds"],
        "third_embedded": third["embedded"],
        "third_reused": third["reused"],
    }
    problems = [
        *([] if first["added"] == options.documents else [f"{first['added']} documents were added"]),
        *([] if second["unchanged"] == options.documents else [f"{second['unchanged']} documents were unchanged"]),
        *([] if second["embedded"] == 0 else [f"{second['embedded']} passages were embedded again"]),
        *([] if second["seconds"] <= options.seconds else [f"the second sync took {second['seconds']} s"]),
        *([] if third["updated"] == 1 else [f"{third['updated']} documents were updated"]),
        *(
            []
            if 1 <= third["embedded"] <= 2
            else [f"{third['embedded']} passages of the changed document were embedded"]
        ),
        *([] if third["reused"] >= 1 else ["nothing of the changed document was reused"]),
    ]
    return Result(figures, problems)


def _write(folder: Path, documents: int) -> None:
    chance = random.Random(5)
    words = [
        f"{chance.choice('bcdfghklmnprst')}{chance.choice('aeiou')}{chance.choice('lmnrst')}{n}" for n in range(900)
    ]
    folder.mkdir()
    for n in range(documents):
        paragraphs = (" ".join(chance.choices(words, k=_WORDS)) + "." for _ in range(_PARAGRAPHS))
        (folder / f"{n:05}.md").write_text(f"# Report {n}\n\n" + "\n\n".join(paragraphs) + "\n")


def _change_a_paragraph(file: Path) -> None:
    paragraphs = file.read_text().split("\n\n")
    paragraphs[3] = "This paragraph says something else now."
    file.write_text("\n\n".join(paragraphs))
