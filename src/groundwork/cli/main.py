"""The `groundwork` command."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from groundwork import __version__
from groundwork.cli import (
    ask,
    audit,
    budgets,
    check,
    collections,
    documents,
    evaluate,
    health,
    ingest,
    jobs,
    keys,
    maintenance,
    models,
    rebuild,
    run,
    search,
    secrets,
    security,
    serve,
    sessions,
    settings,
    sources,
    spaces,
    users,
)
from groundwork.cli.options import AsJson
from groundwork.cli.output import fail, fail_unforeseen, finish, put_json, say
from groundwork.errors import GroundworkError, Invalid

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
app.add_typer(sessions.app, name="sessions")
app.add_typer(documents.app, name="documents")
app.add_typer(collections.app, name="collections")
app.add_typer(sources.app, name="sources")
app.add_typer(jobs.app, name="jobs")
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(budgets.app, name="budgets")
app.add_typer(secrets.app, name="secrets")
app.add_typer(audit.app, name="audit")
app.add_typer(security.app, name="security")
app.add_typer(maintenance.app, name="maintenance")
app.command("check")(check.check)
app.add_typer(spaces.app, name="spaces")
app.add_typer(models.app, name="models")
app.command("rebuild")(rebuild.rebuild)
app.command("eval")(evaluate.evaluate)
app.command("serve")(serve.serve)
app.command("health")(health.health)
app.command("settings")(settings.settings)


@app.callback()
def everywhere(
    acting_as: Annotated[
        str | None,
        typer.Option("--as", metavar="USER", help="Have the rights of this user instead of the operator's."),
    ] = None,
) -> None:
    """Options of every command."""
    run.act_as(acting_as)


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        put_json({"version": __version__})
    else:
        say(f"groundwork {__version__}")


def main() -> None:
    """Runs the command line. Whatever happens, it ends with an exit code and at most one line about what went wrong."""
    try:
        _check_arguments(sys.argv[1:])
        try:
            app()
        finally:
            finish()
    except GroundworkError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the last handler: a traceback says nothing to who typed the command
        fail_unforeseen(error)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raises Invalid for bytes that are no text: nothing could store or print them."""
    for argument in arguments:
        if any("\udc80" <= character <= "\udcff" for character in argument):
            shown = argument.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise Invalid(f"The argument '{shown}' is not UTF-8. Rename the file, or type it in UTF-8.")
