"""`groundwork eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli.options import AsJson, SearchMode
from groundwork.cli.output import put_json, say
from groundwork.cli.progress import progress
from groundwork.cli.run import with_platform

if TYPE_CHECKING:
    from groundwork.assembly import Platform


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A folder in BEIR layout.", metavar="DIR", show_default=False)],
    mode: Annotated[SearchMode, typer.Option(help="Which indexes to ask.")] = SearchMode.HYBRID,
    qrels: Annotated[str | None, typer.Option(help="Judgment file under qrels/; by default test.tsv.")] = None,
    rerank: Annotated[
        bool | None,
        typer.Option(help="With the reranker, or without; by default with it when one is set.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval on judged questions: corpus.jsonl, queries.jsonl, qrels/*.tsv.

    The documents go into a throw-away collection. The report is kept, and the next one is compared with it.
    """

    async def work(platform: "Platform") -> dict[str, Any]:
        with progress(quiet=as_json) as advance:
            return await platform.evaluate(folder, mode.value, qrels, advance, rerank)

    report = with_platform(work, announce=True)
    if as_json:
        put_json(report)
    else:
        _tell(report)


def _tell(report: dict[str, Any]) -> None:
    for key, value in report.items():
        if key not in {"change", "compared_to", "at"}:
            change = report["change"].get(key)
            say(
                f"{key:16} {'none' if value is None else value}"
                + (f"  ({change:+} against the last time)" if change else "")
            )
