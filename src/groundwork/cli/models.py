"""`groundwork models`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.cli import breakers
from groundwork.cli.options import AsJson, Yes
from groundwork.cli.output import note, put_json, say, table
from groundwork.cli.run import caller, with_platform
from groundwork.errors import Invalid, NotFound

if TYPE_CHECKING:
    from groundwork.assembly import Platform
    from groundwork.llms.registry import Listed

app = typer.Typer(
    help="List and try language models, and look after their providers.", no_args_is_help=True, rich_markup_mode=None
)
app.command("breaker")(breakers.breaker)

_NONE = (
    "There is no language model: answers are made of the documents' own sentences. docs/models.md says how to add one."
)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List language models in the order in which they are asked, with prices and what they lack."""

    async def work(platform: "Platform") -> dict[str, Any]:
        await platform.models.look()
        return await platform.models.describe()

    found = with_platform(work)
    if as_json:
        put_json(found)
        return
    if not found["items"]:
        say(_NONE)
        return
    table(
        ("provider", "tier", "model", "address", "price in/out per million", "a minute", "key", "note"),
        [
            [
                each["provider"],
                f"{each['tier']} (private)" if each["private"] else each["tier"],
                each["model"],
                each["address"],
                _price(each["price"]),
                each["requests_per_minute"],
                _key(each),
                each["problem"] or ("found on this machine" if each["found"] else ""),
            ]
            for each in found["items"]
        ],
    )
    if found["private"]:
        say("Privacy mode: only models of tier 0 are asked.")


@app.command("test")
def try_models(
    provider: Annotated[str | None, typer.Argument(help="Only this provider.", show_default=False)] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Ask each model a tiny question; exit code 1 when one fails. Paid providers take a fraction of a cent."""

    async def work(platform: "Platform") -> list[dict[str, Any]]:
        from groundwork.answer.trial import trial  # start-up time

        await platform.models.look()
        asked = _chosen(platform.models.listed, provider)
        _insist(asked, yes)
        await platform.models.warm()
        account = (await caller(platform)).account
        return [await trial(each.guarded, platform.budgets, account) for each in asked]

    results = with_platform(work)
    if as_json:
        put_json({"items": results})
    else:
        keys = (
            "provider",
            "model",
            "outcome",
            "first_token_ms",
            "total_ms",
            "input_tokens",
            "output_tokens",
            "cost_usd",
        )
        table((*keys, "problem"), [[each[key] for key in (*keys, "problem")] for each in results])
    if any(each["outcome"] != "answered" for each in results):
        sys.exit(1)


def _chosen(listed: "list[Listed] | Any", provider: str | None) -> "list[Listed]":
    """The models to ask. Raises NotFound when there is none."""
    if not listed:
        raise NotFound(_NONE)
    asked = [each for each in listed if provider in {None, each.settings.name}]
    if not asked:
        names = ", ".join(sorted({each.settings.name for each in listed}))
        raise NotFound(f"There is no model of a provider {provider!r}; there are {names}.")
    return asked


def _insist(asked: "list[Listed]", yes: bool) -> None:
    """Asks before money is spent. Raises Invalid when nobody is there to be asked."""
    paid = sorted({each.settings.name for each in asked if not each.model.price.free})
    if not paid or yes:
        return
    told = f"{', '.join(paid)}: paid; the question costs a fraction of a cent at each of the models."
    if not sys.stdin.isatty():
        raise Invalid(f"{told} Say --yes to ask, or name a provider that is free.")
    note(told)
    typer.confirm("Ask?", abort=True, err=True)


def _price(price: dict[str, str] | None) -> str:
    if price is None:
        return "unknown"
    if set(price.values()) == {"0"}:
        return "free"
    each = f" + ${price['per_request']} a request" if price["per_request"] != "0" else ""
    return f"${price['input_per_million']} / ${price['output_per_million']}{each}"


def _key(listed: dict[str, Any]) -> str:
    if listed["key"] == "not_needed":
        return "not needed"
    place = f" ({listed['key_place']})" if listed["key_place"] else ""
    return f"{listed['key']}{place}"
