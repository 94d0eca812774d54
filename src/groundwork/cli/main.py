"""The `groundwork` command."""

import sys

import typer

from groundwork import __version__
from groundwork.cli import (
    ask,
    check,
    collections,
    documents,
    evaluate,
    health,
    ingest,
    jobs,
    rebuild,
    search,
    serve,
    settings,
    sources,
    spaces,
)
from groundwork.cli.options import AsJson
from groundwork.cli.output import fail, put_json, say
from groundwork.errors import GroundworkError

app = typer.Typer(
    name="groundwork",
    help="Answers questions from your own documents, with citations that can be checked to the byte.",
    epilog="Start with: groundwork ingest FOLDER, then groundwork ask 'QUESTION'.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ingest")(ingest.ingest)
app.command("search")(search.search)
app.command("ask")(ask.ask)
app.add_typer(documents.app, name="documents")
app.add_typer(collections.app, name="collections")
app.add_typer(sources.app, name="sources")
app.add_typer(jobs.app, name="jobs")
app.command("check")(check.check)
app.add_typer(spaces.app, name="spaces")
app.command("rebuild")(rebuild.rebuild)
app.command("eval")(evaluate.evaluate)
app.command("serve")(serve.serve)
app.command("health")(health.health)
app.command("settings")(settings.settings)


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        put_json({"version": __version__})
    else:
        say(f"groundwork {__version__}")


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except GroundworkError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
