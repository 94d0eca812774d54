"""`groundwork models`."""

import typer

from groundwork.cli import breakers

app = typer.Typer(help="Look at language models and their providers.", no_args_is_help=True, rich_markup_mode=None)
app.command("breaker")(breakers.breaker)
