"""What a model takes: as the settings say, nothing in tier 0, else the public price list that ships with `genai-prices`.

The list is the one installed; nothing is fetched. Where a price rises with the length of a prompt, the highest counts. A
model of a paid provider that the list does not know is taken to be as dear as the dearest there (of its provider; of all of
them, for a `compatible` server), so that no budget is ever spent unseen; its operator is told to set a price.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from groundwork.clock import utc_now
from groundwork.llms import Price
from groundwork.settings.models import ADDRESSES, LOCAL, ProviderSettings

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


@dataclass(frozen=True)
class Found:
    """A price, and whether it is one or only the dearest imaginable."""

    price: Price
    known: bool = True


def price_of(settings: ProviderSettings, model: str) -> Found:
    """What a model of a provider takes. The first look into the list takes a moment: load it in a thread."""
    if settings.price is not None:
        chosen = settings.price
        return Found(Price(chosen.input_per_million, chosen.output_per_million, chosen.per_request))
    if settings.in_tier == 0:
        return Found(Price())
    for provider in _listed(settings.kind):
        price = _price(provider.find_model(model))
        if price is not None:
            return Found(price)
    return Found(_dearest(settings.kind), known=False)


@cache
def _listed(kind: str) -> "list[Provider]":
    """The providers of the list that a kind of ours is; none for `compatible`, whose prices only its owner knows."""
    from genai_prices import data_snapshot  # start-up time

    return [provider for provider in data_snapshot.get_snapshot().providers if provider.id == kind]


@cache
def _dearest(kind: str) -> Price:
    kinds = [kind] if _listed(kind) else [each for each in ADDRESSES if each not in LOCAL]
    models = (model for each in kinds for provider in _listed(each) for model in provider.models)
    prices = [price for price in map(_price, models) if price is not None]
    return Price(max(each.input_per_million for each in prices), max(each.output_per_million for each in prices))


def _price(model: "ModelInfo | None") -> Price | None:
    if model is None:
        return None
    listed = model.get_prices(utc_now())
    paid_in, paid_out = (_highest(getattr(listed, name, None)) for name in ("input_mtok", "output_mtok"))
    return Price(paid_in, paid_out) if paid_in is not None and paid_out is not None else None


def _highest(listed: object) -> Decimal | None:
    """Of a price that may rise with the length of a prompt."""
    if listed is None or isinstance(listed, Decimal):
        return listed
    tiers: Iterable[object] = getattr(listed, "tiers", [])
    base = getattr(listed, "base", None)
    found = [each for each in (base, *(getattr(tier, "price", None) for tier in tiers)) if isinstance(each, Decimal)]
    return max(found, default=None)
